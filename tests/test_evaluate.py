"""evaluate.py on folders of red and blue photos, which the tiny model can distinguish."""

import hashlib
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import evaluate
from car_damage import model_store
from car_damage.errors import exit_code
from tests import tiny_model
from tests.photo_files import jpeg
from tests.report.test_report import outline

COSTS = ("--cost-missed", "900", "--cost-false-alarm", "100", "--cost-review", "9")


@pytest.fixture
def cars(tmp_path) -> Path:
    """12 photos of each class; the model is wrong on the 2 blue ones of the 12 damaged cars."""
    rng = np.random.default_rng(0)
    for label, folder, red, count in (
        ("damaged", "front", True, 10),
        ("damaged", "back", False, 2),
        ("not-damaged", "", False, 12),
    ):
        (tmp_path / "my cars" / label / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            photo = np.clip(tinted(red) + rng.normal(0, 25, (80, 120, 3)), 0, 255).astype(np.uint8)
            path = tmp_path / "my cars" / label / folder / f"{number}.jpg"
            path.write_bytes(jpeg(photo))
    return tmp_path / "my cars"


def tinted(red: bool) -> np.ndarray:
    return tiny_model.plain_photo(red).astype(float)


@pytest.fixture
def run(project, models):
    """Run evaluate.py in a project with the tiny model; returns its exit code."""

    def run(*arguments: str | Path) -> int:
        return exit_code(lambda: evaluate.main([str(argument) for argument in arguments]))

    return run


def report_of(shown: str) -> Path:
    return Path(re.search(r"full report, with the worst mistakes: (.*)\n", shown)[1])


def test_evaluate_says_how_good_the_model_is_on_my_photos(run, cars, capsys):
    assert run(cars) == 0
    shown = capsys.readouterr().out
    assert "on your 24 photos" in shown
    assert re.search(r"accuracy +0\.917", shown)
    assert re.search(r"correct in damaged/front \(10\) +1\.000", shown)
    assert re.search(r"correct in damaged/back \(2\) +too few", shown)
    assert re.search(r"decided without a person +1\.000", shown)
    assert "these 24 photos show at least 70.0%; about" in shown
    assert "but damaged: " + str(cars / "damaged" / "back" / "0.jpg") in shown
    page = outline(report_of(shown))
    assert page.text.startswith(f"How good is car damage model {tiny_model.VERSION} on your photos")
    assert "91.7 %" in page.text
    assert page.sections[:2] == ["metrics", "claims"]
    assert page.sections[-1] == "next"
    assert page.all("img")  # the mistakes


def test_photos_that_the_version_was_trained_on_are_left_out_and_counted(
    run, cars, models, tiny_graph, capsys
):
    learnt = sorted((cars / "damaged" / "back").iterdir())
    hashes = "\n".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in learnt)
    name = tiny_model.add_version(
        models, tiny_graph, "20260401-0900-ffff", files={"trained_on.txt": hashes.encode()}
    )
    assert run(cars, "--model", name) == 0
    shown = capsys.readouterr().out
    assert "on your 22 photos" in shown
    assert f"left out: 2 photos that {name} was trained on, or copies of such photos\n" in shown
    assert "2 photos that" in outline(report_of(shown)).text


def test_evaluate_warns_if_the_training_photos_are_unknown(run, cars, capsys):
    run(cars)
    assert "it is unknown which photos" in capsys.readouterr().out


def test_a_folder_with_training_photos_only_is_refused(run, cars, models, tiny_graph, capsys):
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in cars.rglob("*.jpg")]
    files = {"trained_on.txt": "\n".join(hashes).encode()}
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", files=files)
    assert run(cars, "--model", name) == 2
    assert "24 that" in capsys.readouterr().err
    assert not list(models.glob("*.html"))


