"""Cross-source validation from end to end, on drawn cars of three sources."""

import shutil
from contextlib import contextmanager

import pytest

import model_training
from car_damage import model_store
from car_damage.dataset.arrays import load
from car_damage.dataset.find import find_photos
from car_damage.dataset.prepare import Settings, prepare
from car_damage.dataset.sample import write_sample_photos
from car_damage.errors import UserError
from car_damage.evaluation.cross_sources import HELD_OUT, HOME, read_answers
from car_damage.training import cross_sources

SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Drawn cars of the sources "lot" and "road", and "snow" with undamaged cars only."""
    folder = tmp_path_factory.mktemp("sources")
    write_sample_photos(folder / "raw", per_class=60)
    for label in ("damaged", "not-damaged"):
        names = ("lot", "road") if label == "damaged" else ("lot", "road", "snow")
        for number, photo in enumerate(sorted((folder / "raw" / label).glob("*.jpg"))):
            source = folder / "raw" / label / names[number % len(names)]
            source.mkdir(exist_ok=True)
            photo.rename(source / f"{photo.stem}-drawn.jpg")
    settings = Settings(32, 48, close_ups=1, shares=SHARES, seed=0, sample=True)
    prepare(find_photos([folder / "raw"]), folder / "data", settings)
    return folder


def train(folder, models, *more):
    where = ["--data", str(folder / "data"), "--models", str(models)]
    how = ["--backbone", "tiny", "--weights", "none", "--epochs", "1", "--batch-size", "8"]
    model_training.main([*where, *how, *more])


def the_record(models):
    (version,) = model_store.versions(models)
    return model_store.load_record(models, version)


@contextmanager
def killed_in_fold(number, monkeypatch):
    """Have the program die once this fold has its answers, but before it writes them."""
    written = []

    def write(path, answers):
        written.append(path)
        if len(written) == number:
            raise KeyboardInterrupt
        write_answers(path, answers)

    write_answers = cross_sources.write_answers
    monkeypatch.setattr(cross_sources, "write_answers", write)
    with pytest.raises(KeyboardInterrupt):
        yield
    monkeypatch.setattr(cross_sources, "write_answers", write_answers)


def test_each_source_is_classified_by_a_model_that_never_saw_it_even_after_a_kill(
    folder, tmp_path, monkeypatch, capsys
):
    with killed_in_fold(2, monkeypatch):
        train(folder, tmp_path, "--cross-sources")
    capsys.readouterr()
    train(folder, tmp_path, "--cross-sources", "--resume")
    assert "fold 1" not in capsys.readouterr().out, "the first fold was finished"

    record = the_record(tmp_path)
    answers = read_answers(record.folder / "cross_sources.csv")
    home_test = {row.path for row in load(folder / "data").test.rows}
    assert not home_test & {one.path for one in answers}
    for fold in (0, 1):
        held_out = {one.source for one in answers if one.fold == fold and one.part == HELD_OUT}
        home = {one.source for one in answers if one.fold == fold and one.part == HOME}
        assert min(len(held_out), len(home)) > 0
        assert not held_out & home
    abroad = record.manifest.metrics.abroad
    assert abroad.sources.keys() == {"lot", "road", "snow"}
    assert abroad.threshold == record.manifest.decision.threshold
    assert record.manifest.metrics.effective_dimension > 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("training")] == []


def test_the_error_for_too_many_folds_says_how_many_are_possible(folder, tmp_path):
    with pytest.raises(UserError, match="2"):
        train(folder, tmp_path, "--cross-sources", "3")
    with pytest.raises(UserError, match="Remove --leave-out"):
        train(folder, tmp_path, "--cross-sources", "--leave-out", "lot")
    assert not list(tmp_path.iterdir())


def test_other_photos_cannot_resume_a_killed_run(folder, tmp_path, monkeypatch):
    with killed_in_fold(1, monkeypatch):
        train(folder, tmp_path / "models", "--cross-sources")
    more = tmp_path / "more"
    shutil.copytree(folder / "raw", more / "raw")
    (next((more / "raw" / "damaged" / "lot").iterdir())).unlink()
    settings = Settings(32, 48, close_ups=1, shares=SHARES, seed=0, sample=True)
    prepare(find_photos([more / "raw"]), more / "data", settings)
    with pytest.raises(UserError, match="no interrupted run with these options and data"):
        train(more, tmp_path / "models", "--cross-sources", "--resume")
