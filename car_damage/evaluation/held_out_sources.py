"""How a recipe does on a source that it was not trained on.

Where each source shows one class only, photos held out at random are of sources that the model
knows, and it may have learnt the source instead of the damage. Whole folders held out show it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from car_damage import model_store
from car_damage.dataset.arrays import Dataset, Row, Split
from car_damage.dataset.split import SPLITS
from car_damage.errors import UserError


def leave_out(dataset: Dataset, folders: Sequence[str]) -> Dataset:
    """A data set to train without `folders` and to test on all of their photos.

    `folders` are names, or ends of paths, such as `dealers-uk` or `close-ups/damaged`; what lies
    below them counts. Copies of their photos leave training too. The images that remain are read
    into memory. Without `folders` the data set stays as it is; raises `UserError` for one that
    holds no photo, and where nothing of a class would be left to train on.
    """
    if not folders:
        return dataset
    splits = [getattr(dataset, name) for name in SPLITS]
    for folder in folders:
        if not any(_lies_in(row, [folder]) for split in splits for row in split.rows):
            raise UserError(
                f"no photo of the data set lies in a folder {folder}: check --leave-out"
            )
    out = {row.group for split in splits for row in split.rows if _lies_in(row, folders)}
    train, val = (_chosen(split, lambda row: row.group not in out) for split in splits[:2])
    if any(len(np.unique(split.y)) < 2 for split in (train, val)):
        raise UserError("a class has no photo left to train on: leave fewer folders out")
    tested = [
        _chosen(split, lambda row: _lies_in(row, folders) and row.kind == "photo")
        for split in splits
    ]
    return replace(dataset, train=train, val=val, test=_joined(tested))


def left_out_figures(models: Path, facts: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The entry `left_out` of a version's figures: how versions trained without a folder did on it.

    They are those in `models` of the same backbone and data set. Empty where there are none.
    """
    records = (_record(models, version) for version in model_store.versions(models))
    found = {
        folder: {**figures, "version": about["version"]}
        for about in records
        if about.get("settings", {}).get("leave_out")
        and about["backbone"] == facts["backbone"]
        and about["data"]["fingerprint"] == dataset.about["fingerprint"]
        for folder, figures in about["figures"]["data_folders"].items()
    }
    return {"left_out": dict(sorted(found.items()))} if found else {}


def _record(models: Path, version: str) -> dict[str, Any]:
    try:
        return model_store.load_record(models, version).about
    except UserError:  # a broken version is none of ours to complain of
        return {}


def _lies_in(row: Row, folders: Iterable[str]) -> bool:
    path = f"/{Path(row.path).parent.as_posix()}/"
    return any(f"/{folder.strip('/')}/" in path for folder in folders)


def _chosen(split: Split, wanted: Callable[[Row], bool]) -> Split:
    positions = [position for position, row in enumerate(split.rows) if wanted(row)]
    return Split(split.X[positions], split.y[positions], [split.rows[at] for at in positions])


def _joined(splits: Sequence[Split]) -> Split:
    return Split(
        np.concatenate([split.X for split in splits]),
        np.concatenate([split.y for split in splits]),
        [row for split in splits for row in split.rows],
    )
