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
from car_damage import classify_files, model_store, paths
from car_damage.decision import Decision
from car_damage.photo_warnings import WarningLimits
from tests import tiny_model
from tests.photo_files import jpeg
from tests.tiny_model import plain_photo


@pytest.fixture
def cars(tmp_path) -> Path:
    """A folder with one damaged and one undamaged photo, and a file that is not a photo."""
    folder = tmp_path / "cars"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b-red.JPG").write_bytes(jpeg(plain_photo(red=True)))
    (folder / "deep" / "er" / "blue.jpeg").write_bytes(jpeg(plain_photo(red=False)))
    (folder / "broken.jpg").write_bytes(b"no photo at all")
    (folder / "notes.txt").write_text("skipped")
    return folder


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_photo_of_a_folder_gets_a_line(run, cars, capsys):
    assert run(cars) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == "path,prediction,probability,review,warnings,error"
    red, broken, blue = rows(shown.out)
    assert red["path"] == str(cars / "b-red.JPG")
    assert (red["prediction"], red["error"]) == ("damaged", "")
    assert list(broken.values())[1:] == ["", "", "", "", "not_a_photo"]
    assert blue["prediction"] == "not_damaged"
    assert float(blue["probability"]) < 0.5 < float(red["probability"]) < 1
    assert shown.err.splitlines() == [
        "1 of 3 photos could not be used; see the column error",
        "skipped: 1 .txt",
    ]


def test_another_version_can_be_used_and_its_warnings_are_in_the_row(
    run, cars, models, tiny_graph, capsys
):
    familiar = np.full((1, tiny_model.FEATURES), tiny_model.FEATURES**-0.5, np.float32)
    limits = WarningLimits(
        sharpness=0.4, brightness=50.0, blown=0.3, short_side=90, distance=0.1, components=familiar
    )
    decision = Decision(temperature=2.0, threshold=0.5, review_band=(0.5, 1.0))
    name = tiny_model.add_version(
        models, tiny_graph, "20260401-0900-ffff", decision, warning_limits=limits
    )
    assert run(cars / "b-red.JPG", cars / "deep", "--model", name) == 0
    shown = capsys.readouterr()
    red, blue = rows(shown.out)
    assert (red["review"], red["warnings"]) == ("yes", "blurred low_resolution unfamiliar")
    assert blue["review"] == "no"
    assert shown.err == ""


