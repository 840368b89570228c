"""The effective dimension of features."""

import numpy as np
import pytest

from car_damage.evaluation.features import effective_dimension


def test_features_on_a_line_have_dimension_one_and_independent_ones_their_number():
    random = np.random.default_rng(0)
    line = np.outer(random.normal(size=300), random.normal(size=50))
    assert effective_dimension(line) == pytest.approx(1)
    assert effective_dimension(random.normal(size=(100_000, 8))) == pytest.approx(8, rel=0.01)


def test_constant_features_do_not_change_the_dimension():
    features = np.random.default_rng(0).normal(size=(300, 4))
    dead = np.zeros((300, 100))
    both = np.hstack([features, dead])
    assert effective_dimension(both) == pytest.approx(effective_dimension(features))
    assert effective_dimension(dead) == 0
