"""The files of a version that its report is made from."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from car_damage import model_store
from car_damage.errors import UserError
from car_damage.evaluation.comparison import AgainstCurrent, read_comparison
from car_damage.evaluation.label_issues import LabelIssue, read_label_issues
from car_damage.evaluation.predictions import PredictionRow, read_predictions
from car_damage.manifest import Manifest, Metrics

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")  # used in plots


@dataclass(frozen=True)
class Results:
    """A version and its results; a result that was not measured is empty or None."""

    record: model_store.Record
    history: list[dict[str, float]]  # a row for each epoch
    predictions: list[PredictionRow]
    label_issues: list[LabelIssue] | None  # None if labels were not checked
    against_current: AgainstCurrent | None  # promotion's comparison, if there was one

    @property
    def version(self) -> str:
        """The version's name."""
        return self.record.version

    @property
    def manifest(self) -> Manifest:
        """`model.json`."""
        return self.record.manifest

    @property
    def metrics(self) -> Metrics:
        """The metrics of `model.json`."""
        return self.manifest.metrics

    @property
    def network_of(self) -> str | None:
        """The version that the network is from, if only threshold and review band are new."""
        origin = self.manifest.weights
        if self.metrics.cost is None or self.manifest.settings is not None or origin is None:
            return None
        return origin.source.removesuffix(f"/{model_store.KERAS_MODEL}")

    def photos(self, split: str) -> list[PredictionRow]:
        """The predictions for the photos of a split, without close-ups."""
        return [row for row in self.predictions if row.split == split and row.kind == "photo"]


def read_results(models: Path, version: str) -> Results:
    """Read a version's files. Raises `UserError` if one has changed since training wrote it."""
    record = model_store.load_record(models, version)
    return Results(
        record,
        history=_read_history(record.folder / "history.csv"),
        predictions=read_predictions(record.folder),
        label_issues=read_label_issues(record.folder),
        against_current=read_comparison(record.folder),
    )


def labels_and_probabilities(rows: list[PredictionRow]) -> tuple[np.ndarray, np.ndarray]:
    """The labels, `int` (n,) with 1 for damaged, and the probabilities, `float64` (n,)."""
    labels = np.array([row.damaged for row in rows], int)
    return labels, np.array([row.probability for row in rows], np.float64)


def _read_history(path: Path) -> list[dict[str, float]]:
    """Read a row for each epoch; an empty list if the file is missing."""
    if not path.exists():
        return []
    wrong = f"{path} is not as training wrote it"
    repair = "Restore it, or delete it to make the report without learning curves."
    try:
        table = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        rows = [{name: float(value) for name, value in row.items()} for row in table]
    except (TypeError, ValueError) as error:
        raise UserError(f"{wrong}. {repair}") from error
    if missing := [name for name in HISTORY_COLUMNS if rows and name not in rows[0]]:
        raise UserError(f"{wrong}: the column {missing[0]} is missing. {repair}")
    return rows
