"""Drawn scratches: visible, thin, and on a copy."""

import numpy as np

from car_damage.training.scratches import scratch

PAINT = np.full((224, 224, 3), 140, np.uint8)


def test_scratches_are_visible_and_leave_most_of_the_paint_as_it_was():
    changed = []
    for seed in range(100):
        scratched = scratch(PAINT, np.random.default_rng(seed))
        assert scratched.shape == PAINT.shape
        assert scratched.dtype == np.uint8
        difference = np.abs(scratched.astype(int) - PAINT).max(axis=2)
        changed.append((difference > 20).mean())
    assert (PAINT == 140).all()
    assert np.mean(np.array(changed) > 0) > 0.95
    assert np.median(changed) < 0.05
    assert max(changed) < 0.35


def test_scratches_are_lighter_or_darker_than_the_paint():
    means = [scratch(PAINT, np.random.default_rng(seed)).mean() - 140 for seed in range(100)]
    assert 0.2 < np.mean(np.array(means) > 0) < 0.8


def test_the_same_random_numbers_draw_the_same_scratches():
    first, second = (scratch(PAINT, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
