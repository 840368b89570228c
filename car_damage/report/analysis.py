"""What `predictions.csv` shows beyond single metrics: mistakes, coverage, another version."""

import numpy as np
from scipy.special import logit
from sklearn import metrics

from car_damage.decision import Decision
from car_damage.evaluation.comparison import Comparison, compare
from car_damage.evaluation.predictions import PredictionRow
from car_damage.report.results import Results, labels_and_probabilities


def confusion_matrix(rows: list[PredictionRow], decision: Decision) -> list[list[int]]:
    """How many photos there are of each class (row) and prediction (column), "damaged" second."""
    labels, probabilities = labels_and_probabilities(rows)
    predicted = decision.is_damaged(probabilities)
    counts: list[list[int]] = metrics.confusion_matrix(labels, predicted, labels=[0, 1]).tolist()
    return counts


def most_wrong(rows: list[PredictionRow], decision: Decision, count: int) -> list[PredictionRow]:
    """The wrong predictions, the surest first: the probabilities furthest from the truth."""
    wrong = [row for row in rows if bool(decision.is_damaged(row.probability)) != row.damaged]
    return sorted(wrong, key=lambda row: -abs(row.probability - row.damaged))[:count]


def least_sure(rows: list[PredictionRow], decision: Decision, count: int) -> list[PredictionRow]:
    """The predictions nearest to the threshold, nearest first."""
    sureness = _sureness(np.array([row.probability for row in rows]), decision)
    return [rows[at] for at in np.argsort(sureness, kind="stable")[:count]]


def coverage_curve(rows: list[PredictionRow], decision: Decision) -> tuple[np.ndarray, np.ndarray]:
    """The share of photos decided and the accuracy on them, each `float64` (k,), k <= n.

    The surest are decided first; photos equally sure come in together. The risk-coverage curve of
    selective classification (El-Yaniv & Wiener, JMLR 2010), with accuracy for risk.
    """
    labels, probabilities = labels_and_probabilities(rows)
    sureness = _sureness(probabilities, decision)
    surest_first = np.argsort(-sureness, kind="stable")
    falling = sureness[surest_first]
    last_of_equals = np.append(falling[1:] != falling[:-1], True)
    correct = (decision.is_damaged(probabilities) == (labels == 1))[surest_first]
    decided = np.arange(1, len(rows) + 1)
    accuracy = np.cumsum(correct) / decided
    return (decided / len(rows))[last_of_equals], accuracy[last_of_equals]


def against(new: Results, current: Results) -> Comparison | None:
    """Two versions compared, or None if there is nothing to compare them on.

    If promotion compared them, this is what it found: it also knows what both say of the new
    version's test photos where the current version had others. Otherwise both need the same.
    """
    promotion = new.against_current
    if promotion and promotion.current == current.version:
        return promotion.comparison
    if not have_same_test_photos(new, current):
        return None
    of_current = {row.path: row.probability for row in current.photos("test")}
    of_new = new.photos("test")
    labels, probabilities = labels_and_probabilities(of_new)
    rival = np.array([of_current[row.path] for row in of_new])
    return compare(
        labels,
        np.array([row.group for row in of_new]),
        new=(new.manifest.decision, probabilities),
        current=(current.manifest.decision, rival),
    )


def have_same_test_photos(new: Results, current: Results) -> bool:
    """Whether both versions' predictions for test photos are known and of the same photos."""
    paths = [{row.path for row in each.photos("test")} for each in (new, current)]
    return bool(paths[0]) and paths[0] == paths[1]


def _sureness(probabilities: np.ndarray, decision: Decision) -> np.ndarray:
    """How far the probabilities are from the threshold: distance in log-odds, (n,)."""
    return np.abs(logit(probabilities) - logit(decision.threshold))
