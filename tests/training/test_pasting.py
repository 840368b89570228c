"""A patch pasted into a photo: where it lands, how large it is, and how it blends in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from car_damage.training.pasting import paste

GREY = np.full((96, 96, 3), 90, np.uint8)
WHITE = np.full((96, 96, 3), 255, np.uint8)


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(32, 256))
def test_the_host_keeps_its_size_and_most_of_its_area_and_neither_photo_changes(seed, size):
    host = np.zeros((size, size, 3), np.uint8)
    patch = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    before = patch.copy()
    pasted = paste(host, patch, np.random.default_rng(seed))
    assert pasted.shape == host.shape
    assert pasted.dtype == np.uint8
    assert not host.any()
    assert np.array_equal(patch, before)
    assert 0.02 < (pasted > 0).any(axis=2).mean() < 0.55


def test_patches_land_everywhere_and_half_of_them_fade_out_at_their_edges():
    changed = [(paste(GREY, WHITE, np.random.default_rng(seed)) != 90) for seed in range(200)]
    assert np.mean(changed, axis=0)[8:-8, 8:-8].min() > 0
    hard = [
        len(np.unique(paste(GREY, WHITE, np.random.default_rng(seed)))) == 2 for seed in range(200)
    ]
    assert 0.4 < np.mean(hard) < 0.6


def test_about_half_of_the_patches_take_on_the_colour_of_their_place():
    brightest = np.array(
        [paste(GREY, WHITE, np.random.default_rng(seed)).max() for seed in range(200)]
    )
    assert 0.35 < np.mean(brightest < 210) < 0.65
