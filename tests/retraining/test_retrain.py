"""retrain.py with labelled photos in an SQLite database, and without training."""

import hashlib
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, delete, insert, select

import retrain
from car_damage import model_store, paths
from car_damage.dataset.sources import run_of
from car_damage.errors import UserError, exit_code
from car_damage.files import sha256_of
from car_damage.records import database
from car_damage.records.tables import feedback, kept_photos, predictions
from car_damage.retraining import adding
from scripts import pipeline
from tests import tiny_model
from tests.photo_files import heic, jpeg, texture, write_raw_dir
from tests.records.answered import add, keep

ROOT = Path(__file__).parents[2]
NEW = "20260401-0900-ffff"


class Records:
    """The service's records: photos that people have labelled."""

    def __init__(self, url: str, kept: Path):
        database.migrate(url)
        self.engine, self.kept = create_engine(url), kept
        self.time = datetime(2026, 11, 1, tzinfo=UTC)

    def label(self, photo: bytes, word: str = "damaged", in_review: bool = True) -> str:
        """Answer a photo, keep it, and store what a person said. Return its SHA-256."""
        sha256 = hashlib.sha256(photo).hexdigest()
        with self.engine.connect() as connection:
            if not connection.scalar(select(kept_photos).where(kept_photos.c.sha256 == sha256)):
                keep(self.engine, self.kept, photo)
        prediction = add(self.engine, sha256=sha256)
        self.time += timedelta(minutes=1)
        row = {"label": word, "time": self.time, "given_by": "clerk", "in_review": in_review}
        with self.engine.begin() as connection:
            of = select(predictions.c.number).where(predictions.c.id == prediction)
            number = connection.scalar(of)
            connection.execute(insert(feedback).values(prediction=number, **row))
        return sha256

    def forget(self, sha256: str) -> None:
        """Delete everything about a photo."""
        with self.engine.begin() as connection:
            numbers = select(predictions.c.number).where(predictions.c.sha256 == sha256)
            connection.execute(delete(feedback).where(feedback.c.prediction.in_(numbers)))
            connection.execute(delete(predictions).where(predictions.c.sha256 == sha256))
            connection.execute(delete(kept_photos).where(kept_photos.c.sha256 == sha256))


def photo(seed: int) -> bytes:
    return jpeg(texture(seed))


@pytest.fixture
def records(project, tiny_graph, monkeypatch) -> Records:
    """The records of a project with training photos and a version that has learnt most of them."""
    raw = write_raw_dir(project / "data" / "raw", per_class=5)
    learnt = sorted(sha256_of(path) for path in raw.rglob("*.jpg"))[:8]
    files = {"trained_on.txt": "\n".join(learnt).encode(), "model.keras": b"weights"}
    models = project / "models"
    model_store.use(models, tiny_model.add_version(models, tiny_graph, files=files))
    url, kept = f"sqlite:///{project / 'records.db'}", project / "kept"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("KEEP_PHOTOS", str(kept))
    return Records(url, kept)


@pytest.fixture
def runs(records, project, tiny_graph, monkeypatch) -> list[list[str]]:
    """Instead of training, add a version and use it. The list gets the options of each run."""
    found: list[list[str]] = []

    def run(words) -> Path:
        found.append(list(words))
        version = tiny_model.add_version(
            project / "models", tiny_graph, f"2026040{len(found)}-0900-ffff"
        )
        model_store.use(project / "models", version)
        (project / "models" / version / "trained_on.txt").write_bytes(
            (project / "models" / tiny_model.VERSION / "trained_on.txt").read_bytes()
        )
        return project / "models"

    monkeypatch.setattr(pipeline, "run", run)
    return found


@pytest.fixture
def trusting(monkeypatch):
    """No label looks wrong. Textures show nothing, so any label may look wrong otherwise."""
    monkeypatch.setattr(adding, "reasons_against", lambda *_: {})


def in_raw() -> dict[str, set[str]]:
    """The names of the labelled photos in data/raw without their run, by class."""
    return {
        label: {path.name.split("-")[-1] for path in (paths.RAW / label / "feedback").glob("*")}
        for label in ("damaged", "not-damaged")
    }


