"""Phase 2: small images first, and when it ends."""

import numpy as np
import pytest

import model_training
from car_damage.dataset.arrays import Dataset, Split
from car_damage.manifest import TrainingSettings, WeightsOrigin
from car_damage.training import fine_tune as phase_2
from car_damage.training.backbones import named
from car_damage.training.batches import AugmentedBatches
from car_damage.training.checkpoints import Run
from car_damage.training.classifier import build
from car_damage.training.fine_tune import fine_tune, growing_sides
from car_damage.training.initial_weights import Start
from tests.images import config_of


def test_large_images_are_small_in_most_epochs_and_full_size_in_the_last_ones():
    assert growing_sides(224, epochs=8) == (160,) * 5 + (224,) * 3
    assert [growing_sides(224, epochs)[-1] for epochs in (1, 2, 3, 30)] == [224] * 4
    assert growing_sides(96, epochs=3) == (96, 96, 96)


@pytest.mark.parametrize(
    ("source", "sides"),
    [("imagenet", (160, 160, 224)), ("20260401-0900-ffff/model.keras", (224, 224, 224))],
)
def test_an_earlier_model_is_not_trained_on_small_images_again(source, sides):
    args = model_training.build_parser().parse_args(["--epochs", "3"])
    start = Start(None, named("mobilenetv2"), WeightsOrigin(source=source))
    assert model_training.choose_settings(args, start, 224).sides == sides


def trained_with(sides: tuple[int, ...], models) -> Run:
    """The run after phase 2 on a few random images."""
    images = np.random.default_rng(1).integers(0, 255, (8, 192, 192, 3), np.uint8)
    part = Split(images, np.array([0, 1] * 4, np.uint8), [])
    settings = TrainingSettings(
        unfreeze="conv1", epochs=len(sides), sides=sides, learning_rate=1e-3, batch_size=4, seed=0
    )
    start = Start(build(named("tiny")), named("tiny"), WeightsOrigin(source="none"))
    run = Run(models, start, settings, "fingerprint")
    run.start()
    fine_tune(
        start.model, Dataset(part, part, part, config_of(size=192)), settings, run, resume=False
    )
    return run


def test_every_epoch_trains_on_its_own_views_at_its_own_side(tmp_path, monkeypatch):
    seen = set()

    class Watched(AugmentedBatches):
        def __getitem__(self, batch):
            made = super().__getitem__(batch)
            seen.add((self.epoch, made[0].shape[1]))
            return made

    monkeypatch.setattr(phase_2, "AugmentedBatches", Watched)

    run = trained_with((128, 128, 192), tmp_path)

    assert seen == {(0, 128), (1, 128), (2, 192)}
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]


def test_training_stops_early_but_not_before_full_size_had_its_chance(tmp_path, monkeypatch):
    save = Run.save

    def save_as_ever_worse(run, model, row):
        save(run, model, {**row, "val_loss": row["epoch"]})

    monkeypatch.setattr(Run, "save", save_as_ever_worse)
    monkeypatch.setattr(phase_2, "PATIENCE", 2)

    run = trained_with((128,) * 4 + (192,) * 4, tmp_path)

    assert [row["epoch"] for row in run.history()] == [1, 2, 3, 4, 5, 6]
