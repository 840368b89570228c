"""Training, validation and test: a photo's split depends on the photo, not on what else is there.

Each photo has a number from 0 to 1, a hash of the seed and its SHA-256. Groups of copies whose
smallest number is below the first share are for training, those above the first two for test. So,
with the same seed and shares:

- Photos that come, go, are renamed or change folder do not change the split of other groups.
- A copy that joins a group, or joins two groups, can move photos towards training only: the split
  that was trained on wins.
- Not covered: a group that loses the photo with its smallest number, or falls apart, may leave
  training. No rule that knows only today's photos covers both this and the joining.

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

import numpy as np

from car_damage.errors import UserError

SPLITS = ("train", "val", "test")
MIN_GROUPS = 10  # in each split of a class; with fewer, chance could leave one empty


def split_class(
    label: str, groups: Sequence[Collection[str]], shares: Mapping[str, float], seed: int
) -> list[str]:
    """Choose each group's split by its photos' SHA-256s. Raises `UserError` for too few groups."""
    if len(groups) < len(SPLITS):
        raise UserError(
            f"the class '{label}' is too small to split: {len(groups)} different photos do not "
            "reach training, validation and test; add photos"
        )
    numbers = np.array([min(_number(seed, sha256) for sha256 in group) for group in groups])
    wanted = np.array([shares[split] for split in SPLITS])
    chosen = np.searchsorted(np.cumsum(wanted)[:-1], numbers, side="right")
    if (np.bincount(chosen, minlength=3) < np.maximum(MIN_GROUPS, wanted * len(groups) / 2)).any():
        print(
            f"class '{label}' has too few photos without copies ({len(groups)}) for a split that "
            "never changes: it is split by count, and new photos may move others between splits"
        )
        chosen = _by_count(numbers, np.array([len(group) for group in groups]), wanted)
    return [SPLITS[number] for number in chosen]


def _number(seed: int, sha256: str) -> float:
    return int(hashlib.sha256(f"{seed}/{sha256}".encode()).hexdigest()[:13], 16) / 16**13


def _by_count(numbers: np.ndarray, sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The number of each group's split, from 0 to 2; no split is empty."""
    order = np.argsort(numbers)
    middles = (np.cumsum(sizes[order]) - sizes[order] / 2) / sizes.sum()
    val, test = np.searchsorted(middles, np.cumsum(shares)[:-1])
    val = np.clip(val, 1, len(sizes) - 2)
    test = np.clip(test, val + 1, len(sizes) - 1)
    return np.searchsorted([val, test], np.argsort(order), side="right")
