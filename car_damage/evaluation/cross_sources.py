"""Logits of cross-source validation: their table, a common scale, and a decision fitted on them.

In cross-source validation, a model is trained for each fold without the sources of that fold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from car_damage.dataset.arrays import Row, read_table, write_table
from car_damage.decision import Decision
from car_damage.evaluation.calibration import ABROAD_TARGET, fit_decision, source_weights
from car_damage.manifest import Costs, LogitScale

CROSS_SOURCES = "cross_sources.csv"
HELD_OUT = "held_out"  # a photo of the fold's sources
HOME = "home"  # a validation photo of the other sources


@dataclass(frozen=True)
class FoldAnswer:
    """A line of `cross_sources.csv`: the logit of one fold's model for a photo.

    Held-out photos are in the train or val split of the whole data set. Its test photos are not
    used in any fold. Home photos are only used to bring the folds' logits to one scale.
    """

    path: str
    sha256: str
    group: str
    source: str
    label: str
    fold: int  # from 0, in the order of `deal_folds`
    part: str  # `HELD_OUT` or `HOME`
    logit: float  # as the fold's model gives it

    @property
    def damaged(self) -> bool:
        """Whether it is labelled as damaged."""
        return self.label == "damaged"


def fold_answers(rows: Sequence[Row], logits: np.ndarray, fold: int, part: str) -> list[FoldAnswer]:
    """The answers of one fold's model for these images, `logits` (n,), without close-ups."""
    return [
        FoldAnswer(
            *(row.path, row.sha256, row.group, row.source, row.label),
            fold=fold,
            part=part,
            logit=float(logit),
        )
        for row, logit in zip(rows, logits, strict=True)
        if row.kind == "photo"
    ]


def write_answers(path: Path, answers: Sequence[FoldAnswer]) -> None:
    """Write a line for each answer."""
    write_table(path, answers, FoldAnswer)


def read_answers(path: Path) -> list[FoldAnswer]:
    """Read the table that `write_answers` wrote. Raises `UserError` if it has changed."""
    return read_table(path, FoldAnswer)


def common_scale(answers: Sequence[FoldAnswer]) -> list[FoldAnswer]:
    """The held-out answers with logits on one scale for all folds.

    Each model's logits have their own scale. For each fold, a linear map gives the home logits the
    average mean and spread of all folds. The same map is applied to the fold's held-out logits.
    """
    of_fold = {fold: _mean_and_spread(home) for fold, home in _home_by_fold(answers).items()}
    average = _average(of_fold.values())
    scales = {fold: _scale(found, average) for fold, found in of_fold.items()}
    return [
        replace(one, logit=scales[one.fold].factor * one.logit + scales[one.fold].offset)
        for one in answers
        if one.part == HELD_OUT
    ]


def final_scale(logits: Mapping[str, float], answers: Sequence[FoldAnswer]) -> LogitScale:
    """The map that brings the logits of the model trained on all sources to the folds' scale.

    `logits` are that model's logits for each home validation photo, by its path. For each fold, the
    mean and spread of both models are computed on the fold's home photos and averaged over folds.
    """
    homes = _home_by_fold(answers)
    folds = _average(_mean_and_spread(home) for home in homes.values())
    final = _average(
        _mean_and_spread([replace(one, logit=logits[one.path]) for one in home])
        for home in homes.values()
    )
    return _scale(final, folds)


def fit_decision_abroad(scaled: Sequence[FoldAnswer], costs: Costs | None = None) -> Decision:
    """Fit a decision on held-out answers on one scale; each source counts the same in a class.

    `costs`, if given, choose the threshold and review band.
    """
    labels = np.array([one.damaged for one in scaled], int)
    weights = source_weights([one.source for one in scaled], labels)
    logits = np.array([one.logit for one in scaled], np.float64)
    return fit_decision(logits, labels, weights, ABROAD_TARGET, costs)


def _home_by_fold(answers: Iterable[FoldAnswer]) -> dict[int, list[FoldAnswer]]:
    found: dict[int, list[FoldAnswer]] = {}
    for one in answers:
        if one.part == HOME:
            found.setdefault(one.fold, []).append(one)
    return found


def _mean_and_spread(answers: Sequence[FoldAnswer]) -> np.ndarray:
    """Mean and standard deviation of the logits, (2,), with the same weight for both classes."""
    damaged = np.array([one.damaged for one in answers], bool)
    logits = np.array([one.logit for one in answers], np.float64)
    classes = logits[damaged], logits[~damaged]
    mean = np.mean([each.mean() for each in classes])
    return np.array([mean, np.sqrt(np.mean([((each - mean) ** 2).mean() for each in classes]))])


def _average(found: Iterable[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(list(found), axis=0), np.float64)


def _scale(before: np.ndarray, after: np.ndarray) -> LogitScale:
    """The linear map from one mean and spread to another."""
    (mean, spread), (new_mean, new_spread) = before, after
    factor = new_spread / spread if spread else 1.0  # all logits of the model are equal
    return LogitScale(factor=factor, offset=new_mean - factor * mean)