def outcomes(folder: Path) -> dict[str, str]:
    """The outcome of each photo in a feedback.csv, by SHA-256."""
    lines = (folder / "feedback.csv").read_text().splitlines()[1:]
    return {line.split(",")[0]: line.split(",")[2] for line in lines}


@pytest.fixture
def ends(capsys):
    """Run retrain.py as a command; return the exit code and what it says."""

    def run(*options: str) -> tuple[int, str]:
        code = exit_code(lambda: retrain.main([*options]))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.mark.usefixtures("trusting")
def test_labelled_photos_get_into_their_class_under_their_hash_and_both_steps_run(
    records, runs, capsys
):
    damaged, whole = records.label(photo(1)), records.label(photo(2), "not_damaged")
    iphone = records.label(heic(texture(3)))
    records.label(photo(4), "cannot_tell")
    retrain.main(["--min-photos", "1", "--epochs", "2"])
    assert in_raw() == {
        "damaged": {f"{damaged}.jpg", f"{iphone}.heic"},
        "not-damaged": {f"{whole}.jpg"},
    }
    (words,) = runs
    weights = str(Path("models", tiny_model.VERSION, "model.keras"))
    assert words[0] == "--weights"
    assert words[1].endswith(weights)
    assert words[-2:] == ["--epochs", "2"]
    said = capsys.readouterr().out
    assert "labelled photos to train and test with: 3" in said
    assert f"To return to {tiny_model.VERSION}: python -m car_damage.model_store" in said
    assert {*outcomes(paths.RETRAINING).values()} == {"used"}


@pytest.mark.usefixtures("trusting")
def test_the_last_word_counts_and_a_contradiction_is_listed(records, runs, capsys):
    sha256 = records.label(photo(1), "damaged")
    records.label(photo(1), "not_damaged")
    retrain.main(["--min-photos", "1"])
    assert in_raw() == {"damaged": set(), "not-damaged": {f"{sha256}.jpg"}}
    assert "people disagreed on 1; the last label counts" in capsys.readouterr().out
    assert f"{sha256},not-damaged,used,yes" in (paths.RETRAINING / "feedback.csv").read_text()


@pytest.mark.usefixtures("trusting")
def test_views_of_one_car_stay_in_one_split_also_in_later_retrainings(records, runs):
    first, *others = [records.label(photo(seed)) for seed in range(50)]
    retrain.main(["--min-photos", "1"])
    run = runs_in_raw()
    assert len({*run.values()}) == 3  # neighbours come in runs of 24
    records.forget(first)
    records.label(photo(2))  # answers with other numbers, about the same files
    records.label(photo(3), "not_damaged")
    retrain.main(["--min-photos", "1"])
    assert runs_in_raw() == {sha256: run[sha256] for sha256 in others}


def runs_in_raw() -> dict[str, str | None]:
    """The run of each labelled photo in data/raw, by SHA-256."""
    files = paths.RAW.glob("*/feedback/*")
    return {path.stem.split("-")[1]: run_of("feedback", str(path)) for path in files}


@pytest.mark.usefixtures("trusting")
def test_a_new_label_moves_the_photo_and_a_forgotten_photo_is_deleted(records, runs, capsys):
    moves, stays, forgotten = (records.label(photo(seed)) for seed in (1, 2, 3))
    retrain.main(["--min-photos", "1"])
    mine = paths.RAW / "damaged" / "feedback" / "mine.jpg"
    mine.write_bytes(photo(9))
    records.label(photo(1), "not_damaged")
    records.forget(forgotten)
    retrain.main(["--min-photos", "1"])
    assert in_raw() == {"damaged": {f"{stays}.jpg", "mine.jpg"}, "not-damaged": {f"{moves}.jpg"}}
    assert len(runs) == 2
    assert "deleted 2 photos" in capsys.readouterr().out


