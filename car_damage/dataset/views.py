"""Rearrange the splits of a data set without reading its images."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from car_damage.dataset.arrays import Dataset, Images, Row, Split
from car_damage.dataset.split import SPLITS
from car_damage.errors import UserError
from car_damage.photos import Photo


def rearranged(dataset: Dataset, split_of: Callable[[str, Row], str | None]) -> Dataset:
    """The data set with each row in the split that `split_of` gives it, or in none.

    `split_of` takes the split that the row is in, and the row. Raises `UserError` when training or
    validation would lack a class, or no photo would be left to test on.
    """
    splits = [getattr(dataset, name) for name in SPLITS]
    places: dict[str, list[tuple[int, int]]] = {name: [] for name in SPLITS}
    for which, name in enumerate(SPLITS):
        for at, row in enumerate(splits[which].rows):
            if (target := split_of(name, row)) is not None:
                places[target].append((which, at))
    made = {name: _split(splits, name, places[name]) for name in SPLITS}
    for name in ("train", "val"):
        if len(np.unique(made[name].y)) < 2:
            raise UserError(f"a class has no photo left in the {name} split")
    if not len(made["test"].y):
        raise UserError("no photo is left to test on")
    return Dataset(made["train"], made["val"], made["test"], dataset.config)


def without_learnt(dataset: Dataset, learnt: frozenset[str]) -> tuple[Dataset, dict[str, int]]:
    """Move each group with a photo whose SHA-256 is in `learnt` to training.

    Also returns how many photos left validation and test. A model that starts from one trained on
    these photos must not be calibrated or tested on them.
    """
    rows = [*dataset.val.rows, *dataset.test.rows]
    groups = {row.group for row in rows if row.sha256 in learnt}
    if not groups:
        return dataset, {}
    try:
        moved = rearranged(dataset, lambda name, row: "train" if row.group in groups else name)
    except UserError as error:
        raise UserError(
            f"the earlier model was trained on too many of these photos ({error}): add photos, or "
            "start from other weights"
        ) from error
    counts = Counter(row.split for row in rows if row.group in groups and row.kind == "photo")
    return moved, {name: counts[name] for name in ("val", "test")}


def _split(splits: Sequence[Split], name: str, places: Sequence[tuple[int, int]]) -> Split:
    """The split of the rows at `places`: which of `splits`, and the row there."""

    def read(row: int) -> Photo:
        at, old = places[row]
        return np.asarray(splits[at].stored[old])

    return Split(
        stored=Images(read, len(places), splits[0].stored.shape[1]),
        y=np.array([splits[at].y[row] for at, row in places], np.uint8),
        rows=[
            replace(splits[at].rows[row], split=name, row=number)
            for number, (at, row) in enumerate(places)
        ],
        size=splits[0].size,
    )
