import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import predict
from car_damage import model_store
from car_damage.errors import exit_code
from car_damage.photo_warnings import Limits
from tests import tiny_model
from tests.photo_files import jpeg
from tests.tiny_model import plain_photo


@pytest.fixture
def cars(tmp_path) -> Path:
    """A folder with one damaged and one undamaged photo, and one that is no photo."""
    folder = tmp_path / "cars"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b-red.JPG").write_bytes(jpeg(plain_photo(red=True)))
    (folder / "deep" / "er" / "blue.jpeg").write_bytes(jpeg(plain_photo(red=False)))
    (folder / "broken.jpg").write_bytes(b"no photo at all")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def run(project, models):
    """Run predict.py in a project with the tiny model; returns its exit code."""

    def run(*arguments: str | Path) -> int:
        return exit_code(lambda: predict.main([str(argument) for argument in arguments]))

    return run


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_photo_of_a_folder_gets_a_line(run, cars, capsys):
    assert run(cars) == 0
    red, broken, blue = rows(capsys.readouterr().out)
    assert (red["path"], red["prediction"], red["error"]) == (
        str(cars / "b-red.JPG"),
        "damaged",
        "",
    )
    assert broken["error"] == "not_a_photo"
    assert (broken["prediction"], broken["probability"]) == ("", "")
    assert blue["prediction"] == "not_damaged"
    assert float(blue["probability"]) < 0.5 < float(red["probability"]) < 1


def test_doubts_stand_beside_the_answer_and_not_beside_an_error(
    run, cars, models, tiny_graph, capsys
):
    familiar = np.full((1, tiny_model.FEATURES), tiny_model.FEATURES**-0.5, np.float32)
    doubts = Limits(0.4, 50.0, 0.3, 90, distance=0.1, components=familiar).as_json()
    name = tiny_model.add_version(
        models, tiny_graph, "20260401-0900-ffff", doubt=doubts, review_band=[0.5, 1.0]
    )
    assert run(cars, "--model", name) == 0
    red, broken, blue = rows(capsys.readouterr().out)
    assert (red["review"], red["warnings"]) == ("yes", "blurred low_resolution unfamiliar")
    assert (broken["review"], broken["warnings"]) == ("", "")
    assert blue["review"] == "no"


def test_photos_that_could_not_be_used_are_counted_on_stderr(run, cars, capsys):
    run(cars)
    assert capsys.readouterr().err == "1 of 3 photos could not be used: see the column error\n"


def test_nothing_is_said_on_stderr_when_every_photo_was_answered(run, cars, capsys):
    assert run(cars / "b-red.JPG") == 0
    assert capsys.readouterr().err == ""


def test_the_csv_file_holds_what_the_screen_would_show(run, cars, tmp_path, capsys):
    run(cars)
    shown = capsys.readouterr().out
    assert run(cars, "--csv", tmp_path / "new" / "answers.csv") == 0
    assert (tmp_path / "new" / "answers.csv").read_text() == shown
    assert capsys.readouterr().out == ""
    assert shown.splitlines()[0] == "path,prediction,probability,review,warnings,error"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no photo", "not_a_photo"),
        (jpeg(plain_photo(red=True))[:-200], "truncated"),
        (jpeg(plain_photo(True, 20, 20)), "too_small"),
    ],
)
def test_a_bad_photo_gets_its_reason_and_stops_no_other(run, cars, capsys, data, reason):
    (cars / "a-bad.jpg").write_bytes(data)
    assert run(cars) == 0
    answers = rows(capsys.readouterr().out)
    assert answers[0]["error"] == reason
    assert [row["prediction"] for row in answers] == ["", "damaged", "", "not_damaged"]


def test_a_file_that_cannot_be_read_is_named_unreadable(run, cars, capsys, monkeypatch):
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "b-red.JPG":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert run(cars) == 0
    assert [row["error"] for row in rows(capsys.readouterr().out)] == [
        "unreadable",
        "not_a_photo",
        "",
    ]


def test_photos_and_folders_may_be_mixed_and_each_photo_counts_once(run, cars, capsys):
    assert run(cars / "deep", cars, cars / "b-red.JPG") == 0
    names = [Path(row["path"]).name for row in rows(capsys.readouterr().out)]
    assert names == ["blue.jpeg", "b-red.JPG", "broken.jpg"]


def test_a_photo_named_by_the_user_needs_no_usual_ending(run, cars, capsys):
    (cars / "b-red.JPG").rename(cars / "upload")
    assert run(cars / "upload") == 0
    assert rows(capsys.readouterr().out)[0]["prediction"] == "damaged"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_shown_all_the_same(run, cars, tmp_path):
    (cars / "b-red.JPG").rename(cars / os.fsdecode(b"\xff.jpg"))
    assert run(cars, "--csv", tmp_path / "answers.csv") == 0
    assert "\N{REPLACEMENT CHARACTER}.jpg,damaged" in (tmp_path / "answers.csv").read_text()


