"""Group photos that are near-identical copies of each other by their perceptual hashes.

To find similar hashes, we sort all hashes by random bits, several times, and compare neighbours
only (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms"; Ravichandran,
Pantel and Hovy 2005). This takes O(n log n), even if all hashes are the same. A pair is missed if
no sorting brings it together; `benchmarks/copies.py` measures how rare that is.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from car_damage.perceptual_hash import MIRROR, VIEW_BITS, VIEWS

WORDS = VIEW_BITS // 64  # hashes are compared 64 bits at a time

# With a higher limit, more and more different cars in front of the same backdrop become copies.
NEAR = 22  # of a view's 192 bits: two photos are copies if at most this many bits differ
SORTINGS = 32
SORTING_BITS = 32  # more than enough to tell a million hashes apart
NEIGHBOURS = 4  # to compare with each hash after each sorting


def of_the_whole(phash: str) -> str:
    """The 48 digits of a hexadecimal hash that describe the whole photo, without its windows."""
    return phash[: VIEW_BITS // 4]


def group_copies(hashes: np.ndarray, sha256s: Sequence[str]) -> np.ndarray:
    """Assign each photo the number of its group of copies: `int64` (n,), starting at 0.

    `hashes` is `uint8` (n, HASH_BYTES). Two photos are copies if they have the same SHA-256, or if
    one view of each, mirrored or not, differs in at most `NEAR` bits. Copies of copies are in the
    same group. The order of the photos changes the numbers, but not the groups.
    """
    if len(hashes) == 0:
        return np.zeros(0, np.int64)
    # Sorted and unique: the result does not depend on the order, and equal hashes count once.
    distinct, which = np.unique(hashes, axis=0, return_inverse=True)
    groups = np.arange(len(distinct))
    for left, right in _near_pairs(distinct):
        groups = _merge(groups, left, right)
    return _merge_equals(groups[which], sha256s).astype(np.int64)


def _near_pairs(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of near hashes as two arrays of indices; most pairs come several times."""
    views, owners = _all_views(hashes)
    random = np.random.default_rng(0)
    for _ in range(SORTINGS):
        order = np.argsort(_bits_of(views, random), kind="stable")
        views_in_order, owners_in_order = views[:, order], owners[order]
        for lag in range(1, NEIGHBOURS + 1):
            near = _differing_bits(views_in_order[:, :-lag], views_in_order[:, lag:]) <= NEAR
            yield owners_in_order[:-lag][near], owners_in_order[lag:][near]


def _all_views(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The views of all hashes, `uint64` (WORDS, 6 n), and the index of each view's hash.

    Each hash has its five views and the mirrored whole photo. The windows need no mirror image,
    because comparing one with a mirrored whole photo gives the same result.
    """
    views = np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, VIEWS, WORDS)
    mirrored = views[:, :1] ^ MIRROR.view(np.uint64)
    both = np.concatenate([views, mirrored], axis=1).reshape(-1, WORDS)
    return np.ascontiguousarray(both.T), np.repeat(np.arange(len(hashes)), VIEWS + 1)


def _bits_of(views: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A number for each view to sort by: the same `SORTING_BITS` random bits of all views."""
    keys = np.zeros(views.shape[1], np.uint64)
    for bit in random.choice(VIEW_BITS, SORTING_BITS, replace=False):
        word, place = divmod(int(bit), 64)
        keys = (keys << np.uint64(1)) | ((views[word] >> np.uint64(place)) & np.uint64(1))
    return keys


def _differing_bits(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.bitwise_count(left ^ right).sum(axis=0, dtype=np.int64)


def _merge(groups: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Merge the groups of each pair of members, `left` and `right`."""
    count = groups.max() + 1
    links = coo_array((np.ones(len(left), bool), (groups[left], groups[right])), (count, count))
    return connected_components(links, directed=False)[1][groups]


def _merge_equals(groups: np.ndarray, names: Sequence[str]) -> np.ndarray:
    _, first, which = np.unique(np.asarray(names), return_index=True, return_inverse=True)
    return _merge(groups, np.arange(len(groups)), first[which])
