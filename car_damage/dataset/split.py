"""Split photos into training, validation and test; a photo's split does not depend on other photos.

Each photo has a number from 0 to 1, a hash of the seed and its SHA-256. The smallest number in a
group of copies decides its split: training below the first share, test above the first two. So,
with the same seed and shares:

- If photos are added, removed, renamed or moved, other groups keep their split.
- A copy that joins a group, or connects two groups, can only move photos to training. So no photo
  that was used for training is ever tested.
- Limitation: a group may leave training if it loses the photo with its smallest number, or falls
  apart. No rule that knows only the present photos can prevent both this and the case above.

There is one exception. Numbered photos that are likely to be views of one car (`sources.run_of`)
stay together. Their number is a hash of the seed and their run's name, so they may move if they are
renamed or get another source. Runs that share copies count as one.

The cost: a group of n different files is in training with probability 1 - (1 - share)^n, which is
91 % for n = 2 and a share of 70 %. If a tenth of the photos are in pairs, test gets 13.7 % instead
of 15 %.

If a split would get fewer than `MIN_GROUPS` groups, or less than half of its share because most
photos have copies, the class is split by count, and a line on the screen says so. The groups are
sorted by their numbers and cut where the photos reach the shares. Folders still have no effect, but
groups near a cut may move to the next split if photos are added or removed. More groups move if the
class starts or stops being split by count.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from car_damage.errors import UserError

SPLITS = ("train", "val", "test")
MIN_GROUPS = 10  # in each split of a class; with fewer, a split could be empty by chance


def split_class(
    label: str,
    groups: Sequence[Collection[tuple[str, str | None]]],
    shares: Mapping[str, float],
    seed: int,
) -> list[str]:
    """Choose each group's split from the SHA-256 and the run (None: no number) of its photos.

    Raises `UserError` if there are too few groups.
    """
    if len(groups) < len(SPLITS):
        raise UserError(
            f"Class '{label}' has {len(groups)} different photos, too few for training, "
            "validation and test. Add photos."
        )
    keys = [{run or sha256 for sha256, run in group} for group in groups]
    unit = _linked(keys)
    if unit.max() + 1 < len(SPLITS):
        print(
            f"class '{label}' has too few runs of numbered photos to keep each run in one split, "
            "so photos of one car may be in two splits"
        )
        keys = [{sha256 for sha256, _ in group} for group in groups]
        unit = np.arange(len(groups))
    numbers = np.ones(unit.max() + 1)
    np.minimum.at(numbers, unit, [min(_number(seed, key) for key in each) for each in keys])
    wanted = np.array([shares[split] for split in SPLITS])
    chosen = np.searchsorted(np.cumsum(wanted)[:-1], numbers[unit], side="right")
    if (np.bincount(chosen, minlength=3) < np.maximum(MIN_GROUPS, wanted * len(groups) / 2)).any():
        print(
            f"class '{label}' has too few photos without copies ({len(groups)}) for a fixed split, "
            "so new photos may move others between training, validation and test"
        )
        sizes = np.bincount(unit, weights=[len(group) for group in groups])
        chosen = _by_count(numbers, sizes, wanted)[unit]
    return [SPLITS[number] for number in chosen]


def _linked(keys: Sequence[Collection[str]]) -> np.ndarray:
    """Number the sets of groups that are linked by common keys: int64 (n,), from 0."""
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
