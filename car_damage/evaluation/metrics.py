"""How good the answers are, how sure that is, and whether one version is worse than another.

Labels and answers are 1 for damaged and 0 for the rest; an answer is 1 where the calibrated
probability of damaged is at least the threshold.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import binomtest, rankdata

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles: what lies between holds 95 %
CALIBRATION_BINS = 15  # of equal width, as in Guo et al. 2017
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Figure:
    """A measured value and its 95 % interval; NaN where the photos at hand do not define it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same photos: on how many only one is right, and what follows."""

    only_current_right: int
    only_new_right: int
    p_value: float
    worse: bool


def figures(
    labels: np.ndarray,
    probabilities: np.ndarray,
    threshold: float,
    groups: np.ndarray,
    seed: int = 0,
) -> dict[str, Figure]:
    """Every figure of `measure`, with its interval by `bootstrap`; all arrays have shape (n,)."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    return bootstrap(
        lambda photos: measure(labels[photos], probabilities[photos], threshold), groups, seed
    )


def bootstrap(
    statistics: Callable[[np.ndarray], dict[str, float]], groups: np.ndarray, seed: int = 0
) -> dict[str, Figure]:
    """What `statistics` says of the rows 0 to n - 1, n > 0, each with its 95 % interval.

    `statistics` takes the rows to look at, int (m,), of which some may come repeatedly, and gives
    NaN for what they do not define. `groups`, (n,), may hold numbers or names.

    The interval is the percentile bootstrap (Efron & Tibshirani 1993) over groups instead of
    photos, since copies are no independent evidence: with few groups it is wide, however many
    copies they hold. Resamples in which a figure is undefined do not count for it.

    Two limits: a share of exactly 0 or 1 comes with an interval of no width, for resampling cannot
    show a mistake that never happened (the rule of three then puts the limit near 3 in n); and
    resampling only ever raises the calibration error, so where its interval would miss the value,
    it is stretched to it.
    """
    groups = np.asarray(groups)
    values = statistics(np.arange(len(groups)))
    resampled = [statistics(photos) for photos in _resamples(groups, seed)]
    return {
        name: _figure(value, np.array([each[name] for each in resampled]))
        for name, value in values.items()
    }


def measure(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, float]:
    """The figures without intervals; NaN for one that these photos do not define.

    `pr_auc`: average precision. `brier`: mean squared error of the probability. `ece`: see
    `calibration_error`. The others: see `shares`.
    """
    predictions = probabilities >= threshold
    damaged = labels == 1
    found = int(np.count_nonzero(predictions & damaged))
    missed = int(np.count_nonzero(~predictions & damaged))
    false_alarms = int(np.count_nonzero(predictions & ~damaged))
    return {
        **shares(damaged, predictions),
        "precision": _share(found, found + false_alarms),
        "recall": _share(found, found + missed),
        "f1": _share(2 * found, 2 * found + false_alarms + missed),
        "roc_auc": _roc_auc(damaged, probabilities),
        "pr_auc": _average_precision(damaged, probabilities),
        "brier": float(np.mean((probabilities - damaged) ** 2)),
        "ece": calibration_error(labels, probabilities),
    }


def shares(damaged: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """What the answers alone say, as shares; NaN for one that these photos do not define.

    `missed`: of the damaged cars, those answered "not_damaged". `cleared`: of the others, those
    answered "not_damaged". Both arrays are bool (n,).
    """
    count, positives = len(damaged), int(np.count_nonzero(damaged))
    missed = int(np.count_nonzero(damaged & ~predictions))
    cleared = int(np.count_nonzero(~damaged & ~predictions))
    return {
        "accuracy": _share(positives - missed + cleared, count),
        "missed": _share(missed, positives),
        "cleared": _share(cleared, count - positives),
    }


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error: how far the probability of damaged is off, on average.

    Photos are binned by their probability; in each bin, the mean probability is compared with the
    share that is damaged, and bins weigh as many as they hold. In this form, for the positive class
    and not for the answer's confidence, after Naeini et al., AAAI 2015.
    """
    bins = calibration_bin(probabilities)
    # A bin's count times its gap is the sum of its photos' (probability - label).
    return float(np.abs(np.bincount(bins, weights=probabilities - labels)).sum() / len(labels))


def calibration_bin(probabilities: np.ndarray) -> np.ndarray:
    """The number of the bin, 0 to `CALIBRATION_BINS` - 1, that each probability falls in, (n,)."""
    return np.minimum((probabilities * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)


def as_json(figures: dict[str, Figure]) -> dict[str, dict[str, float | None]]:
    """The figures as plain dicts; an undefined number becomes null, for JSON knows no NaN."""
    return {
        name: {
            part: number if math.isfinite(number) else None
            for part, number in asdict(figure).items()
        }
        for name, figure in figures.items()
    }


def compare(labels: np.ndarray, new: np.ndarray, current: np.ndarray) -> Comparison:
    """Whether the new version's answers are worse than the current one's; all of shape (n,).

    Worse means more mistakes and a p-value below 0.05, so a tie goes to the new version. The test
    is McNemar's (1947), exact and two-sided: only photos on which one of the two is right say
    anything; were both equally good, each would win such a photo with probability 1/2.
    """
    only_new, only_current = _only_one_right(labels, new, current)
    p_value = _sign_test(only_current, only_new)
    worse = only_current > only_new and p_value < SIGNIFICANCE
    return Comparison(only_current, only_new, p_value, worse)


def _only_one_right(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    a_right, b_right = np.equal(a, labels), np.equal(b, labels)
    return int(np.count_nonzero(a_right & ~b_right)), int(np.count_nonzero(b_right & ~a_right))


def _sign_test(wins: int, losses: int) -> float:
    if wins + losses == 0:
        return 1.0
    return float(binomtest(wins, wins + losses).pvalue)


def _resamples(groups: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """For each resample the rows of its photos: as many groups as there are, with replacement."""
    names, group = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    rows = np.arange(len(groups))
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        yield np.repeat(rows, drawn[group])


def _figure(value: float, resampled: np.ndarray) -> Figure:
    defined = resampled[np.isfinite(resampled)]
    if math.isnan(value) or defined.size == 0:
        return Figure(value, math.nan, math.nan)
    low, high = np.percentile(defined, INTERVAL)
    return Figure(value, float(min(low, value)), float(max(high, value)))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


# scikit-learn's two functions give the same numbers (a test holds them together) but take 3 ms a
# pair, most of it checks; a thousand resamples of a dozen slices would take most of a minute.


def _roc_auc(damaged: np.ndarray, probabilities: np.ndarray) -> float:
    """How often a damaged car gets the higher probability of a pair (Mann-Whitney U)."""
    positives = np.count_nonzero(damaged)
    negatives = len(damaged) - positives
    if positives == 0 or negatives == 0:
        return math.nan
    rank_sum = rankdata(probabilities)[damaged].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def _average_precision(damaged: np.ndarray, probabilities: np.ndarray) -> float:
    """Precision at each distinct threshold, weighed by the recall that the threshold adds."""
    positives = np.count_nonzero(damaged)
    if positives == 0:
        return math.nan
    order = np.argsort(-probabilities)
    falling = probabilities[order]
    last_of_equals = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    found = np.cumsum(damaged[order])[last_of_equals]
    added_recall = np.diff(found, prepend=0) / positives
    return float(np.sum(added_recall * found / (last_of_equals + 1)))
