"""Training that starts from an earlier model never tests on that model's training photos."""

import pytest

import model_training
from car_damage import model_store
from car_damage.dataset.arrays import load
from car_damage.dataset.find import find_photos
from car_damage.dataset.prepare import Settings, prepare
from car_damage.dataset.sample import write_sample_photos
from car_damage.errors import UserError

SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same drawn cars, split in two ways; a model that learnt from the first."""
    folder = tmp_path_factory.mktemp("learnt")
    write_sample_photos(folder / "raw", per_class=40)
    lot = folder / "raw" / "damaged" / "lot"
    lot.mkdir()
    for photo in sorted((folder / "raw" / "damaged").glob("*.jpg"))[:10]:
        photo.rename(lot / f"{photo.stem}-lot.jpg")  # without a number at the end: no run
    for seed in (0, 1):
        settings = Settings(32, 48, close_ups=0, shares=SHARES, seed=seed, sample=True)
        prepare(find_photos([folder / "raw"]), folder / f"data-{seed}", settings)
    train(folder, 0, "first", "--weights", "none")
    return folder


def train(folder, seed, models, *more):
    options = ["--backbone", "tiny", "--epochs", "0", "--batch-size", "8", *more]
    where = ["--data", str(folder / f"data-{seed}"), "--models", str(folder / models)]
    model_training.main([*where, *options])


def the_record(folder, models):
    return model_store.load_record(folder / models, model_store.versions(folder / models)[-1])


def sha256s(split):
    return {row.sha256 for row in split.rows}


def test_a_version_lists_each_photo_that_it_was_trained_on(folder):
    learnt = model_store.trained_on(the_record(folder, "first").folder)
    assert learnt == sha256s(load(folder / "data-0").train)
    assert "trained_on.txt" in the_record(folder, "first").manifest.files


def test_photos_that_the_earlier_model_learnt_move_to_training_with_a_notice(folder, capsys):
    earlier = the_record(folder, "first").folder
    train(folder, 1, "second", "--weights", str(earlier / "model.keras"))
    before, first = load(folder / "data-1"), model_store.trained_on(earlier)
    moved = {name: len(sha256s(getattr(before, name)) & first) for name in ("val", "test")}
    assert min(moved.values()) > 0
    said = capsys.readouterr().out
    assert f"{moved['val']} validation and {moved['test']} test photos move to training" in said
    record = the_record(folder, "second")
    assert record.manifest.moved_to_training == moved
    assert record.manifest.metrics.photos.count == len(sha256s(before.test) - first)
    assert f"{moved['test']} test photos were moved to training" in (
        record.folder / "report.html"
    ).read_text(encoding="utf-8")
    learnt = model_store.trained_on(record.folder)
    assert learnt == first | sha256s(before.train)  # its ancestors' too


def test_a_source_that_the_earlier_model_learnt_cannot_be_left_out(folder):
    weights = str(the_record(folder, "first").folder / "model.keras")
    with pytest.raises(UserError, match="Choose other --weights"):
        train(folder, 1, "fourth", "--weights", weights, "--leave-out", "lot")


@pytest.mark.parametrize("held_out", [["--leave-out", "lot"], ["--cross-sources"]])
def test_sources_that_the_earlier_model_learnt_are_refused_before_step_1(folder, held_out):
    weights = str(the_record(folder, "first").folder / "model.keras")
    args = model_training.build_parser().parse_args(["--weights", weights, *held_out])
    photos = find_photos([folder / "raw"])
    with pytest.raises(UserError, match="Choose other --weights"):
        model_training.check_unseen(args, model_training.choose_start(args, True, folder), photos)


def test_warns_if_the_training_photos_of_the_earlier_model_are_unknown(folder, capsys):
    earlier = the_record(folder, "first").folder
    alone = folder / "model.keras"
    alone.write_bytes((earlier / "model.keras").read_bytes())
    train(folder, 1, "third", "--weights", str(alone))
    assert "it is unknown which photos" in capsys.readouterr().out
    assert model_store.trained_on(the_record(folder, "third").folder) is None
