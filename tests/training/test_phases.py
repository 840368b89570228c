"""Both phases: what a soup is made of, and that it can be resumed."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset
from car_damage.manifest import TrainingSettings, WeightsOrigin
from car_damage.training import phases
from car_damage.training.backbones import named
from car_damage.training.checkpoints import Run
from car_damage.training.classifier import build
from car_damage.training.initial_weights import Start
from tests.images import config_of, row, split_of

LABELS = ("not-damaged", "damaged")


def data_set() -> Dataset:
    images = np.random.default_rng(1).integers(0, 255, (16, 64, 64, 3), np.uint8)
    part = split_of([row(number, LABELS[number % 2]) for number in range(16)], images)
    return Dataset(part, part, part, config_of(size=64))


def trained(models: Path, resume: bool = False) -> list[np.ndarray]:
    """The weights of a small soup."""
    settings = {"unfreeze": "conv1", "epochs": 2, "learning_rate": 1e-3, "batch_size": 4}
    keras.utils.set_random_seed(0)
    start = Start(build(named("tiny")), named("tiny"), WeightsOrigin(source="none"))
    run = Run(models, start, TrainingSettings(**settings, seed=0, soup=True), data_set().config)
    phases.train(start, data_set(), run, resume)
    return start.model.get_weights()


@pytest.fixture
def watched(monkeypatch):
    """The weights and options of each model of the soup, in the order of their training."""
    made = []
    fine_tune = phases.fine_tune

    def watch(model, *rest, **options):
        fine_tune(model, *rest, **options)
        made.append((model.get_weights(), options.get("made_up", True)))

    monkeypatch.setattr(phases, "fine_tune", watch)
    return made


def test_a_soup_is_the_average_of_two_models_one_of_them_without_made_up_images(tmp_path, watched):
    soup = trained(tmp_path)
    (first, with_made_up), (second, without) = watched
    assert (with_made_up, without) == (True, False)
    assert any(np.abs(one - two).max() > 1e-4 for one, two in zip(first, second, strict=True))
    for one, two, both in zip(first, second, soup, strict=True):
        np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-5, atol=1e-7)


def test_a_soup_killed_in_its_second_model_and_resumed_is_the_same(tmp_path, monkeypatch):
    whole = trained(tmp_path / "whole")
    save = Run.save

    def killed(self, model, row):
        save(self, model, row)
        if self.folder.name == "plain":
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed")
    monkeypatch.setattr(Run, "save", save)
    for one, two in zip(trained(tmp_path / "killed", resume=True), whole, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    shutil.rmtree(tmp_path / "killed")
