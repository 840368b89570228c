"""Training batches: their order, sizes and labels."""

from dataclasses import replace

import numpy as np
import pytest

from car_damage.dataset.arrays import Split
from car_damage.training import batches as batches_module
from car_damage.training.batches import AugmentedBatches
from car_damage.training.sampling import patch_shares
from tests.images import row, split_of


def photos(count: int, side: int = 40, stored: int = 40) -> Split:
    images = np.random.default_rng(1).integers(0, 255, (count, stored, stored, 3), np.uint8)
    labels = ("not-damaged", "damaged")
    return split_of([row(number, labels[number % 2]) for number in range(count)], images, side)


def test_each_epoch_shows_each_photo_of_a_single_source_once_in_another_order_and_view(monkeypatch):
    monkeypatch.setattr(batches_module, "PATCH_CHANCE", 0.0)
    batches = AugmentedBatches(photos(40), batch_size=16, seed=0)
    first_order = batches.order
    first, *_ = batches[0]
    batches.skip_to(1)
    assert sorted(batches.order) == sorted(first_order) == list(range(40))
    assert (batches.order != first_order).any()
    batches.skip_to(0)
    np.testing.assert_array_equal(batches[0][0], first)


def test_views_are_cut_from_the_stored_squares_and_have_the_models_size():
    batches = AugmentedBatches(photos(4, side=32, stored=48), 4, seed=0)
    assert batches[0][0].shape == (4, 32, 32, 3)


@pytest.mark.parametrize("batch_size", [1, 8, 24])
def test_one_outlier_comes_on_top_of_every_16_photos_at_any_batch_size(batch_size):
    batches = AugmentedBatches(photos(96), batch_size, seed=0)
    labels = [batches[number][1][:, 0] for number in range(len(batches))]
    outliers = [int((of_batch == 0.5).sum()) for of_batch in labels]
    assert sum(outliers) == sum(map(len, labels)) - 96 == 6
    assert max(outliers) - min(outliers) <= 1


def test_outliers_come_last_and_are_different_and_repeatable():
    batches = AugmentedBatches(photos(64), batch_size=32, seed=0)
    images, labels = batches[1]
    assert set(labels[:32, 0]) == {0, 1}
    assert labels[32:, 0].tolist() == [0.5, 0.5]
    assert len(images) == 34
    assert not np.array_equal(images[32], images[33])
    assert not np.array_equal(images[32], batches[0][0][32])
    np.testing.assert_array_equal(batches[1][0], images)


def test_patches_leave_both_classes_equal_and_change_no_photo_of_damage():
    batches = AugmentedBatches(photos(400), batch_size=400, seed=0)
    labels = batches[0][1][:400, 0]
    true = batches.split.y[batches.order]
    assert labels.mean() == pytest.approx(0.5, abs=0.06)
    assert (labels[true == 1] == 1).all()
    assert 0.05 < labels[true == 0].mean() < 0.15, "of the undamaged ones have a damaged patch"


def test_undamaged_patches_are_cut_from_close_ups_if_there_are_any():
    split = photos(6)
    split.rows[2] = replace(split.rows[2], kind="close_up")
    assert patch_shares(split, 0).tolist() == [0, 0, 1, 0, 0, 0]
    np.testing.assert_allclose(patch_shares(photos(6), 0), [1 / 3, 0] * 3)
    np.testing.assert_allclose(patch_shares(split, 1), [0, 1 / 3] * 3)


def test_undamaged_close_ups_are_scratched_and_both_classes_stay_equal():
    split = photos(400)
    for number in range(0, 400, 4):
        split.rows[number] = replace(split.rows[number], kind="close_up")
    batches = AugmentedBatches(split, batch_size=400, seed=0)
    assert batches[0][1][:400, 0].mean() == pytest.approx(0.5, abs=0.06)
    scratched = [
        batches._view(at)[1]
        for at in range(400)
        if split.rows[batches.order[at]].kind == "close_up"
    ]
    assert 0.12 < np.mean(scratched) < 0.32
