"""Augmentation: training photos change, but their label stays correct."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from car_damage.photos import recompress
from car_damage.training import augmentation
from car_damage.training.augmentation import augment, rng_for

SIZE = 96
EPOCHS = range(300)  # enough that shares of them are within 0.1 of the chances


def smooth_image() -> np.ndarray:
    """Red grows to the right and green downwards, so that a view shows where it was cut out."""
    ramp = np.linspace(40, 215, SIZE).astype(np.uint8)
    image = np.full((SIZE, SIZE, 3), 128, np.uint8)
    image[:, :, 0] = ramp[None, :]
    image[:, :, 1] = ramp[:, None]
    return image


def views(image: np.ndarray) -> list[np.ndarray]:
    return [augment(image, rng_for(1, epoch, 0), SIZE) for epoch in EPOCHS]


@pytest.fixture
def only(monkeypatch):
    """Leave out every step but one."""

    def keep(kept: str) -> None:
        for step in {"_crop", "_relight", "_degrade"} - {kept}:
            monkeypatch.setattr(augmentation, step, lambda image, rng, *more: image.copy())
        if kept != "_erase":
            monkeypatch.setattr(augmentation, "ERASE_CHANCE", 0.0)

    return keep


@given(
    size=st.integers(32, 320),
    more=st.integers(0, 160),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_square_becomes_a_view_of_the_models_size_and_stays_as_it_is(size, more, seed):
    stored = (size + more, size + more, 3)
    image = np.random.default_rng(seed).integers(0, 256, stored, np.uint8)
    before = image.copy()
    image.flags.writeable = False  # as a memory map gives it
    view = augment(image, rng_for(seed, 0, 0), size)
    assert view.shape == (size, size, 3)
    assert view.dtype == np.uint8
    assert view.flags.c_contiguous
    assert np.array_equal(image, before)


def test_a_view_is_a_function_of_seed_epoch_and_position():
    image = smooth_image()
    first = augment(image, rng_for(3, 1, 4), SIZE)
    assert np.array_equal(first, augment(image, rng_for(3, 1, 4), SIZE))
    for other in (rng_for(4, 1, 4), rng_for(3, 2, 4), rng_for(3, 1, 5), rng_for(1, 3, 4)):
        assert not np.array_equal(first, augment(image, other, SIZE))


def test_half_of_the_views_are_mirrored_all_are_upright_and_show_much_of_the_photo(only):
    only("_crop")
    red, green = np.moveaxis(np.array(views(smooth_image()), int)[..., :2], -1, 0)
    mirrored = red[:, :, 0].mean(axis=1) > red[:, :, -1].mean(axis=1)
    assert 0.4 < mirrored.mean() < 0.6
    assert (green[:, 0].mean(axis=1) < green[:, -1].mean(axis=1)).all()
    assert (np.ptp(green, axis=(1, 2)) > 0.5 * np.ptp(smooth_image()[..., 1])).all()


def test_a_patch_appears_in_the_view():
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    black = np.zeros_like(white)
    with_patch = augment(black, rng_for(1, 0, 0), SIZE, patch=white)
    assert with_patch.max() > 100


@pytest.mark.parametrize("level", [30, 128, 220])
def test_light_changes_within_bounds_and_leaves_greys_grey(only, level):
    only("_relight")
    grey = np.full((SIZE, SIZE, 3), level, np.uint8)
    pixels = np.array([view[0, 0] for view in views(grey)], int)
    assert np.ptp(pixels, axis=1).max() <= 1
    means = pixels.mean(axis=1)
    assert means.min() > 0.2 * level
    assert np.median(means) == pytest.approx(level, abs=20)
    assert means.std() > 3, "light does change"


@pytest.mark.parametrize("left_out", ["SHRINK_CHANCE", "RECOMPRESS_CHANCE"])
def test_about_half_of_the_views_are_recompressed_and_about_half_shrunk(
    monkeypatch, only, left_out
):
    only("_degrade")
    monkeypatch.setattr(augmentation, left_out, 0.0)
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    assert 0.4 < np.mean([not np.array_equal(view, noise) for view in views(noise)]) < 0.6


def test_recompressing_keeps_the_colours():
    image = np.full((SIZE, SIZE, 3), (200, 60, 30), np.uint8)
    again = recompress(image, quality=30)
    assert np.abs(again.astype(int) - image).max() <= 12


def test_sharpness_says_less_after_shrinking(only):
    only("_degrade")
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    sharpness = [cv2.Laplacian(view, cv2.CV_64F).var() for view in views(noise)]
    assert min(sharpness) < 0.1 * max(sharpness)


def test_about_a_quarter_of_the_views_lose_up_to_a_tenth(only):
    only("_erase")
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    lost = np.array([(view != 255).any(axis=2).mean() for view in views(white)])
    assert 0.15 < np.mean(lost > 0) < 0.35
    assert lost.max() < 0.11
    assert lost[lost > 0].min() > 0.015
