"""What `predictions.csv` shows beyond single metrics: mistakes, coverage, another version."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from car_damage.evaluation.metrics import Comparison, compare
from car_damage.report.results import Answer, Results, labels_and_probabilities


@dataclass(frozen=True)
class ConfusionMatrix:
    """How many photos of each class got which answer."""

    found: int  # damaged, answered so
    missed: int  # damaged, answered "not damaged"
    false_alarms: int  # undamaged, answered "damaged"
    cleared: int  # undamaged, answered so


def confusion_matrix(predictions: list[Answer], threshold: float) -> ConfusionMatrix:
    """Count the photos of each class by their answer."""
    labels, probabilities = labels_and_probabilities(predictions)
    damaged, alarm = labels == 1, probabilities >= threshold
    return ConfusionMatrix(
        found=int(np.sum(damaged & alarm)),
        missed=int(np.sum(damaged & ~alarm)),
        false_alarms=int(np.sum(~damaged & alarm)),
        cleared=int(np.sum(~damaged & ~alarm)),
    )


def most_wrong(predictions: list[Answer], threshold: float, count: int) -> list[Answer]:
    """The wrong answers, the surest first: those whose probability is furthest from the truth."""
    wrong = [row for row in predictions if (row.probability >= threshold) != row.damaged]
    return sorted(wrong, key=lambda row: -abs(row.probability - row.damaged))[:count]


def least_sure(predictions: list[Answer], threshold: float, count: int) -> list[Answer]:
    """The answers nearest to turning into the other, nearest first."""
    sureness = _sureness(np.array([row.probability for row in predictions]), threshold)
    return [predictions[row] for row in np.argsort(sureness, kind="stable")[:count]]


def coverage_curve(predictions: list[Answer], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The share of photos decided and the accuracy on them, each `float64` (k,), k <= n.

    The surest answers are decided first; photos equally sure come in together. The risk-coverage
    curve of selective classification (El-Yaniv & Wiener, JMLR 2010), with accuracy for risk.
    """
    labels, probabilities = labels_and_probabilities(predictions)
    sureness = _sureness(probabilities, threshold)
    surest_first = np.argsort(-sureness, kind="stable")
    falling = sureness[surest_first]
    last_of_equals = np.append(falling[1:] != falling[:-1], True)
    right = ((probabilities >= threshold) == (labels == 1))[surest_first]
    decided = np.arange(1, len(predictions) + 1)
    accuracy = np.cumsum(right) / decided
    return (decided / len(predictions))[last_of_equals], accuracy[last_of_equals]


def against(new: Results, current: Results) -> Comparison | None:
    """McNemar's test of two versions, or None unless both answered the same test photos."""
    of_current = {row.path: row.probability for row in current.photos("test")}
    of_new = new.photos("test")
    if not of_new or {row.path for row in of_new} != of_current.keys():
        return None
    labels, probabilities = labels_and_probabilities(of_new)
    current_probabilities = np.array([of_current[row.path] for row in of_new])
    return compare(
        labels,
        new=probabilities >= new.about["threshold"],
        current=current_probabilities >= current.about["threshold"],
    )


def _sureness(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """How far the answers are from turning into the other: distance in log-odds, (n,)."""
    distance: np.ndarray = np.abs(logit(probabilities) - logit(threshold))
    return distance