def test_photos_that_were_left_out_are_counted_by_reason(run, cars, capsys):
    (cars / "damaged" / "film.mov").touch()
    (cars / "damaged" / "empty.jpg").touch()
    both = (cars / "damaged" / "front" / "0.jpg").read_bytes()
    (cars / "not-damaged" / "the same.jpg").write_bytes(both)
    assert run(cars) == 0
    shown = capsys.readouterr().out
    assert "on your 23 photos" in shown
    assert "left out: 1 photo, empty\n" in shown
    assert "left out: 2 photos, both_classes\n" in shown
    assert "skipped: 1 .mov\n" in shown


def test_costs_choose_the_threshold_and_band_without_training(run, cars, models, capsys):
    before = (models / tiny_model.VERSION / "model.json").read_bytes()
    assert run(cars, *COSTS) == 0
    shown = capsys.readouterr().out
    assert "the threshold is 0.1000" in shown
    assert "photos from 0.0100 to below 0.9100" in shown
    assert re.search(r"if a person checks every photo +9,000\n", shown)
    # 2 of 24 damaged cars are missed with the version's own threshold of 0.5
    assert re.search(r"with those of the version +75,000  \(\d", shown)
    page = outline(report_of(shown))
    assert "cost" in page.sections
    assert "at 900 for a missed damaged car" in page.text
    assert (models / tiny_model.VERSION / "model.json").read_bytes() == before


def test_the_threshold_that_costs_choose_can_be_used_and_undone(run, cars, models, capsys):
    before = sorted(model_store.versions(models))
    assert run(cars, *COSTS, "--use") == 0
    name = model_store.current(models)
    assert f"{name} is now in use. It is {tiny_model.VERSION} with" in capsys.readouterr().out
    made = model_store.load_record(models).manifest
    assert (made.decision.threshold, made.decision.review_band) == (0.1, (0.01, 0.91))
    assert made.metrics.photos.count == 24
    page = outline(models / name / "report.html")
    assert f"Its network is that of {tiny_model.VERSION}" in page.text
    assert "UTC · in use How far" in page.text
    assert "sources that the model was trained on" not in page.text
    assert model_store.back(models) == tiny_model.VERSION
    assert sorted(model_store.versions(models)) == sorted([*before, name])


def test_a_version_with_a_new_threshold_can_still_be_trained(run, cars, models, tiny_graph):
    files = {"model.keras": b"weights", "trained_on.txt": b"0" * 64, "comparison.json": b"{}"}
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", files=files)
    assert run(cars, *COSTS, "--model", name, "--use") == 0
    folder = models / model_store.current(models)
    assert (folder / "model.keras").read_bytes() == b"weights"
    assert model_store.trained_on(folder) == {"0" * 64}
    assert not (folder / "comparison.json").exists()


def test_the_command_that_uses_the_new_threshold_can_be_pasted(run, cars, capsys, monkeypatch):
    words = [str(cars), *COSTS]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words])
    assert run(*words) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("to use this threshold and band: python evaluate.py '")
    assert line.endswith("--cost-review 9 --use")


def test_the_report_has_a_command_to_continue_training(run, cars, models, tiny_graph, capsys):
    files = {"model.keras": b"weights"}
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", files=files)
    model_store.use(models, name)
    run(cars)
    text = outline(report_of(capsys.readouterr().out)).text
    weights = models / name / "model.keras"
    assert f"bash run_pipeline.sh --raw-dir '{cars}' --weights {weights}" in text
    assert "Check the 2 photos that it got wrong" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{cars}/damaged"], "No photos of class"),
        (["{cars}/gone"], "There is no folder"),
        (["{cars}", "--model", "20990101-0000-0000"], "There is no version"),
        (["{cars}", "--use"], "Add --cost-missed, --cost-false-alarm and --cost-review."),
        (["{cars}", "--cost-missed", "9"], "Add --cost-false-alarm and --cost-review."),
    ],
)
def test_a_wrong_argument_gives_an_error_of_one_line(run, cars, capsys, arguments, message):
    assert run(*(argument.format(cars=cars) for argument in arguments)) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1


def test_evaluate_says_what_to_install_if_packages_are_missing(run, cars, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "find_spec", lambda name: None)
    assert importlib.util.find_spec("jinja2")
    assert run(cars) == 2
    assert "pip install -r requirements.txt" in capsys.readouterr().err
