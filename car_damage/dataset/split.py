"""Training, validation and test: a photo's split depends on the photo, not on what else is there.

Each photo has a number from 0 to 1, a hash of the seed and its SHA-256. Groups of copies whose
smallest number is below the first share are for training, those above the first two for test. So,
with the same seed and shares:

- Photos that come, go, are renamed or change folder do not change the split of other groups.
- A copy that joins a group, or joins two groups, can move photos towards training only: the split
  that was trained on wins.
- Not covered: a group that loses the photo with its smallest number, or falls apart, may leave
  training. No rule that knows only today's photos covers both this and the joining.

One exception: numbered photos that are likely to be views of one car (`sources.run_of`) stay
together. Their number is a hash of the seed and their run's name, so they do move if they are
renamed or get another source. Runs that share copies are treated as one.

The price: a group of n different files is for training with probability 1 - (1 - share)^n, for
n = 2 and 70 % with 91 %. With a tenth of the photos in pairs, test gets 13.7 % instead of 15 %.

Where a split would get fewer than `MIN_GROUPS` groups, or less than half of its share because most
photos have copies, the class is split by count, and a printed line says so: the groups, sorted by
their numbers, are cut where the photos reach the shares. Folders still do not matter, but groups
near a cut may move to the next split when photos come or go. More move when so many photos come or
go that the class starts or stops being split by count.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from car_damage.errors import UserError

SPLITS = ("train", "val", "test")
MIN_GROUPS = 10  # in each split of a class; with fewer, chance could leave one empty


def split_class(
    label: str,
    groups: Sequence[Collection[tuple[str, str | None]]],
    shares: Mapping[str, float],
    seed: int,
) -> list[str]:
    """Choose each group's split by the SHA-256 and the run (None: not numbered) of its photos.

    Raises `UserError` for too few groups.
    """
    if len(groups) < len(SPLITS):
        raise UserError(
            f"the class '{label}' is too small to split: {len(groups)} different photos do not "
            "reach training, validation and test; add photos"
        )
    keys = [{run or sha256 for sha256, run in group} for group in groups]
    unit = _linked(keys)
    if unit.max() + 1 < len(SPLITS):
        print(
            f"class '{label}' has too few runs of numbered photos to keep each in one split: "
            "photos of one car may be in two splits"
        )
        keys = [{sha256 for sha256, _ in group} for group in groups]
        unit = np.arange(len(groups))
    numbers = np.ones(unit.max() + 1)
    np.minimum.at(numbers, unit, [min(_number(seed, key) for key in each) for each in keys])
    wanted = np.array([shares[split] for split in SPLITS])
    chosen = np.searchsorted(np.cumsum(wanted)[:-1], numbers[unit], side="right")
    if (np.bincount(chosen, minlength=3) < np.maximum(MIN_GROUPS, wanted * len(groups) / 2)).any():
        print(
            f"class '{label}' has too few photos without copies ({len(groups)}) for a split that "
            "never changes: it is split by count, and new photos may move others between splits"
        )
        sizes = np.bincount(unit, weights=[len(group) for group in groups])
        chosen = _by_count(numbers, sizes, wanted)[unit]
    return [SPLITS[number] for number in chosen]


def _linked(keys: Sequence[Collection[str]]) -> np.ndarray:
    """Number the units of groups that are linked by common keys: int64 (n,), from 0."""
    names = {key: number for number, key in enumerate(dict.fromkeys(chain.from_iterable(keys)))}
    count = len(keys) + len(names)
    pairs = [(at, len(keys) + names[key]) for at, each in enumerate(keys) for key in each]
    links = coo_array((np.ones(len(pairs), bool), tuple(np.transpose(pairs))), (count, count))
    parts = connected_components(links, directed=False)[1][: len(keys)]
    return np.unique(parts, return_inverse=True)[1]


def _number(seed: int, key: str) -> float:
    return int(hashlib.sha256(f"{seed}/{key}".encode()).hexdigest()[:13], 16) / 16**13


def _by_count(numbers: np.ndarray, sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The number of each group's split, from 0 to 2; no split is empty."""
    order = np.argsort(numbers)
    middles = (np.cumsum(sizes[order]) - sizes[order] / 2) / sizes.sum()
    val, test = np.searchsorted(middles, np.cumsum(shares)[:-1])
    val = np.clip(val, 1, len(sizes) - 2)
    test = np.clip(test, val + 1, len(sizes) - 1)
    return np.searchsorted([val, test], np.argsort(order), side="right")
