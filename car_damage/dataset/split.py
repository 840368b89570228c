"""Groups of copies to training, validation and test: no group in two, each source in all."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from car_damage.dataset.find import LABELS
from car_damage.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Group:
    """Photos that are copies of one another, all of one class."""

    name: str  # does not depend on the order in which photos were found
    label: str
    data_folder: str
    photos: int


def split_groups(groups: Sequence[Group], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign each group's name to a split, stratified by class and, within it, by data folder.

    The groups of a class are lined up folder by folder, in an order that the seed draws from their
    names, and each goes to the split that is furthest behind its share. Neighbours in the line are
    of one folder, so the shares hold in every folder as nearly as its size allows, also where
    folders hold a photo or two. `shares` sum to 1.

    Raises `UserError` when a class is too small to stand in every split.
    """
    by_label: defaultdict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_label[group.label].append(group)
    splits: dict[str, str] = {}
    for label in LABELS:
        line = sorted(by_label[label], key=lambda group: _place_in_line(group, seed))
        splits |= _deal(line, shares)
        _check_all_present(label, line, splits, shares)
    return splits


def _place_in_line(group: Group, seed: int) -> tuple[str, str]:
    drawn = hashlib.sha256(f"{seed}/{group.name}".encode()).hexdigest()
    return group.data_folder, drawn


def _deal(line: Sequence[Group], shares: Mapping[str, float]) -> dict[str, str]:
    dealt: Counter[str] = Counter()
    splits = {}
    for group in line:
        total = dealt.total() + group.photos
        split = max(shares, key=lambda name: shares[name] * total - dealt[name])
        dealt[split] += group.photos
        splits[group.name] = split
    return splits


def _check_all_present(
    label: str, line: Sequence[Group], splits: Mapping[str, str], shares: Mapping[str, float]
) -> None:
    present = {splits[group.name] for group in line}
    if present < set(shares):
        raise UserError(
            f"the class '{label}' is too small to split: {len(line)} different photos do not "
            "reach training, validation and test; add photos"
        )