def test_the_csv_file_has_what_the_screen_would_show(run, cars, tmp_path, capsys):
    if sys.platform == "linux":  # other systems have no names that are not text
        (cars / "b-red.JPG").rename(cars / os.fsdecode(b"\xff.jpg"))
    assert run(cars, "--csv", tmp_path / "new" / "answers.csv") == 0
    assert capsys.readouterr().out == ""
    run(cars)
    assert (tmp_path / "new" / "answers.csv").read_text("utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("name", ["upload", "new.JPG"])
def test_the_csv_file_never_replaces_a_photo(run, cars, capsys, name):
    (cars / "b-red.JPG").rename(cars / "upload")
    before = (cars / "upload").read_bytes()
    assert run(cars / "upload", "--csv", cars / "deep" / ".." / name) == 2
    assert "is a photo. Choose another file" in capsys.readouterr().err
    assert (cars / "upload").read_bytes() == before


def test_rows_are_written_while_photos_are_classified_and_the_file_appears_at_the_end(tmp_path):
    def answers():
        for number in range(10_000):
            yield classify_files.Row(f"{number}.jpg")
            partial = tmp_path / "answers.csv.partial"
            if number == 9_000:
                assert partial.stat().st_size > 10_000
                assert (tmp_path / "answers.csv").read_text() == "of an earlier run"

    (tmp_path / "answers.csv").write_text("of an earlier run")
    predict.save(answers(), tmp_path / "answers.csv")
    assert len(rows((tmp_path / "answers.csv").read_text())) == 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["answers.csv"]


def test_a_file_that_cannot_be_read_gets_the_error_unreadable(run, cars, capsys, monkeypatch):
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "b-red.JPG":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert run(cars) == 0
    errors = [row["error"] for row in rows(capsys.readouterr().out)]
    assert errors == ["unreadable", "not_a_photo", ""]


def test_photos_and_folders_may_be_mixed_and_each_photo_counts_once(run, cars, capsys):
    (cars / "deep" / "er" / "blue.jpeg").rename(cars / "deep" / "upload")
    assert run(cars / "deep" / "upload", cars, cars / "b-red.JPG") == 0
    answers = rows(capsys.readouterr().out)
    assert [Path(row["path"]).name for row in answers] == ["upload", "b-red.JPG", "broken.jpg"]
    assert answers[0]["prediction"] == "not_damaged"


def test_earlier_answers_and_system_files_are_not_counted_as_skipped(run, cars, tmp_path, capsys):
    (cars / "notes.txt").unlink()
    (cars / "._b-red.JPG").touch()
    for _ in range(2):
        assert run(cars, "--csv", cars / "answers.csv") == 0
    assert "skipped" not in capsys.readouterr().err
    assert len(rows((cars / "answers.csv").read_text())) == 3


def test_the_error_for_a_folder_without_photos_lists_the_other_files(run, cars, capsys):
    (cars / "films").mkdir()
    (cars / "films" / "a.MOV").touch()
    assert run(cars / "films") == 2
    assert "films (skipped: 1 .mov). Choose a folder" in capsys.readouterr().err


def test_photos_in_a_linked_folder_are_answered(run, cars, tmp_path, capsys):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "cars").symlink_to(cars / "deep")
    assert run(tmp_path / "links") == 0
    assert len(rows(capsys.readouterr().out)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has no such names")
def test_control_characters_in_names_are_escaped_on_the_screen_only(run, cars, tmp_path, capsys):
    cars.joinpath("\x1b[31mred.jpg").write_bytes(b"no photo")
    assert run(cars) == 0
    shown = capsys.readouterr()
    assert "\\x1b[31mred.jpg" in shown.out
    assert "\x1b" not in shown.out + shown.err
    assert run(cars, "--csv", tmp_path / "answers.csv") == 0
    assert "\x1b[31mred.jpg" in (tmp_path / "answers.csv").read_text()


def test_many_photos_are_answered_in_order(run, tmp_path, capsys):
    (tmp_path / "many").mkdir()
    for number in range(50):
        photo = jpeg(plain_photo(red=number % 3 == 0))
        (tmp_path / "many" / f"{number:03}.jpg").write_bytes(photo)
    assert run(tmp_path / "many") == 0
    answers = rows(capsys.readouterr().out)
    assert [Path(row["path"]).stem for row in answers] == [f"{n:03}" for n in range(50)]
    assert [row["prediction"] == "damaged" for row in answers] == [n % 3 == 0 for n in range(50)]


def test_heatmaps_are_drawn_over_the_photos_and_change_no_answer(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), (1600, 1200))
    (tmp_path / "large.jpg").write_bytes(jpeg(photo))
    (tmp_path / "blue.png").write_bytes(cv2.imencode(".png", plain_photo(False)[..., ::-1])[1])
    run(tmp_path / "large.jpg", tmp_path / "blue.png")
    without = capsys.readouterr().out
    run(tmp_path / "large.jpg", tmp_path / "blue.png", "--heatmaps", tmp_path / "seen")
    assert capsys.readouterr().out == without
    assert cv2.imread(str(tmp_path / "seen" / "large.png")).shape == (750, 1000, 3)  # over 640 px
    seen = cv2.imread(str(tmp_path / "seen" / "blue.png"))[:, :, ::-1]
    assert np.abs(seen.astype(int) - plain_photo(red=False)).max() < 10