@pytest.mark.usefixtures("trusting")
def test_nothing_is_trained_without_enough_new_labels(records, runs, capsys):
    forgotten = records.label(photo(1))
    retrain.main(["--min-photos", "2"])
    assert "Nothing was trained: it takes 2 new labels." in capsys.readouterr().out
    records.label(photo(2))
    retrain.main(["--min-photos", "2"])
    assert len(runs) == 1
    records.forget(forgotten)
    retrain.main(["--min-photos", "1"])
    said = capsys.readouterr().out
    assert "0 new labels since the last retraining, 1 in all" in said
    assert len(runs) == 1
    assert forgotten not in str(in_raw())  # deleted all the same


def car(seed: int, red: bool = True) -> bytes:
    """A photo of one colour with noise, so that none is a copy of another."""
    noise = np.random.default_rng([red, seed]).integers(-25, 25, (8, 12, 3))
    pixels = tiny_model.plain_photo(red) + noise.repeat(10, 0).repeat(10, 1)
    return jpeg(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def red_is_damaged(records):
    """Training photos from which one learns that red cars are damaged, and no others."""
    for label, red in (("damaged", True), ("not-damaged", False)):
        for number in range(60):
            (paths.RAW / label / f"{number}_car.jpg").write_bytes(car(number, red))


@pytest.mark.usefixtures("trusting")
def test_the_same_labels_are_not_trained_on_again_if_the_new_version_was_deleted(
    records, runs, capsys
):
    records.label(photo(1))
    retrain.main(["--min-photos", "1"])
    model_store.back(paths.MODELS)
    model_store.remove(paths.MODELS, "20260401-0900-ffff")
    retrain.main(["--min-photos", "1"])
    assert "0 new labels since the last retraining" in capsys.readouterr().out
    assert len(runs) == 1


@pytest.mark.usefixtures("trusting")
def test_a_version_whose_report_failed_has_seen_its_labels_but_a_failed_training_has_not(
    records, runs, ends, monkeypatch
):
    def full(words) -> Path:
        raise UserError("The disk is full.")

    def report_fails(words) -> Path:
        train(words)
        return full(words)

    train = pipeline.run
    records.label(photo(1))
    monkeypatch.setattr(pipeline, "run", full)
    assert "1 new label since" in ends("--min-photos", "1")[1]
    monkeypatch.setattr(pipeline, "run", report_fails)
    assert "1 new label since" in ends("--min-photos", "1")[1]
    assert "0 new labels since" in ends("--min-photos", "1")[1]
    assert len(runs) == 1


@pytest.mark.usefixtures("red_is_damaged")
def test_photos_whose_label_looks_wrong_are_left_out_and_listed(records, runs, capsys):
    right = records.label(car(101), in_review=False)
    wrong = records.label(car(102), "not_damaged", in_review=False)
    copy = records.label(car(3), "not_damaged")
    retrain.main(["--min-photos", "1"])
    assert in_raw() == {"damaged": {f"{right}.jpg"}, "not-damaged": set()}
    assert outcomes(paths.RETRAINING) == outcomes(paths.MODELS / "20260401-0900-ffff")
    assert outcomes(paths.RETRAINING) == {
        right: "used",
        wrong: "label_looks_wrong",
        copy: "both_classes",
    }
    said = capsys.readouterr().out
    assert "left out: 1 label_looks_wrong" in said
    assert "retraining/feedback.csv lists all labelled photos" in said


@pytest.mark.usefixtures("red_is_damaged")
def test_a_label_of_a_reviewer_or_one_given_twice_may_contradict_the_version(records, runs):
    reviewed = records.label(car(101), "not_damaged")
    twice = records.label(car(102), "not_damaged", in_review=False)
    records.label(car(102), "not_damaged", in_review=False)
    once = records.label(car(103), "not_damaged", in_review=False)
    retrain.main(["--min-photos", "1"])
    expected = {reviewed: "used", twice: "used", once: "label_looks_wrong"}
    assert outcomes(paths.RETRAINING) == expected


@pytest.mark.usefixtures("red_is_damaged")
def test_a_wrong_label_that_a_version_has_learnt_can_be_corrected(records, runs):
    sha256 = records.label(car(101), "not_damaged", in_review=False)
    record = model_store.load_record(paths.MODELS)
    learnt = {*model_store.trained_on(record.folder), sha256}
    model_store.add_file(record, model_store.TRAINED_ON, "\n".join(learnt).encode())
    retrain.main(["--min-photos", "1"])
    assert outcomes(paths.RETRAINING) == {sha256: "used"}


@pytest.mark.usefixtures("trusting")
def test_a_photo_whose_file_is_missing_is_left_out(records, runs):
    sha256 = records.label(photo(1))
    (records.kept / sha256[:2] / sha256).unlink()
    retrain.main(["--min-photos", "1"])
    assert in_raw() == {"damaged": set(), "not-damaged": set()}
    assert outcomes(paths.RETRAINING) == {sha256: "missing"}


def test_a_machine_without_the_training_photos_says_so_and_trains_nothing(records, runs, ends):
    records.label(photo(1))
    for path in sorted(paths.RAW.rglob("*.jpg"))[:7]:
        path.unlink()
    code, said = ends("--min-photos", "1")
    assert code == 2
    assert f"of the 8 photos that {tiny_model.VERSION} was trained on are in" in said
    assert "so nothing was trained" in said
    assert in_raw() == {"damaged": set(), "not-damaged": set()}


@pytest.mark.usefixtures("trusting")
def test_deleted_photos_go_even_if_the_training_photos_are_missing(records, runs, ends):
    sha256 = records.label(photo(1))
    retrain.main(["--min-photos", "1"])
    of_a_killed_run = paths.RETRAINING / "waiting" / "damaged" / "feedback" / f"{sha256}.jpg"
    of_a_killed_run.parent.mkdir(parents=True)
    of_a_killed_run.write_bytes(photo(1))
    records.forget(sha256)
    for path in paths.RAW.glob("*/*.jpg"):
        path.unlink()
    assert ends()[0] == 2
    assert in_raw() == {"damaged": set(), "not-damaged": set()}
    assert not of_a_killed_run.exists()


@pytest.mark.usefixtures("trusting")
def test_the_training_photos_may_be_in_another_folder(records, runs, tmp_path):
    records.label(photo(1))
    paths.RAW.rename(tmp_path / "cars")
    paths.RAW.mkdir()
    retrain.main(["--min-photos", "1", "--raw-dir", str(tmp_path / "cars")])
    (words,) = runs
    named = [words[at + 1] for at, word in enumerate(words) if word == "--raw-dir"]
    assert [Path(name).name for name in named] == ["raw", "cars"]
    assert in_raw()["damaged"]


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DATABASE_URL", None, "KEEP_PHOTOS needs a database"),
        ("KEEP_PHOTOS", None, "Set DATABASE_URL and KEEP_PHOTOS"),
        ("DATABASE_URL", "sqlite:////nowhere/records.db", "there is no file /nowhere/records.db"),
    ],
)
def test_a_missing_address_gets_one_sentence(records, ends, monkeypatch, variable, value, sentence):
    monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    code, said = ends()
    assert code == 2
    assert sentence in said
    assert said.count("\n") == 1


def test_an_unknown_option_is_refused_before_anything_is_read(records, ends):
    code, said = ends("--epoch-s", "3")
    assert (code, said) == (2, "error: Unknown option --epoch-s 3. See run_pipeline.sh --help.\n")


def test_another_folder_for_versions_is_refused(records, runs, ends):
    records.label(photo(1))
    code, said = ends("--min-photos", "1", "--models", "elsewhere")
    assert code == 2
    assert "cannot use --models elsewhere. Remove the option." in said
    assert runs == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_second_run_is_refused_and_works_after_the_first_was_killed(records, runs, ends):
    code = "import sys, time; from pathlib import Path; from car_damage.files import only_one"
    code += "\nwith only_one(Path(sys.argv[1]), ''): print('holds', flush=True); time.sleep(60)"
    paths.RETRAINING.mkdir(parents=True)
    command = [sys.executable, "-c", code, str(paths.RETRAINING)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "holds\n"
        assert ends() == (2, "error: Another retraining is running. Wait until it ends.\n")
        first.send_signal(signal.SIGKILL)
    assert "Nothing was trained" in ends()[1]
