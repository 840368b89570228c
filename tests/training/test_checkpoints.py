"""A run on disk, and what a killed one can go on from."""

import keras
import numpy as np
import pytest

from car_damage.errors import UserError
from car_damage.manifest import TrainingSettings, WeightsOrigin
from car_damage.training.backbones import named
from car_damage.training.checkpoints import Run
from car_damage.training.initial_weights import Start


def small_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.AdamW(0.1), "mse")
    return model


def train_an_epoch(model: keras.Model) -> None:
    model.fit(np.ones((4, 2)), np.zeros((4, 1)), verbose=0)


def run_in(models, seed: int = 0) -> Run:
    settings = {"unfreeze": "conv1", "epochs": 3, "sides": (), "learning_rate": 0.1}
    start = Start(None, named("tiny"), WeightsOrigin(source="none"))
    return Run(models, start, TrainingSettings(**settings, batch_size=4, seed=seed), "abc")


@pytest.fixture
def run(tmp_path):
    run = run_in(tmp_path)
    run.start()
    return run


def test_a_run_killed_in_its_second_epoch_goes_on_from_the_first_as_it_was(run):
    model = small_model()
    train_an_epoch(model)
    run.save(model, {"epoch": 1, "val_loss": 1.0})
    train_an_epoch(model)
    model.save_weights(run.folder / "epoch-2.weights.h5")  # killed before the history names it

    other = small_model()
    assert run.restore(other) == 1
    train_an_epoch(other)

    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    assert other.optimizer.iterations == 2


@pytest.mark.parametrize("first", [3.0, np.nan])
def test_the_best_epochs_weights_are_kept_even_if_the_first_loss_was_not_a_number(run, first):
    model = small_model()
    weights = []
    for epoch, loss in enumerate([first, 1.0, 2.0], start=1):
        train_an_epoch(model)
        weights.append(model.get_weights()[0])
        run.save(model, {"epoch": epoch, "val_loss": loss})
    run.load_best(model)
    np.testing.assert_array_equal(model.get_weights()[0], weights[1])
    states = {path.name for path in run.folder.glob("*.weights.h5")}
    assert states == {"best.weights.h5", "epoch-3.weights.h5"}, "only the last one takes space"


@pytest.mark.parametrize(
    ("losses", "over"),
    [([], False), ([1, 2], False), ([1, 2, 3], True), ([3, 2, 1], False), ([np.nan, 2, 1], False)],
)
def test_a_run_is_over_after_as_many_epochs_without_a_better_one(run, losses, over):
    model = small_model()
    for epoch, loss in enumerate(losses, start=1):
        run.save(model, {"epoch": epoch, "val_loss": loss})
    assert run.is_over(patience=2) == over


def test_resuming_needs_the_settings_of_the_killed_run(run, tmp_path):
    run.save(small_model(), {"epoch": 1, "val_loss": 1.0})
    run_in(tmp_path).check_can_resume()
    with pytest.raises(UserError, match="no interrupted run with these settings"):
        run_in(tmp_path, seed=1).check_can_resume()
