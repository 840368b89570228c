"""Analysis of `predictions.csv`: mistakes, coverage, and a comparison with another version."""

import numpy as np
from scipy.special import logit
from sklearn import metrics

from car_damage.decision import Decision
from car_damage.evaluation.comparison import Comparison, compare
from car_damage.evaluation.predictions import PredictionRow
from car_damage.report.results import Results, labels_and_probabilities


def confusion_matrix(rows: list[PredictionRow], decision: Decision) -> list[list[int]]:
    """The number of photos for each class (row) and prediction (column), "damaged" second."""
    labels, probabilities = labels_and_probabilities(rows)
    predicted = decision.is_damaged(probabilities)
    counts: list[list[int]] = metrics.confusion_matrix(labels, predicted, labels=[0, 1]).tolist()
    return counts


def most_wrong(rows: list[PredictionRow], decision: Decision, count: int) -> list[PredictionRow]:
    """The wrong predictions, the most confident first."""
    wrong = [row for row in rows if bool(decision.is_damaged(row.probability)) != row.damaged]
    return sorted(wrong, key=lambda row: -abs(row.probability - row.damaged))[:count]


def least_sure(rows: list[PredictionRow], decision: Decision, count: int) -> list[PredictionRow]:
    """The predictions closest to the threshold, the closest first."""
    sureness = _sureness(np.array([row.probability for row in rows]), decision)
    return [rows[at] for at in np.argsort(sureness, kind="stable")[:count]]


def coverage_curve(rows: list[PredictionRow], decision: Decision) -> tuple[np.ndarray, np.ndarray]:
    """The share of photos decided and the accuracy on them, each `float64` (k,), k <= n.

    The most certain photos are decided first; photos that are equally certain are added together.
    This is the risk-coverage curve of selective classification (El-Yaniv & Wiener, JMLR 2010), with
    accuracy instead of risk.
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
    """Compare two versions; None if they cannot be compared.

    If promotion compared them, the result is promotion's: it ran both versions on the same photos,
    even if their test photos differ. Otherwise both versions need the same test photos.
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
    """Whether both versions have predictions for the same test photos."""
    paths = [{row.path for row in each.photos("test")} for each in (new, current)]
    return bool(paths[0]) and paths[0] == paths[1]


def _sureness(probabilities: np.ndarray, decision: Decision) -> np.ndarray:
    """The distance of the probabilities from the threshold in log-odds, (n,)."""
    return np.abs(logit(probabilities) - logit(decision.threshold))
