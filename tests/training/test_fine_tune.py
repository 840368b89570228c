"""What phase 2 is fed: small images first."""

import numpy as np
import pytest

import model_training
from car_damage.dataset.arrays import Dataset, Split
from car_damage.training import fine_tune as phase_2
from car_damage.training.backbones import named
from car_damage.training.batches import AugmentedBatches
from car_damage.training.checkpoints import Run
from car_damage.training.classifier import build
from car_damage.training.fine_tune import ends_of_sides, fine_tune, growing_sides
from car_damage.training.start import Start


def test_squares_are_small_in_most_epochs_and_whole_in_the_last_ones():
    assert growing_sides(224, epochs=8) == [160] * 5 + [224] * 3


@pytest.mark.parametrize("epochs", [1, 2, 3, 8, 30])
def test_the_last_epoch_sees_squares_as_the_finished_model_will(epochs):
    assert growing_sides(224, epochs)[-1] == 224


def test_squares_that_are_small_already_stay_as_they_are():
    assert growing_sides(96, epochs=3) == [96, 96, 96]


@pytest.mark.parametrize(
    ("source", "sides"),
    [("imagenet", [160, 160, 224]), ("20260401-0900-ffff/model.keras", [224, 224, 224])],
)
def test_what_an_earlier_model_knows_is_not_taught_on_small_squares_again(source, sides):
    args = model_training.build_parser().parse_args(["--epochs", "3"])
    start = Start(None, named("mobilenetv2"), source, [])
    assert model_training.choose_settings(args, start, 224)["sides"] == sides


def test_batches_follow_the_sides_epoch_by_epoch_and_then_keep_the_squares_own():
    images = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 3), np.uint8)
    batches = AugmentedBatches(Split(images, np.array([0, 1, 0, 1]), []), 4, 0, sides=[32])

    first = batches[0][0]
    batches.skip_to(1)
    second = batches[0][0]

    assert (first.shape, second.shape) == ((4, 32, 32, 3), (4, 64, 64, 3))


def test_each_side_is_trained_on_by_itself():
    assert ends_of_sides([160, 160, 224]) == [2, 3]
    assert ends_of_sides([224, 224]) == [2]
    assert ends_of_sides([]) == []


def test_every_epoch_trains_on_its_own_views_at_its_own_side(tmp_path, monkeypatch):
    seen = set()

    class Watched(AugmentedBatches):
        def __getitem__(self, batch):
            made = super().__getitem__(batch)
            seen.add((self.epoch, made[0].shape[1]))
            return made

    monkeypatch.setattr(phase_2, "AugmentedBatches", Watched)
    images = np.random.default_rng(1).integers(0, 255, (8, 192, 192, 3), np.uint8)
    part = Split(images, np.array([0, 1] * 4, np.uint8), [])
    run = Run(tmp_path, {})
    run.start()
    settings = {"epochs": 3, "batch_size": 4, "seed": 0, "learning_rate": 1e-3}
    settings["sides"] = [128, 128, 192]

    dataset = Dataset(part, part, part, {"size": 192})
    fine_tune(build(named("tiny")), dataset, settings, run, resume=False)

    assert seen == {(0, 128), (1, 128), (2, 192)}
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]
