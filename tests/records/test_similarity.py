"""Copies of a photo are recognised, other photos are not, and databases can keep the keys."""

import cv2
import numpy as np
import pytest

from car_damage.dataset.sample import draw_car
from car_damage.perceptual_hash import HASH_BYTES, VIEW_BITS, VIEWS, hash_of, waves
from car_damage.photos import decode
from car_damage.records.similarity import (
    KEYS,
    NEAR,
    NEAR_FRAMES,
    are_similar,
    looked_up_keys,
    stored_keys,
)
from tests.photo_files import jpeg

PHOTOS = 40


def cropped(photo, top, bottom, left, right):
    """The photo without these shares of its height and width."""
    height, width = photo.shape[:2]
    down = slice(round(top * height), height - round(bottom * height))
    return photo[down, round(left * width) : width - round(right * width)]


CHANGES = {
    "rescaled": lambda photo: cv2.resize(photo, None, None, 0.6, 0.6, cv2.INTER_AREA),
    "recompressed": lambda photo: decode(jpeg(photo, quality=40)),
    "cropped a little": lambda photo: cropped(photo, 0.02, 0.03, 0.01, 0.03),
    "cropped more on one side": lambda photo: cropped(photo, 0, 0.04, 0.01, 0.01),
    "brightened": lambda photo: (photo * 1.2).clip(0, 255).astype(np.uint8),
    "darkened": lambda photo: (photo * 0.8).astype(np.uint8),
}


def is_found(query, stored):
    """Whether a photo with the waves `query` is recognised as one with the waves `stored`."""
    shares_a_key = bool(set(looked_up_keys(query)) & set(stored_keys(hash_of(stored))))
    return shares_a_key and bool(are_similar(hash_of(query), hash_of(stored)[None])[0])


def flipped(phash, view, count):
    """The hash with the last `count` bits of a view flipped."""
    bits = np.unpackbits(phash).reshape(VIEWS, VIEW_BITS)
    bits[view, VIEW_BITS - count :] ^= 1
    return np.packbits(bits)


@pytest.fixture(scope="module")
def photos():
    return [draw_car(np.random.default_rng(seed), seed % 2 == 0)[0] for seed in range(PHOTOS)]


@pytest.fixture(scope="module")
def originals(photos):
    return [waves(photo) for photo in photos]


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_whether_it_comes_before_or_after_its_original(photos, originals, change):
    copies = [waves(np.ascontiguousarray(CHANGES[change](photo))) for photo in photos]

    pairs = list(zip(originals, copies, strict=True))

    assert np.mean([is_found(copy, original) for original, copy in pairs]) >= 0.95
    assert np.mean([is_found(original, copy) for original, copy in pairs]) >= 0.95


def test_photos_of_other_cars_are_not_similar(originals):
    hashes = np.stack([hash_of(photo) for photo in originals])

    similar = np.stack([are_similar(phash, hashes) for phash in hashes])

    assert np.array_equal(similar, np.eye(PHOTOS, dtype=bool))


def test_photos_of_other_cars_share_few_keys(originals):
    shared = [
        len(set(looked_up_keys(photo)) & set(stored_keys(hash_of(other))))
        for number, photo in enumerate(originals)
        for other in originals[number + 1 :]
    ]
    assert np.mean(np.array(shared) > 0) < 0.05


def test_keys_stay_the_same_because_databases_keep_them():
    phash = (np.arange(HASH_BYTES) * 151 % 256).astype(np.uint8)

    assert stored_keys(phash) == [145545, 2031938, 2947431, 3646676, 4853923, 6036587]


def test_a_photo_is_stored_under_few_small_keys(originals):
    for photo in originals:
        keys = stored_keys(hash_of(photo))
        assert len(set(keys)) == KEYS == 6
        assert all(0 <= key < 2**23 for key in keys)


def test_a_photo_is_looked_up_under_all_keys_that_it_is_stored_under(originals):
    for photo in originals:
        keys = looked_up_keys(photo)
        assert set(stored_keys(hash_of(photo))) <= set(keys)
        assert len(set(keys)) == len(keys) <= 9 * 6 * KEYS


@pytest.mark.parametrize("window", range(1, VIEWS))
def test_a_photo_is_looked_up_as_a_crop_and_as_the_original_of_a_crop(originals, window):
    photo = originals[0]
    for other in (photo[window], 2 * photo[0] - photo[window]):
        stored = stored_keys(hash_of(np.stack([other] * VIEWS)))
        assert set(stored) <= set(looked_up_keys(photo))


def test_a_photo_is_looked_up_with_its_least_certain_bits_flipped(originals):
    photo = originals[0].copy()
    photo[:, 3] = 1e-6 * photo[:, 3]
    other = photo.copy()
    other[:, 3] *= -1

    shared = set(stored_keys(hash_of(other))) & set(looked_up_keys(photo))

    assert len(shared) == KEYS


@pytest.mark.parametrize("view", range(1, VIEWS))
def test_a_crop_is_similar_up_to_the_limit(view):
    phash = np.random.default_rng(0).integers(0, 256, HASH_BYTES, np.uint8)
    others = np.random.default_rng(1).integers(0, 256, (2, HASH_BYTES), np.uint8)
    whole = phash.reshape(VIEWS, -1)[0]
    for other, count in zip(others, (NEAR, NEAR + 1), strict=True):
        other.reshape(VIEWS, -1)[view] = whole
        other[:] = flipped(other, view, count)

    assert are_similar(phash, others).tolist() == [True, False]


def test_the_same_window_counts_only_if_the_whole_photos_are_near():
    phash = np.random.default_rng(0).integers(0, 256, HASH_BYTES, np.uint8)
    near, far = (flipped(phash, 0, count) for count in (NEAR_FRAMES, NEAR_FRAMES + 1))
    farther = near
    for window in range(1, VIEWS):
        farther = flipped(farther, window, NEAR + 1)

    assert are_similar(phash, np.stack([near, far, farther])).tolist() == [True, False, False]


def test_no_photos_are_similar_among_none(originals):
    none = np.zeros((0, HASH_BYTES), np.uint8)
    assert are_similar(hash_of(originals[0]), none).shape == (0,)
