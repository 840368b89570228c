"""What a version answers to the squares of a split: figures of any part of them, and a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from car_damage.dataset.arrays import Row, Split, write_table
from car_damage.training import evaluation
from car_damage.training.calibration import Calibration, probabilities

ANSWERS = "answers.csv"


@dataclass(frozen=True)
class Answers:
    """The squares of a split, and a version's calibrated probability of damaged for each."""

    split: Split
    probabilities: np.ndarray  # float64 (n,)
    threshold: float

    @property
    def damaged(self) -> np.ndarray:
        """Which squares are answered "damaged": bool (n,)."""
        damaged: np.ndarray = self.probabilities >= self.threshold
        return damaged

    @property
    def right(self) -> np.ndarray:
        """Which squares are answered as they are labelled: bool (n,)."""
        right: np.ndarray = self.damaged == (self.split.y == 1)
        return right

    def figures(self, chosen: np.ndarray, seed: int) -> dict[str, Any]:
        """How many squares are `chosen`, bool (n,), and every figure of them."""
        split = self.split
        found = evaluation.figures(
            split.y[chosen],
            self.probabilities[chosen],
            self.threshold,
            _groups(split, chosen),
            seed,
        )
        return {"count": int(chosen.sum()), **evaluation.as_json(found)}

    def shares(self, chosen: np.ndarray, seed: int) -> dict[str, Any]:
        """How many squares are `chosen`, how many of them damaged, and `evaluation.shares`."""
        damaged, answers = self.split.y == 1, self.damaged
        found = self.bootstrap(
            lambda squares: evaluation.shares(damaged[squares], answers[squares]), chosen, seed
        )
        return {"count": int(chosen.sum()), "damaged": int((damaged & chosen).sum()), **found}

    def bootstrap(
        self,
        statistics: Callable[[np.ndarray], dict[str, float]],
        chosen: np.ndarray,
        seed: int,
    ) -> dict[str, Any]:
        """`evaluation.bootstrap` over the `chosen` squares, bool (n,): one of them at least.

        `statistics` takes positions among all squares.
        """
        positions = np.flatnonzero(chosen)
        found = evaluation.bootstrap(
            lambda rows: statistics(positions[rows]), _groups(self.split, chosen), seed
        )
        return evaluation.as_json(found)


def answered(split: Split, logits: np.ndarray, calibration: Calibration) -> Answers:
    """What the `logits`, (n,), of a split's squares mean."""
    calibrated = probabilities(logits, calibration.temperature)
    return Answers(split, calibrated, calibration.threshold)


@dataclass(frozen=True)
class AnswerRow:
    """A line of `answers.csv`."""

    split: str
    path: str
    label: str
    kind: str
    group: str
    width: int  # pixels, of the upright photo
    height: int
    probability: float  # calibrated, of damaged


def write_answers(path: Path, answered: Sequence[Answers]) -> None:
    """Write a line for each square of `answered`."""
    rows = [
        _answer_row(row, float(probability))
        for answers in answered
        for row, probability in zip(answers.split.rows, answers.probabilities, strict=True)
    ]
    write_table(path, rows, AnswerRow)


def _groups(split: Split, chosen: np.ndarray) -> np.ndarray:
    groups: np.ndarray = np.array([row.group for row in split.rows])[chosen]
    return groups


def _answer_row(row: Row, probability: float) -> AnswerRow:
    return AnswerRow(
        row.split, row.path, row.label, row.kind, row.group, row.width, row.height, probability
    )