def test_a_photo_that_disappears_after_it_was_read_gets_its_answer_and_its_heatmap(
    run, cars, tmp_path, capsys, monkeypatch
):
    read = Path.read_bytes

    def read_and_delete(path: Path) -> bytes:
        data = read(path)
        if path.name == "b-red.JPG":
            path.unlink()
        return data

    monkeypatch.setattr(Path, "read_bytes", read_and_delete)
    assert run(cars / "b-red.JPG", "--heatmaps", tmp_path / "seen") == 0
    assert rows(capsys.readouterr().out)[0]["prediction"] == "damaged"
    assert (tmp_path / "seen" / "b-red.png").exists()


def test_photos_of_one_name_get_heatmaps_of_their_own(tmp_path):
    found = [Path("a/car.jpg"), Path("b/Car.png"), Path("c/car-2.jpg"), Path("d/car.jpg")]
    names = [path.name for path in classify_files.heatmap_paths(found, tmp_path)]
    assert names == ["car.png", "Car-2.png", "car-2-2.png", "car-3.png"]


def test_heatmaps_in_the_photo_folder_are_not_classified(run, cars, capsys):
    run(cars, "--heatmaps", cars / "deep" / "seen")
    first = capsys.readouterr().out
    assert run(cars, "--heatmaps", cars / "deep" / "seen") == 0
    assert run(cars) == 0
    assert capsys.readouterr().out == 2 * first
    drawn = sorted(path.name for path in (cars / "deep" / "seen").iterdir())
    assert drawn == ["b-red.png", "blue.png"]


def test_heatmaps_never_replace_photos(run, cars, capsys):
    before = jpeg(plain_photo(red=False))
    (cars / "deep" / "b-red.png").write_bytes(before)
    assert run(cars / "b-red.JPG", "--heatmaps", cars / "deep") == 2
    assert "Choose another folder for --heatmaps." in capsys.readouterr().err
    assert (cars / "deep" / "b-red.png").read_bytes() == before


def test_warns_that_a_sample_model_was_trained_on_drawn_cars(run, cars, models, tiny_graph, capsys):
    sample = models / "sample"
    model_store.use(sample, tiny_model.add_version(sample, tiny_graph, sample=True))
    assert run(cars / "b-red.JPG", "--models", sample) == 0
    shown = capsys.readouterr()
    assert shown.err.endswith("is a sample model, trained on drawn cars only\n")
    assert rows(shown.out)[0]["prediction"] == "damaged"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{cars}/gone.jpg"], "There is no photo or folder"),
        (["{empty}"], "No photos in"),
        (["{cars}", "--models", "{empty}"], "There is no model in"),
        (["{cars}", "--model", "20990101-0000-0000"], "There is no version"),
        (["{cars}", "--csv", "{empty}"], "is a folder"),
        (["{cars}", "--csv", "{cars}/notes.txt/a.csv"], "Cannot write"),
        (["{cars}", "--heatmaps", "{cars}/notes.txt"], "Cannot write"),
    ],
)
def test_a_wrong_option_gets_a_short_error_before_any_work(
    run, cars, tmp_path, capsys, arguments, message
):
    (tmp_path / "empty").mkdir()
    places = {"cars": cars, "empty": tmp_path / "empty"}
    assert run(*(argument.format(**places) for argument in arguments)) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_a_full_disk_gets_a_short_error(run, cars, tmp_path, capsys, monkeypatch):
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert run(cars, "--heatmaps", tmp_path / "seen", "--csv", tmp_path / "answers.csv") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.glob("answers.csv*"))


def test_the_command_answers_from_any_folder_with_the_projects_model_and_loads_no_tensorflow(cars):
    command = [sys.executable, "-X", "importtime", str(paths.ROOT / "predict.py"), "b-red.JPG"]
    done = subprocess.run(command, cwd=cars, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rows(done.stdout)[0]["path"] == "b-red.JPG"
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "numpy" in modules
    assert {"tensorflow", "keras", "sklearn", "scipy"}.isdisjoint(modules)
