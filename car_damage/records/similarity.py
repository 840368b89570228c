"""Recognise photos that are copies of each other: keys to find them by, and the comparison.

An index finds only equal keys, so this is locality-sensitive hashing (Indyk and Motwani 1998,
"Approximate Nearest Neighbors"): a photo is stored under a few keys, each made of some bits of its
hash, and copies share at least one. We use the bits of the lowest frequencies, because they change
least. Whoever looks a photo up has its waves, not only its hash, and uses them in two ways:

- The bits whose waves are nearest zero are the most likely to differ. So each key is looked up with
  these bits flipped, too (Lv et al. 2007, "Multi-Probe LSH").
- A crop moves all waves. So the keys of the photo's windows are looked up, which find a photo that
  was a crop of this one, and those of four guesses at what lay around this photo, which find a
  photo that this one is a crop of. A guess moves the waves as far from those of the whole photo as
  a window's are, in the other direction.

A database keeps the keys, so a change here needs a migration that makes them again.
"""

import numpy as np

from car_damage.perceptual_hash import COLOUR_BITS, LUMA_BITS, VIEW_BITS, VIEWS

LOWEST = 20  # frequencies of each channel that keys are made of
KEY_BITS = 20
STRIDES = (7, 13)  # each deals all of these bits out to three keys
# The first flips nothing. The others flip one or two bits, counted from the one nearest zero.
FLIPS = ((), (0,), (1,), (2,), (3,), (0, 1))
# Of a view's 192 bits. Grouping allows 22, but here a new photo is compared with a million others.
NEAR = 20  # at most this many bits differ between similar photos
NEAR_FRAMES = 24  # and this many between the whole photos, if they are to show the same frame


def _bits_of_keys() -> np.ndarray:
    """The bits of a view that each key is made of, `int64` (KEYS, KEY_BITS)."""
    starts = (0, LUMA_BITS, LUMA_BITS + COLOUR_BITS)
    lowest = np.concatenate([start + np.arange(LOWEST) for start in starts])
    dealt = [lowest[np.arange(len(lowest)) * stride % len(lowest)] for stride in STRIDES]
    return np.concatenate(dealt).reshape(-1, KEY_BITS)


_BITS = _bits_of_keys()
KEYS = len(_BITS)  # that a photo is stored under
_PLACES = 1 << np.arange(KEY_BITS)[::-1]
_TABLES = np.arange(KEYS) << KEY_BITS  # tells keys of other bits apart


def stored_keys(phash: np.ndarray) -> list[int]:
    """The KEYS keys, below 2**23, under which a hash, `uint8` (HASH_BYTES,), is stored."""
    whole = np.unpackbits(phash[: VIEW_BITS // 8]).astype(np.int64)
    return (whole[_BITS] @ _PLACES + _TABLES).tolist()


def looked_up_keys(waves: np.ndarray) -> list[int]:
    """The keys under which copies of a photo may be stored, without duplicates, about 150.

    `waves` is `float32` (VIEWS, VIEW_BITS), from `perceptual_hash.waves`.
    """
    whole, windows = waves[:1], waves[1:]
    around = 2 * whole - windows
    chosen = np.concatenate([whole, windows, around])[:, _BITS]  # (view, key, bit)
    keys = (chosen > 0) @ _PLACES + _TABLES
    nearest_zero = _PLACES[np.argsort(np.abs(chosen), axis=2, kind="stable")]
    flipped = [keys ^ nearest_zero[:, :, list(flips)].sum(axis=2) for flips in FLIPS]
    return np.unique(np.stack(flipped)).tolist()


def are_similar(phash: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the hashes `others`, `uint8` (n, HASH_BYTES), are of copies: `bool` (n,).

    Two photos are similar if at most `NEAR` bits differ between the whole of one and a view of the
    other, as in a crop, or between the same windows of both, if the whole photos are near, too.
    """
    mine = phash.view(np.uint64).reshape(VIEWS, -1)
    theirs = np.ascontiguousarray(others).view(np.uint64).reshape(-1, VIEWS, VIEW_BITS // 64)
    pairs = [(theirs, mine), (theirs, mine[:1]), (theirs[:, :1], mine)]
    same, *crops = (np.bitwise_count(left ^ right).sum(axis=2) for left, right in pairs)
    is_crop = np.concatenate(crops, axis=1).min(axis=1) <= NEAR
    return is_crop | ((same.min(axis=1) <= NEAR) & (same[:, 0] <= NEAR_FRAMES))
