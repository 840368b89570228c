"""What phase 2 is fed: small squares first."""

import numpy as np
import pytest

from car_damage.dataset.arrays import Split
from car_damage.training.batches import AugmentedBatches
from car_damage.training.fine_tune import growing_sides


def test_squares_are_small_in_most_epochs_and_whole_in_the_last_ones():
    assert growing_sides(224, epochs=8) == [160] * 5 + [224] * 3


@pytest.mark.parametrize("epochs", [1, 2, 3, 8, 30])
def test_the_last_epoch_sees_squares_as_the_finished_model_will(epochs):
    assert growing_sides(224, epochs)[-1] == 224


def test_squares_that_are_small_already_stay_as_they_are():
    assert growing_sides(96, epochs=3) == [96, 96, 96]


def test_batches_follow_the_sides_epoch_by_epoch_and_then_keep_the_squares_own():
    squares = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 3), np.uint8)
    batches = AugmentedBatches(Split(squares, np.array([0, 1, 0, 1]), []), 4, 0, sides=[32])

    first = batches[0][0]
    batches.on_epoch_end()
    second = batches[0][0]

    assert (first.shape, second.shape) == ((4, 32, 32, 3), (4, 64, 64, 3))
