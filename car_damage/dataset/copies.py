"""Near-identical copies of photos: a perceptual hash each, and groups of hashes that lie close.

The hash keeps the signs of a photo's lowest DCT frequencies (Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions"): scale, compression and brightness hardly touch
them, and mirroring flips just those of odd horizontal frequency, so that a mirrored photo's hash
needs no second look at the photo. Two things are added. The colour channels count too, for their
low frequencies tell more photos apart than high ones of the luma, and outlast more. And the photo
is hashed whole and again in four windows, each a little off one of its corners: a crop that takes
up to 5 % off each side is never far from one of them.

Close hashes are found by sorting all of them by randomly drawn bits, again and again, and comparing
only neighbours (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms";
Ravichandran, Pantel and Hovy 2005): O(n log n) whatever the hashes, even all alike. A pair that
every sorting keeps apart is missed; `benchmarks/copies.py` measures how rare that is.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LUMA_BITS = 104
COLOUR_BITS = 44  # for each of the two colour differences
VIEW_BITS = LUMA_BITS + 2 * COLOUR_BITS
VIEWS = 5  # the photo whole, and its windows
HASH_BYTES = VIEWS * VIEW_BITS // 8
WORDS = VIEW_BITS // 64  # hashes are compared 64 bits at a time

SQUARE = 80  # pixels: what a photo is shrunk to, once, before the views are taken from it
WINDOW = 76  # pixels: 95 % of the square, as half of a slight crop's most off every side leaves
OFFSETS = (1, 3)  # pixels from the top, and from the left
SIDE = 32  # pixels: the square that is transformed, twice as fine as the highest frequency needs
# Above it, ever more different cars that dealers took before one backdrop join on real photos.
NEAR = 22  # bits of a view's 192: up to here two photos are copies
SORTINGS = 32
SORTING_BITS = 32  # more than enough to tell a million hashes apart
NEIGHBOURS = 4  # compared with each hash in each sorting

# Of a grey photo the colour differences are noise; leaning on the luma they repeat its signs.
OPPONENT = np.array(
    [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32
)
OPPONENT[1:] += 0.05 * OPPONENT[0]


def _lowest_frequencies(count: int) -> np.ndarray:
    """(count, 2): vertical and horizontal frequency, lowest first, without the mean (0, 0)."""
    grid = np.argwhere(np.ones((SIDE, SIDE), bool))[1:]
    order = grid.sum(axis=1)
    return grid[np.lexsort((np.square(grid).sum(axis=1), order))][:count]


_LUMA, _COLOUR = _lowest_frequencies(LUMA_BITS), _lowest_frequencies(COLOUR_BITS)
_CHANNEL = np.repeat([0, 1, 2], [LUMA_BITS, COLOUR_BITS, COLOUR_BITS])
_DOWN, _ACROSS = np.concatenate([_LUMA, _COLOUR, _COLOUR]).T
_MIRROR = np.packbits(_ACROSS % 2).view(np.uint64)  # the bits that mirroring flips


def perceptual_hash(photo: np.ndarray) -> np.ndarray:
    """Hash an upright RGB photo to `uint8` (HASH_BYTES,): 192 bits of it, then of each window."""
    whole = _shrink(photo, SQUARE)
    windows = [
        whole[top : top + WINDOW, left : left + WINDOW] for top in OFFSETS for left in OFFSETS
    ]
    views = np.stack([_shrink(view, SIDE) for view in (whole, *windows)])
    waves = dctn(np.moveaxis(views @ OPPONENT.T, -1, 1), axes=(2, 3))
    return np.packbits(waves[:, _CHANNEL, _DOWN, _ACROSS] > 0)


def of_the_whole(phash: str) -> str:
    """The part of a hash, in hexadecimal, that says what the whole photo looks like: 48 digits."""
    return phash[: VIEW_BITS // 4]


def group_copies(hashes: np.ndarray, sha256s: Sequence[str]) -> np.ndarray:
    """Number the groups of copies: `int64` (n,), each from 0 to the number of groups less one.

    `hashes` is `uint8` (n, HASH_BYTES). Photos of one SHA-256 share a group; so do those with a
    view, mirrored or not, that differs from one of the other's in `NEAR` bits or fewer, and the
    copies of copies. The same photos in another order give the same groups, if other numbers.
    """
    if len(hashes) == 0:
        return np.zeros(0, np.int64)
    # Sorted and each one once: the order of the photos is forgotten, thousands of equals are one.
    distinct, which = np.unique(hashes, axis=0, return_inverse=True)
    groups = np.arange(len(distinct))
    for left, right in _near_pairs(distinct):
        groups = _merge(groups, left, right)
    return _merge_equals(groups[which], sha256s).astype(np.int64)


def _shrink(photo: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)


def _near_pairs(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of near hashes as two arrays of indices, for each sorting; most come repeatedly."""
    views, owners = _all_views(hashes)
    random = np.random.default_rng(0)
    for _ in range(SORTINGS):
        order = np.argsort(_bits_of(views, random), kind="stable")
        views_in_order, owners_in_order = views[:, order], owners[order]
        for lag in range(1, NEIGHBOURS + 1):
            near = _differing_bits(views_in_order[:, :-lag], views_in_order[:, lag:]) <= NEAR
            yield owners_in_order[:-lag][near], owners_in_order[lag:][near]


def _all_views(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each hash's views and the whole photo's mirror image, `uint64` (WORDS, 6 n), and whose.

    The windows need no mirror image: whole against mirrored window is mirrored whole against it.
    """
    views = np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, VIEWS, WORDS)
    mirrored = views[:, :1] ^ _MIRROR
    both = np.concatenate([views, mirrored], axis=1).reshape(-1, WORDS)
    return np.ascontiguousarray(both.T), np.repeat(np.arange(len(hashes)), VIEWS + 1)


def _bits_of(views: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`SORTING_BITS` randomly drawn bits of each view, the same of all, as a number to sort by."""
    keys = np.zeros(views.shape[1], np.uint64)
    for bit in random.choice(VIEW_BITS, SORTING_BITS, replace=False):
        word, place = divmod(int(bit), 64)
        keys = (keys << np.uint64(1)) | ((views[word] >> np.uint64(place)) & np.uint64(1))
    return keys


def _differing_bits(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.bitwise_count(left ^ right).sum(axis=0, dtype=np.int64)


def _merge(groups: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The groups once those of each pair of members, `left` and `right`, have become one."""
    count = groups.max() + 1
    links = coo_array((np.ones(len(left), bool), (groups[left], groups[right])), (count, count))
    return connected_components(links, directed=False)[1][groups]


def _merge_equals(groups: np.ndarray, names: Sequence[str]) -> np.ndarray:
    _, first, which = np.unique(np.asarray(names), return_index=True, return_inverse=True)
    return _merge(groups, np.arange(len(groups)), first[which])
