"""What a report is made of: the files of one version, read."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from car_damage import model_store
from car_damage.errors import UserError

Line = TypeVar("Line")


@dataclass(frozen=True)
class Answer:
    """A line of `predictions.csv`: what the version says of a validation or test image."""

    split: str
    path: str
    damaged: bool  # the truth
    kind: str  # `photo`, or `close_up` cut out of the photo at `path`
    probability: float  # calibrated, of damaged


@dataclass(frozen=True)
class LabelIssue:
    """A line of `label_issues.csv`: a photo whose label looks wrong."""

    path: str
    label: str
    suggested: str
    quality: float  # of the label: 0 is surely wrong, 1 surely right


@dataclass(frozen=True)
class Results:
    """A version and all that was measured of it; what was not measured is absent."""

    record: model_store.Record
    history: list[dict[str, float]]  # a row an epoch
    predictions: list[Answer]
    label_issues: list[LabelIssue] | None  # None: nobody looked for any

    @property
    def version(self) -> str:
        """The version's name."""
        return self.record.version

    @property
    def about(self) -> dict[str, Any]:
        """`model.json`."""
        return self.record.about

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of `model.json`; empty where nothing was measured."""
        return self.about.get("figures") or {}

    def photos(self, split: str) -> list[Answer]:
        """The answers to the photos of a split, close-ups left out."""
        return [row for row in self.predictions if row.split == split and row.kind == "photo"]


def read_results(models: Path, version: str) -> Results:
    """Read a version's files. Raises `UserError` when one is not what training wrote."""
    record = model_store.load_record(models, version)
    issues = record.folder / "label_issues.csv"
    return Results(
        record,
        history=_read(record.folder / "history.csv", _epoch),
        predictions=_read(record.folder / "predictions.csv", _prediction),
        label_issues=_read(issues, _label_issue) if issues.exists() else None,
    )


def labels_and_probabilities(predictions: list[Answer]) -> tuple[np.ndarray, np.ndarray]:
    """The truth, `int` (n,) with 1 for damaged, and the probabilities, `float64` (n,)."""
    labels = np.array([row.damaged for row in predictions], int)
    return labels, np.array([row.probability for row in predictions], np.float64)


def _read(path: Path, line: Callable[[dict[str, str]], Line]) -> list[Line]:
    """A table's lines; none where the version lacks the file."""
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [line(row) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not as training wrote it: delete it or train again") from error


def _epoch(row: dict[str, str]) -> dict[str, float]:
    return {key: float(value) for key, value in row.items()}


def _prediction(row: dict[str, str]) -> Answer:
    return Answer(
        split=row["split"],
        path=row["path"],
        damaged=row["label"] == "damaged",
        kind=row["kind"],
        probability=float(row["probability"]),
    )


def _label_issue(row: dict[str, str]) -> LabelIssue:
    return LabelIssue(row["path"], row["label"], row["suggested"], float(row["quality"]))
