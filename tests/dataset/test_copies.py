"""Copies of photos are found, different photos are not, in far less than quadratic time."""

import cv2
import numpy as np
import pytest

from car_damage.dataset import copies
from car_damage.dataset.copies import group_copies
from car_damage.perceptual_hash import HASH_BYTES, VIEW_BITS, VIEWS, perceptual_hash
from car_damage.photos import decode
from tests.photo_files import jpeg, texture

PHOTOS = 60


def picture(seed, width=320, height=240):
    """A picture of random texture, coarse stronger than fine, as it is in photos."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(
            rng.normal(0, 160 / cells, (cells, cells, 3)),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
        for cells in (3, 6, 12, 24, 48)
    ]
    return (128 + sum(layers)).clip(0, 255).astype(np.uint8)


CHANGES = {  # of a picture of 320 x 240 pixels
    "rescaled": lambda photo: cv2.resize(photo, None, None, 0.6, 0.6, cv2.INTER_AREA),
    "recompressed": lambda photo: decode(jpeg(photo, quality=35)),
    "cropped": lambda photo: photo[:232, 16:],
    "cropped all round": lambda photo: photo[8:-8, 10:-10],
    "brightened": lambda photo: (photo * 1.2).clip(0, 255).astype(np.uint8),
    "darkened": lambda photo: (photo * 0.8).astype(np.uint8),
    "mirrored": lambda photo: photo[:, ::-1],
    "grey": lambda photo: np.repeat(photo.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2),
}


def numbered(hashes):
    """A name for each hash, none twice: only the hashes can join."""
    return [str(number) for number in range(len(hashes))]


def random_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, HASH_BYTES), np.uint8)


def partition(groups, of=None):
    """The groups as sets of members, whatever their numbers; `of` renames the members."""
    members = np.arange(len(groups)) if of is None else of
    return {frozenset(members[groups == group].tolist()) for group in np.unique(groups)}


@pytest.fixture(scope="module")
def photos():
    return [picture(seed) for seed in range(PHOTOS)]


@pytest.fixture(scope="module")
def hashes(photos):
    return np.stack([perceptual_hash(photo) for photo in photos])


@pytest.mark.parametrize(
    "changes",
    [
        ["rescaled"],
        ["recompressed"],
        ["cropped"],
        ["cropped all round"],
        ["brightened"],
        ["darkened"],
        ["mirrored"],
        ["rescaled", "recompressed"],
        ["cropped", "mirrored"],
        ["brightened", "mirrored"],
        ["grey", "mirrored"],
    ],
    ids="+".join,
)
def test_copies_are_found(photos, changes):
    if changes[0] == "grey":  # both are
        photos = [CHANGES["grey"](photo) for photo in photos]
    changed = photos
    for change in changes:
        changed = [CHANGES[change](photo) for photo in changed]
    both = np.stack([perceptual_hash(photo) for photo in [*photos, *changed]])

    groups = group_copies(both, numbered(both))

    assert np.mean(groups[:PHOTOS] == groups[PHOTOS:]) >= 0.95


def test_different_photos_are_not_joined(hashes):
    assert len(set(group_copies(hashes, numbered(hashes)))) == PHOTOS


def test_exact_copies_share_a_group_even_with_different_hashes():
    groups = group_copies(random_hashes(4), ["a", "b", "a", "c"])

    assert partition(groups) == {frozenset({0, 2}), frozenset({1}), frozenset({3})}


def test_copies_of_copies_share_a_group():
    far = np.zeros((3, HASH_BYTES), np.uint8)
    far[:] = random_hashes(1)
    flips = np.zeros((2, VIEWS, VIEW_BITS), np.uint8)
    flips[0, :, : copies.NEAR] = 1
    flips[1, :, : 2 * copies.NEAR] = 1
    far[1:] ^= np.packbits(flips.reshape(2, -1), axis=1)

    assert len(set(group_copies(far[[0, 2]], ["a", "c"]))) == 2
    assert len(set(group_copies(far, ["a", "b", "c"]))) == 1


def test_the_order_of_the_photos_does_not_change_the_groups(hashes):
    noise = np.random.default_rng(1).random((PHOTOS, HASH_BYTES * 8)) < 0.12
    many = np.concatenate([hashes, hashes ^ np.packbits(noise, axis=1), hashes[:5]])
    names = np.array(numbered(many))
    order = np.random.default_rng(2).permutation(len(many))

    groups = group_copies(many, names)
    shuffled = group_copies(many[order], names[order])

    assert partition(groups) == partition(shuffled, of=order)


def test_groups_are_numbered_from_0_without_gaps(hashes):
    many = np.concatenate([hashes, hashes[:10]])

    groups = group_copies(many, numbered(many))

    assert groups.dtype == np.int64
    assert sorted(set(groups.tolist())) == list(range(PHOTOS))


def test_no_photos_make_no_groups_and_one_photo_makes_one():
    assert group_copies(random_hashes(0), []).shape == (0,)
    assert group_copies(random_hashes(1), ["a"]).tolist() == [0]


def test_identical_plain_pictures_are_one_group():
    plain = np.stack([perceptual_hash(np.full((240, 320, 3), 255, np.uint8))] * 500)
    textured = perceptual_hash(texture(1))[None]

    groups = group_copies(np.concatenate([plain, textured]), numbered([*plain, *textured]))

    assert partition(groups) == {frozenset(range(500)), frozenset({500})}


@pytest.mark.parametrize("flipped", [0.5, 0.03, 0.0], ids=["unlike", "alike", "identical"])
def test_compares_few_pairs_with_any_hashes(monkeypatch, flipped):
    compared = 0
    differing_bits = copies._differing_bits

    def counting(left, right):
        nonlocal compared
        compared += left.shape[1]
        return differing_bits(left, right)

    monkeypatch.setattr(copies, "_differing_bits", counting)
    count = 4_000
    flips = np.random.default_rng(3).random((count, HASH_BYTES * 8)) < flipped
    hashes = random_hashes(1) ^ np.packbits(flips, axis=1)

    groups = group_copies(hashes, numbered(hashes))

    views = (VIEWS + 1) * count
    assert compared <= copies.SORTINGS * copies.NEIGHBOURS * views
    assert len(set(groups)) == (count if flipped == 0.5 else 1)
