"""Checkpoints: a killed run resumes after its last epoch."""

import keras
import numpy as np
import pytest

from car_damage.errors import UserError
from car_damage.manifest import TrainingSettings, WeightsOrigin
from car_damage.training.backbones import named
from car_damage.training.checkpoints import Run, check_can_resume
from car_damage.training.initial_weights import Start
from tests.images import config_of


def small_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.AdamW(0.1), "mse")
    return model


def train_an_epoch(model: keras.Model) -> None:
    model.fit(np.ones((4, 2)), np.zeros((4, 1)), verbose=0)


def run_in(models, seed: int = 0) -> Run:
    settings = {"unfreeze": "conv1", "epochs": 3, "learning_rate": 0.1}
    start = Start(None, named("tiny"), WeightsOrigin(source="none"))
    return Run(models, start, TrainingSettings(**settings, batch_size=4, seed=seed), config_of())


@pytest.fixture
def run(tmp_path):
    run = run_in(tmp_path)
    run.start()
    return run


def test_a_run_killed_in_its_second_epoch_resumes_after_the_first(run):
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


def test_only_the_last_epochs_weights_take_space(run):
    model = small_model()
    for epoch in (1, 2, 3):
        train_an_epoch(model)
        run.save(model, {"epoch": epoch, "val_loss": 1.0})
    assert {path.name for path in run.folder.glob("*.weights.h5")} == {"epoch-3.weights.h5"}


def test_resuming_needs_the_settings_of_the_killed_run(run, tmp_path):
    run.save(small_model(), {"epoch": 1, "val_loss": 1.0})
    check_can_resume([run_in(tmp_path, seed=1), run_in(tmp_path)])
    with pytest.raises(UserError, match="no interrupted run with these options"):
        check_can_resume([run_in(tmp_path, seed=1)])
