"""Phase 2: a fixed number of epochs, and the weights averaged along them."""

import keras
import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset
from car_damage.errors import UserError
from car_damage.manifest import TrainingSettings, WeightsOrigin
from car_damage.training import epoch_lines
from car_damage.training import fine_tune as phase_2
from car_damage.training.backbones import named
from car_damage.training.batches import AugmentedBatches
from car_damage.training.checkpoints import Run
from car_damage.training.classifier import build
from car_damage.training.fine_tune import fine_tune
from car_damage.training.initial_weights import Start
from tests.images import config_of, row, split_of

LABELS = ("not-damaged", "damaged")


def trained(models, epochs: int = 3, learning_rate: float = 1e-3) -> tuple[keras.Model, Run]:
    """A small network, and its run, after phase 2 on a few random images."""
    images = np.random.default_rng(1).integers(0, 255, (8, 64, 64, 3), np.uint8)
    part = split_of([row(number, LABELS[number % 2]) for number in range(8)], images)
    settings = TrainingSettings(
        unfreeze="conv1", epochs=epochs, learning_rate=learning_rate, batch_size=4, seed=0
    )
    start = Start(build(named("tiny")), named("tiny"), WeightsOrigin(source="none"))
    config = config_of(size=64)
    run = Run(models, start, settings, config)
    run.start()
    fine_tune(start.model, Dataset(part, part, part, config), run, resume=False)
    return start.model, run


def test_every_epoch_trains_on_its_own_views(tmp_path, monkeypatch):
    seen = set()

    class Watched(AugmentedBatches):
        def __getitem__(self, batch):
            seen.add(self.epoch)
            return super().__getitem__(batch)

    monkeypatch.setattr(phase_2, "AugmentedBatches", Watched)

    _, run = trained(tmp_path)

    assert seen == {0, 1, 2}
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]


def test_the_model_gets_the_weights_averaged_along_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(phase_2, "AVERAGED", 1e9)  # so far back that the start decides
    keras.utils.set_random_seed(0)
    before = build(named("tiny")).get_layer("conv1").get_weights()[0]
    keras.utils.set_random_seed(0)
    model, run = trained(tmp_path)
    (averaged,) = model.get_layer("conv1").get_weights()
    model.load_weights(run.folder / "epoch-3.weights.h5")
    (last,) = model.get_layer("conv1").get_weights()
    assert np.abs(averaged - before).max() < 2e-3 < np.abs(last - before).max()


def test_each_epoch_gets_a_line_and_all_but_the_last_an_estimate(tmp_path, capsys):
    trained(tmp_path)
    shown = capsys.readouterr()
    lines = [line for line in shown.out.splitlines() if line.startswith("epoch")]
    assert [line[:12] for line in lines] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]
    assert ["left, then the export" in line for line in lines] == [True, True, False]
    assert "\b" not in shown.out + shown.err
    assert "\x1b" not in shown.out + shown.err


def test_the_time_for_building_the_graph_does_not_count_for_the_estimate(monkeypatch, capsys):
    seconds = iter([0, 50, 90])  # an epoch begins, its first of five batches is done, it ends
    monkeypatch.setattr(epoch_lines, "monotonic", lambda: next(seconds))
    lines = epoch_lines.EpochLines(epochs=3)
    lines.set_params({"steps": 5})
    lines.on_epoch_begin(0)
    lines.on_train_batch_end(0)
    lines.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.4, "val_accuracy": 0.9})
    said = "2 min, loss 0.500, validation loss 0.400, accuracy 90.0%; about 2 min left"
    assert said in capsys.readouterr().out


def test_a_run_that_diverges_ends_with_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="lower --learning-rate"):
        trained(tmp_path, learning_rate=1e30)
