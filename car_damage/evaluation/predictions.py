"""What a version answers to the images of a split: figures of any part of them, and a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from car_damage.dataset.arrays import Row, Split, write_table
from car_damage.evaluation import metrics
from car_damage.evaluation.calibration import Calibration, probabilities

PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Predictions:
    """The images of a split, and a version's calibrated probability of damaged for each."""

    split: Split
    probabilities: np.ndarray  # float64 (n,)
    threshold: float

    @property
    def damaged(self) -> np.ndarray:
        """Which images are answered "damaged": bool (n,)."""
        damaged: np.ndarray = self.probabilities >= self.threshold
        return damaged

    @property
    def right(self) -> np.ndarray:
        """Which images are answered as they are labelled: bool (n,)."""
        right: np.ndarray = self.damaged == (self.split.y == 1)
        return right

    def figures(self, chosen: np.ndarray, seed: int) -> dict[str, Any]:
        """How many images are `chosen`, bool (n,), and every figure of them."""
        split = self.split
        found = metrics.figures(
            split.y[chosen],
            self.probabilities[chosen],
            self.threshold,
            _groups(split, chosen),
            seed,
        )
        return {"count": int(chosen.sum()), **metrics.as_json(found)}

    def shares(self, chosen: np.ndarray, seed: int) -> dict[str, Any]:
        """How many images are `chosen`, how many of them damaged, and `metrics.shares`."""
        damaged, predictions = self.split.y == 1, self.damaged
        found = self.bootstrap(
            lambda images: metrics.shares(damaged[images], predictions[images]), chosen, seed
        )
        return {"count": int(chosen.sum()), "damaged": int((damaged & chosen).sum()), **found}

    def bootstrap(
        self,
        statistics: Callable[[np.ndarray], dict[str, float]],
        chosen: np.ndarray,
        seed: int,
    ) -> dict[str, Any]:
        """`metrics.bootstrap` over the `chosen` images, bool (n,): one of them at least.

        `statistics` takes positions among all images.
        """
        positions = np.flatnonzero(chosen)
        found = metrics.bootstrap(
            lambda rows: statistics(positions[rows]), _groups(self.split, chosen), seed
        )
        return metrics.as_json(found)


def predictions_from(split: Split, logits: np.ndarray, calibration: Calibration) -> Predictions:
    """What the `logits`, (n,), of a split's images mean."""
    calibrated = probabilities(logits, calibration.temperature)
    return Predictions(split, calibrated, calibration.threshold)


@dataclass(frozen=True)
class PredictionRow:
    """A line of `predictions.csv`."""

    split: str
    path: str
    label: str
    kind: str
    group: str
    width: int  # pixels, of the upright photo
    height: int
    probability: float  # calibrated, of damaged


def write_predictions(path: Path, predictions_from: Sequence[Predictions]) -> None:
    """Write a line for each image of `answered`."""
    rows = [
        _prediction_row(row, float(probability))
        for predictions in predictions_from
        for row, probability in zip(predictions.split.rows, predictions.probabilities, strict=True)
    ]
    write_table(path, rows, PredictionRow)


def _groups(split: Split, chosen: np.ndarray) -> np.ndarray:
    groups: np.ndarray = np.array([row.group for row in split.rows])[chosen]
    return groups


def _prediction_row(row: Row, probability: float) -> PredictionRow:
    return PredictionRow(
        row.split, row.path, row.label, row.kind, row.group, row.width, row.height, probability
    )
