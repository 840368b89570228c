"""Outliers: images without a recognisable car, which teach the model to be unsure."""

import numpy as np
import pytest

from car_damage.training import outliers
from car_damage.training.outliers import outlier

SQUARE = np.random.default_rng(0).integers(90, 110, (96, 96, 3), np.uint8)


def made(maker, count: int = 40) -> list[np.ndarray]:
    return [maker(SQUARE, np.random.default_rng(number)) for number in range(count)]


def test_any_outlier_is_a_square_like_those_of_photos():
    image = SQUARE.copy()
    image.flags.writeable = False  # as a memory map gives it
    for number in range(80):
        drawn = outlier(image, np.random.default_rng(number))
        assert drawn.shape == image.shape
        assert drawn.dtype == np.uint8
        assert not np.shares_memory(drawn, image)


def test_noise_is_sometimes_grey_and_sometimes_coarse():
    noises = made(outliers._noise)
    assert 0.2 < np.mean([np.ptp(noise, axis=2).max() == 0 for noise in noises]) < 0.8
    steps = [np.abs(np.diff(noise.astype(int), axis=1)).mean() / noise.std() for noise in noises]
    assert min(steps) < 0.2 * max(steps)


def test_dead_leaves_range_from_one_colour_to_a_thicket():
    drawn = made(outliers._dead_leaves)
    colours = [len(np.unique(leaves.reshape(-1, 3), axis=0)) for leaves in drawn]
    assert min(colours) <= 2
    assert max(colours) > 20


def test_a_scrambled_photo_keeps_its_colours_and_loses_its_shapes():
    photo = np.full((96, 96, 3), 60, np.uint8)
    photo[30:60, 30:60] = (200, 120, 90)
    for number in range(5):
        texture = outliers._scrambled(photo, np.random.default_rng(number))
        assert texture.mean(axis=(0, 1)) == pytest.approx(photo.mean(axis=(0, 1)), abs=6)
        across = np.corrcoef(texture[..., 0].ravel(), photo[..., 0].ravel())[0, 1]
        assert abs(across) < 0.6


def test_a_hidden_car_shows_only_its_border():
    for drawn in made(outliers._hidden):
        changed = (drawn != SQUARE).any(axis=2)
        assert changed[30:66, 30:66].mean() > 0.9
        assert not changed[:4].any()
        assert 0.3 < changed.mean() < 0.85
