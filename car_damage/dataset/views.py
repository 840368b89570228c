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
    """Put each row of the data set into the split that `split_of` returns, or leave it out.

    `split_of` takes the row's present split and the row. Raises `UserError` if training or
    validation would lack a class, or if no test photo would be left.
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
            raise UserError(f"a class has no photos left in the {name} split")
    if not len(made["test"].y):
        raise UserError("no photos are left in the test split")
    return Dataset(made["train"], made["val"], made["test"], dataset.config)


def without_learnt(dataset: Dataset, learnt: frozenset[str]) -> tuple[Dataset, dict[str, int]]:
    """Move each group with a photo whose SHA-256 is in `learnt` to training.

    Also returns the number of photos that left validation and test. If a model starts from one that
    was trained on these photos, it must not be calibrated or tested on them.
    """
    rows = [*dataset.val.rows, *dataset.test.rows]
    groups = {row.group for row in rows if row.sha256 in learnt}
    if not groups:
        return dataset, {}
    try:
        moved = rearranged(dataset, lambda name, row: "train" if row.group in groups else name)
    except UserError as error:
        raise UserError(
            f"The earlier model was trained on too many of these photos ({error}). Add photos, or "
            "choose other --weights."
        ) from error
    counts = Counter(row.split for row in rows if row.group in groups and row.kind == "photo")
    return moved, {name: counts[name] for name in ("val", "test")}


def _split(splits: Sequence[Split], name: str, places: Sequence[tuple[int, int]]) -> Split:
    """Make a split of the rows at `places`, each an index into `splits` and a row there."""

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
