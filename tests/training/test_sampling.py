"""Sampling: equal classes, and larger sources more often, but less than in proportion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from car_damage.training.sampling import draw, sample_weights
from tests.images import row, split_of


def photos_of(**counts: int):
    """A split with so many photos of each source, named like `damaged_lot`."""
    rows = []
    for name, count in counts.items():
        label, source = name.rsplit("_", 1)
        rows += [row(0, label.replace("_", "-"), source=source) for _ in range(count)]
    return split_of(rows)


def total(split, weights, label, source):
    chosen = [one.label == label and one.source == source for one in split.rows]
    return weights[np.array(chosen)].sum()


def test_both_classes_are_shown_equally_often():
    split = photos_of(damaged_lot=30, not_damaged_lot=90)
    weights = sample_weights(split)
    assert weights[split.y == 1].sum() == pytest.approx(weights[split.y == 0].sum())
    assert weights.mean() == pytest.approx(1)


def test_a_source_with_a_hundred_times_the_photos_is_shown_ten_times_as_often():
    split = photos_of(damaged_large=900, damaged_small=9, not_damaged_large=50)
    weights = sample_weights(split)
    large, small = (total(split, weights, "damaged", source) for source in ("large", "small"))
    assert large / small == pytest.approx(10)


@given(
    weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=50), seed=st.integers(0, 2**32 - 1)
)
def test_an_epoch_shows_each_photo_as_often_as_its_weight_says_up_to_one(weights, seed):
    shares = np.array(weights) / np.mean(weights)
    rows = draw(np.array(weights, np.float32), np.random.default_rng(seed))
    assert len(rows) == len(weights)
    shown = np.bincount(rows, minlength=len(weights))
    assert (np.abs(shown - shares) < 1 + 1e-3).all()


def test_classes_keep_their_shares_however_their_photos_are_mixed():
    weights = np.tile([0.5, 1.5], 200)  # two rows together make two draws
    shown = [(draw(weights, np.random.default_rng(seed)) % 2).mean() for seed in range(20)]
    assert np.mean(shown) == pytest.approx(0.75, abs=0.02)
    assert np.std(shown) < 0.04