def test_many_photos_are_answered_in_order(run, tmp_path, capsys):
    (tmp_path / "many").mkdir()
    for number in range(50):
        (tmp_path / "many" / f"{number:03}.jpg").write_bytes(jpeg(plain_photo(red=number % 3 == 0)))
    assert run(tmp_path / "many") == 0
    answers = rows(capsys.readouterr().out)
    assert [Path(row["path"]).stem for row in answers] == [f"{n:03}" for n in range(50)]
    assert [row["prediction"] == "damaged" for row in answers] == [n % 3 == 0 for n in range(50)]


def test_heatmaps_are_drawn_over_the_photos(run, cars, tmp_path, capsys):
    assert run(cars, "--heatmaps", tmp_path / "seen") == 0
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["b-red.png", "blue.png"]
    seen = cv2.imread(str(tmp_path / "seen" / "blue.png"))[:, :, ::-1]
    assert seen.shape == (80, 120, 3)
    assert np.abs(seen.astype(int) - plain_photo(red=False)).max() < 10


def test_drawing_heatmaps_changes_no_answer(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), (1600, 1200))
    (tmp_path / "large.jpg").write_bytes(jpeg(photo))
    run(tmp_path / "large.jpg")
    without = capsys.readouterr().out
    run(tmp_path / "large.jpg", "--heatmaps", tmp_path / "seen")
    assert capsys.readouterr().out == without
    assert cv2.imread(str(tmp_path / "seen" / "large.png")).shape == (750, 1000, 3)  # over 640 px


def test_photos_of_one_name_get_heatmaps_of_their_own(tmp_path):
    paths = [Path("a/car.jpg"), Path("b/Car.png"), Path("c/car-2.jpg"), Path("d/car.jpg")]
    names = [path.name for path in predict.overlay_paths(paths, tmp_path)]
    assert names == ["car.png", "Car-2.png", "car-2-2.png", "car-3.png"]


def test_heatmaps_never_replace_photos(run, cars, capsys):
    assert run(cars, "--heatmaps", cars / "deep" / ".." / "deep" / "er") == 2
    assert "give --heatmaps another folder" in capsys.readouterr().err


def test_another_version_can_be_asked(run, cars, models, tiny_graph, capsys):
    strict = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", threshold=1.0)
    assert run(cars / "b-red.JPG", "--model", strict) == 0
    assert rows(capsys.readouterr().out)[0]["prediction"] == "not_damaged"


def test_a_sample_model_says_that_it_only_knows_drawn_cars(run, cars, models, tiny_graph, capsys):
    sample = models / "sample"
    model_store.use(sample, tiny_model.add_version(sample, tiny_graph, sample=True))
    assert run(cars / "b-red.JPG", "--models", sample) == 0
    shown = capsys.readouterr()
    assert shown.err.endswith("is a sample model: it only knows drawn cars\n")
    assert rows(shown.out)[0]["prediction"] == "damaged"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{cars}/gone.jpg"], "there is no photo or folder"),
        (["{cars}", "{cars}/gone"], "there is no photo or folder"),
        (["{empty}"], "there is no photo in"),
        (["{cars}", "--models", "{empty}"], "there is no model in"),
        (["{cars}", "--model", "20990101-0000-0000"], "there is no version"),
        (["{cars}", "--model", "../x"], "is not the name of a version"),
        (["{cars}", "--csv", "{empty}"], "is a folder"),
        (["{cars}", "--csv", "{cars}/notes.txt/a.csv"], "cannot be written"),
        (["{cars}", "--heatmaps", "{cars}/notes.txt"], "cannot be written"),
    ],
)
def test_a_mistake_gets_one_sentence_before_any_work(
    run, cars, tmp_path, capsys, arguments, message
):
    (tmp_path / "empty").mkdir()
    places = {"cars": cars, "empty": tmp_path / "empty"}
    assert run(*(argument.format(**places) for argument in arguments)) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_a_disk_that_fills_up_gets_one_sentence(run, cars, tmp_path, capsys, monkeypatch):
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert run(cars, "--heatmaps", tmp_path / "seen", "--csv", tmp_path / "answers.csv") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "answers.csv").exists()


def test_no_training_library_is_imported():
    code = "import sys, predict; print(*{name.partition('.')[0] for name in sys.modules})"
    root = Path(predict.__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"tensorflow", "keras", "sklearn", "scipy"}.isdisjoint(done.stdout.split())


def test_the_command_answers(models, cars):
    root = Path(predict.__file__).parent
    command = [sys.executable, "predict.py", str(cars / "b-red.JPG"), "--models", str(models)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rows(done.stdout)[0]["prediction"] == "damaged"
