"""python drift_check.py, from the rows of a service to the report and the exit code."""

import hashlib
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select

import drift_check
from car_damage import model_store
from car_damage.drift.reference import Reference
from car_damage.errors import UserError
from car_damage.records.kept_photos import KeptPhotos
from car_damage.records.tables import drift_baselines, drift_checks, feedback, predictions
from tests.clients import RED
from tests.drift.recorded import random_photos, record
from tests.tiny_model import VERSION


@pytest.fixture
def engine(engine, database_url, monkeypatch):
    """The database of all tests, which the command finds as it does in production."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return engine


@pytest.fixture
def report(tmp_path):
    return tmp_path / "drift.html"


@pytest.fixture
def run(models, report, capsys):
    """Run the command; return its exit code and what it printed."""

    def start(*options):
        code = 0
        try:
            drift_check.main(["--models", str(models), "--report", str(report), *options])
        except SystemExit as stopped:
            code = stopped.code
        return code, capsys.readouterr().out

    return start


def stored(engine, table):
    with engine.connect() as connection:
        return connection.execute(select(table).order_by(table.c.number)).all()


def test_darker_photos_are_drift_with_exit_code_3_and_a_report_that_says_so(engine, run, report):
    record(engine, random_photos(2000, 0), days_ago=30)
    record(engine, random_photos(300, 1, brighter=-70))
    code, printed = run()
    assert code == 3
    assert printed.startswith(f"drift: 300 photos of {VERSION}\n")
    assert "brightness" in printed
    assert f"full report: {report}" in printed
    page = report.read_text(encoding="utf-8")
    assert "<h1>Drift</h1>" in page
    assert page.index("brightness (0 to 255)") < page.index("What has not moved enough")
    (check,) = stored(engine, drift_checks)
    assert (check.verdict, check.photos) == ("drift", 300)
    assert check.ratios["brightness"] > 1 > check.ratios["sharpness"]


def test_photos_as_before_are_no_drift(engine, run, report):
    record(engine, random_photos(2000, 0), days_ago=30)
    record(engine, random_photos(1200, 1))
    code, printed = run()
    assert code == 0
    assert printed.startswith("no drift: 1,200 photos")
    assert "<h1>No drift</h1>" in report.read_text(encoding="utf-8")
    (check,) = stored(engine, drift_checks)
    assert check.verdict == "no drift"
    assert max(check.ratios.values()) < 1


def test_too_few_photos_are_no_drift_and_it_says_how_many_are_needed(engine, run):
    record(engine, random_photos(1500, 0), days_ago=30)
    code, printed = run()
    assert code == 0
    assert "first 2,000 photos" in printed
    assert "has 1,500 in the records" in printed
    assert "With 1,000 photos, --accept makes a baseline now." in printed
    record(engine, random_photos(500, 1), days_ago=30)
    record(engine, random_photos(199, 2, brighter=-70))
    code, printed = run()
    assert code == 0
    assert "199 photos came" in printed
    assert "needs 200" in printed
    assert [check.verdict for check in stored(engine, drift_checks)] == ["too few photos"] * 2


def test_since_leaves_out_earlier_photos(engine, run):
    record(engine, random_photos(2000, 0), days_ago=30)
    record(engine, random_photos(300, 1, brighter=-70), days_ago=3)
    assert run("--since", "2d")[1].startswith("too few photos: 0 photos")
    assert run("--since", "96h")[0] == 3


def test_accepted_photos_are_the_baseline_from_then_on(engine, run):
    record(engine, random_photos(2000, 0), days_ago=30)
    record(engine, random_photos(1000, 1, brighter=-70))
    assert run()[0] == 3
    code, printed = run("--accept")
    assert code == 0
    assert printed == f"the baseline of {VERSION} is now its newest 1,000 photos\n"
    assert stored(engine, drift_checks)[-1].verdict == "too few photos"  # the alert ends
    record(engine, random_photos(300, 2, brighter=-70))
    assert run()[1].startswith("no drift: 300 photos")
    record(engine, random_photos(300, 3))
    assert run()[0] == 3


def test_too_few_photos_cannot_be_accepted(engine, run):
    record(engine, random_photos(999, 0))
    with pytest.raises(UserError, match=r"A baseline needs 1,000 photos, but .* only 999 since"):
        run("--accept")
    assert stored(engine, drift_baselines) == []


def test_another_version_gets_a_baseline_of_its_own(engine, run):
    record(engine, random_photos(2000, 0), days_ago=30)
    run()
    newer = "20260401-0900-ffff"
    record(engine, random_photos(500, 1, brighter=-70), version=newer)
    code, printed = run()
    assert code == 0
    assert f"{newer} has 500 in the records" in printed
    record(engine, random_photos(1500, 2, brighter=-70), version=newer)
    record(engine, random_photos(300, 3, brighter=-70), version=newer)
    assert run()[1].startswith(f"no drift: 300 photos of {newer}")
    assert {each.model_version for each in stored(engine, drift_baselines)} == {VERSION, newer}


def test_the_baseline_stays_when_its_photos_are_deleted(engine, run):
    record(engine, random_photos(2000, 0), days_ago=30)
    run()
    with engine.begin() as connection:
        connection.execute(predictions.delete())
    record(engine, random_photos(1100, 1, brighter=-70))
    assert run()[0] == 3


def test_a_loss_of_accuracy_on_audits_is_drift(engine, run):
    record(engine, random_photos(2000, 0), days_ago=30, audit=True)
    record(engine, random_photos(400, 1), audit=True)
    label_all(engine, wrong=150)
    code, printed = run()
    assert code == 3
    assert "accuracy on audited answers" in printed


def label_all(engine, wrong):
    """Review all photos; the last answers are wrong."""
    other = {"damaged": "not_damaged", "not_damaged": "damaged"}
    with engine.begin() as connection:
        rows = connection.execute(select(predictions).order_by(predictions.c.number)).all()
        labels = [row.prediction for row in rows[:-wrong]]
        labels += [other[row.prediction] for row in rows[-wrong:]]
        given = {"time": datetime.now(UTC), "given_by": "", "in_review": True}
        connection.execute(
            insert(feedback),
            [
                {"prediction": row.number, "label": label, **given}
                for row, label in zip(rows, labels, strict=True)
            ],
        )


def test_the_report_shows_kept_photos(engine, run, report, tmp_path, monkeypatch):
    monkeypatch.setenv("KEEP_PHOTOS", str(tmp_path / "kept"))
    KeptPhotos(str(tmp_path / "kept")).write(hashlib.sha256(RED).hexdigest(), RED)
    record(engine, random_photos(2000, 0), days_ago=30)
    record(engine, random_photos(300, 1, brighter=-70))
    assert run()[0] == 3
    assert "data:image/jpeg;base64," in report.read_text(encoding="utf-8")


def test_a_version_without_a_reference_says_so_and_one_with_it_gives_a_distance(
    engine, run, models
):
    record(engine, random_photos(2000, 0), days_ago=30)
    photos = random_photos(300, 1)
    record(engine, photos)
    assert f"because {VERSION} has no reference.npz" in run()[1]
    learnt = random_photos(1500, 2).embeddings
    content = Reference.of(learnt[:1000], learnt[1000:], seed=0).to_bytes()
    model_store.add_file(model_store.load_record(models), model_store.REFERENCE, content)
    printed = run()[1]
    assert "of the photos are far from the training photos" in printed
    assert stored(engine, drift_checks)[-1].far_from_training < 0.2


def test_without_a_database_url_it_says_what_to_set(run, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(UserError, match="DATABASE_URL is not set"):
        run()


def test_a_database_that_is_missing_or_unreachable_is_one_sentence(run, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(UserError, match=r"there is no file .*other.db. Check"):
        run()
    assert not (tmp_path / "other.db").exists()
    monkeypatch.setenv("DATABASE_URL", "postgresql://service:hunter2@localhost:9/records")
    with pytest.raises(UserError, match="DATABASE_URL cannot be used: connection failed") as failed:
        run()
    assert "hunter2" not in str(failed.value)


def test_a_database_without_predictions_is_one_sentence(engine, run):
    with pytest.raises(UserError, match="contains no predictions yet"):
        run()


@pytest.mark.parametrize("text", ["0d", "7", "week", "7d ", "-1d"])
def test_a_wrong_length_of_time_is_refused(run, text, capsys):
    with pytest.raises(SystemExit):
        drift_check.main([f"--since={text}"])
    assert "is not a length of time such as 7d or 12h" in capsys.readouterr().err
