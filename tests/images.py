"""Made-up splits and predictions for tests, whose metrics can be counted by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from car_damage.dataset.arrays import Row, Split
from car_damage.evaluation.inference import Outputs
from car_damage.manifest import DatasetConfig

YES, NO = 4.0, -4.0  # logits


def row(number: int, label: str, path: str = "", kind: str = "photo", **more: Any) -> Row:
    """A row of `photos.csv`; each is its own group, and lies in its class folder, unless told."""
    columns = {"split": "test", "group": f"g{number}", "width": 400, "height": 300, **more}
    path = path or f"/cars/{label}/{number}.jpg"
    return Row(row=number, label=label, kind=kind, path=path, sha256="", phash="", **columns)


def split_of(
    rows: Sequence[Row], images: np.ndarray | None = None, size: int | None = None
) -> Split:
    """A split with these rows; its images are black unless given, and as large as stored."""
    y = np.array([row.label == "damaged" for row in rows], np.uint8)
    images = np.zeros((len(rows), 8, 8, 3), np.uint8) if images is None else images
    return Split(images, y, list(rows), size or images.shape[1])


def config_of(**changes: Any) -> DatasetConfig:
    """A data set's `dataset.json`."""
    entries = {
        "size": 8,
        "seed": 0,
        "shares": {"train": 0.7, "val": 0.15, "test": 0.15},
        "close_ups": 0,
        "counts": {},
        "copies": {"groups_of_copies": 0, "photos_in_them": 0},
        "rejected": {},
        "python": "",
        "libraries": {},
        "fingerprint": "of this data set",
    }
    return DatasetConfig(**entries | changes)


def outputs_of(logits: Sequence[float]) -> Outputs:
    """What a graph gives that has these logits, with heatmaps of one place."""
    logits = np.array(logits, np.float64)
    heatmaps = logits.astype(np.float32)[:, np.newaxis, np.newaxis]
    return Outputs(logits, heatmaps, np.zeros((len(logits), 2), np.float32))
