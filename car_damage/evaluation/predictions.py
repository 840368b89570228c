"""A version's predictions for the images of a split, their metrics, and `predictions.csv`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from car_damage.dataset.arrays import Split, read_table, write_table
from car_damage.dataset.find import LABELS
from car_damage.decision import Decision
from car_damage.evaluation import metrics
from car_damage.manifest import Estimate, MetricSet

PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Predictions:
    """The images of a split, and a version's calibrated probability of damage for each."""

    split: Split
    probabilities: np.ndarray  # float64 (n,), rounded
    decision: Decision

    @property
    def damaged(self) -> np.ndarray:
        """Which images are classified as damaged: bool (n,)."""
        return self.decision.is_damaged(self.probabilities)

    @property
    def needs_review(self) -> np.ndarray:
        """Which images need a person: bool (n,)."""
        return self.decision.needs_review(self.probabilities)

    def metrics(self, chosen: np.ndarray, seed: int) -> MetricSet:
        """All metrics of the `chosen` images, bool (n,)."""
        arrays = self.split.y == 1, self.damaged, self.probabilities
        found = self.bootstrap(
            lambda images: metrics.compute(*(array[images] for array in arrays)),
            *(chosen, seed, metrics.wholes_of(*arrays[:2])),
        )
        return MetricSet(count=int(chosen.sum()), **found)

    def shares(self, chosen: np.ndarray, seed: int) -> MetricSet:
        """`metrics.shares` of the `chosen` images, bool (n,), and the number of damaged ones."""
        damaged, predicted = self.split.y == 1, self.damaged
        found = self.bootstrap(
            lambda images: metrics.shares(damaged[images], predicted[images]),
            *(chosen, seed, metrics.wholes_of(damaged, predicted)),
        )
        return MetricSet(count=int(chosen.sum()), damaged=int((damaged & chosen).sum()), **found)

    def accuracy(self, chosen: np.ndarray, seed: int) -> MetricSet:
        """The accuracy from `shares`, which is enough if all images are of one class."""
        shares = self.shares(chosen, seed)
        return MetricSet(count=shares.count, damaged=shares.damaged, accuracy=shares.accuracy)

    def bootstrap(
        self,
        statistics: Callable[[np.ndarray], dict[str, float]],
        chosen: np.ndarray,
        seed: int,
        wholes: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, Estimate]:
        """`metrics.bootstrap` over the `chosen` images, bool (n,), of which there is at least one.

        `statistics` takes positions among all images, and `wholes` covers all of them.
        """
        positions = np.flatnonzero(chosen)
        groups = np.array([self.split.rows[at].group for at in positions])
        of_chosen = {name: images[positions] for name, images in (wholes or {}).items()}
        return metrics.bootstrap(lambda rows: statistics(positions[rows]), groups, seed, of_chosen)


def predictions_from(split: Split, logits: np.ndarray, decision: Decision) -> Predictions:
    """The predictions that a decision gives for the `logits`, (n,), of a split's images."""
    return Predictions(split, decision.probabilities(logits), decision)


@dataclass(frozen=True)
class PredictionRow:
    """A line of `predictions.csv`."""

    split: str
    path: str
    label: str
    kind: str  # `photo`, or `close_up` cut out of the photo at `path`
    group: str
    width: int  # pixels, of the upright photo
    height: int
    probability: float  # calibrated, of damage

    @property
    def damaged(self) -> bool:
        """Whether it is labelled as damaged."""
        return self.label == LABELS[1]


def read_predictions(folder: Path) -> list[PredictionRow]:
    """Read a version's `predictions.csv`; an empty list if it has none.

    Raises `UserError` if the file has changed since `write_predictions` wrote it.
    """
    path = folder / PREDICTIONS
    return read_table(path, PredictionRow) if path.exists() else []


def prediction_rows(predictions: Predictions) -> list[PredictionRow]:
    """A row for each image."""
    return [
        PredictionRow(
            *(row.split, row.path, row.label, row.kind, row.group, row.width, row.height),
            probability=float(probability),
        )
        for row, probability in zip(predictions.split.rows, predictions.probabilities, strict=True)
    ]


def write_predictions(path: Path, predictions: Sequence[Predictions]) -> None:
    """Write a line for each image."""
    write_table(path, [row for each in predictions for row in prediction_rows(each)], PredictionRow)
