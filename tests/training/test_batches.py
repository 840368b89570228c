"""Training batches: their order, sizes, labels and weights."""

import numpy as np
import pytest

from car_damage.dataset.arrays import Split
from car_damage.training.batches import AugmentedBatches, class_weights


def split_of(count: int, side: int = 40) -> Split:
    images = np.random.default_rng(1).integers(0, 255, (count, side, side, 3), np.uint8)
    return Split(images, np.arange(count, dtype=np.uint8) % 2, [])


def test_each_epoch_shows_each_photo_once_in_another_order_and_view():
    batches = AugmentedBatches(split_of(40), batch_size=16, seed=0)
    first_order = batches.order
    first, *_ = batches[0]
    batches.skip_to(1)
    assert sorted(batches.order) == sorted(first_order) == list(range(40))
    assert (batches.order != first_order).any()
    batches.skip_to(0)
    np.testing.assert_array_equal(batches[0][0], first)


def test_images_follow_the_sides_epoch_by_epoch_and_then_keep_their_own():
    batches = AugmentedBatches(split_of(4, side=64), 4, 0, sides=[32])
    first = batches[0][0]
    batches.skip_to(1)
    assert (first.shape, batches[0][0].shape) == ((4, 32, 32, 3), (4, 64, 64, 3))


@pytest.mark.parametrize("batch_size", [1, 8, 24])
def test_one_outlier_comes_on_top_of_every_16_photos_at_any_batch_size(batch_size):
    batches = AugmentedBatches(split_of(96), batch_size, seed=0, outliers=True)
    labels = [batches[number][1][:, 0] for number in range(len(batches))]
    outliers = [int((of_batch == 0.5).sum()) for of_batch in labels]
    assert sum(outliers) == sum(map(len, labels)) - 96 == 6
    assert max(outliers) - min(outliers) <= 1


def test_outliers_come_last_differ_and_are_the_same_when_asked_again():
    batches = AugmentedBatches(split_of(64), batch_size=32, seed=0, outliers=True)
    images, labels, weights = batches[1]
    assert set(labels[:32, 0]) == {0, 1}
    assert labels[32:, 0].tolist() == [0.5, 0.5]
    assert len(images) == len(weights) == 34
    assert not np.array_equal(images[32], images[33])
    assert not np.array_equal(images[32], batches[0][0][32])
    np.testing.assert_array_equal(batches[1][0], images)


def test_both_classes_have_the_same_total_weight():
    y = np.array([0, 0, 0, 1], np.uint8)
    weights = class_weights(y)
    assert weights[y == 0].sum() == weights[y == 1].sum()
    assert weights.mean() == pytest.approx(1)
