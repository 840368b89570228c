"""Metrics of predictions, with 95 % intervals."""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from scipy.stats import beta, rankdata

from car_damage.manifest import Estimate

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles
CALIBRATION_BINS = 15  # of equal width, as in Guo et al. 2017
ROUNDING = 1e-9  # tolerance when the ends of an interval are compared


def bootstrap(
    statistics: Callable[[np.ndarray], dict[str, float]],
    groups: np.ndarray,
    seed: int = 0,
    wholes: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Estimate]:
    """Compute `statistics` on the rows 0 to n - 1, n > 0, each with its 95 % interval.

    `statistics` takes rows, int (m,), which may contain repetitions, and returns NaN for figures
    that these rows do not define. `groups`, (n,), are numbers or names. `wholes` maps a figure's
    name to the rows that it is a share of, bool (n,); see `wholes_of`.

    The interval is the percentile bootstrap (Efron & Tibshirani 1993) over groups instead of
    photos, because copies are not independent evidence. With few groups it is wide, no matter how
    many copies they contain. Resamples in which a figure is undefined are ignored for that figure.

    Resampling cannot show a mistake that did not happen, and underestimates one that happened once.
    So the interval of a share also covers the Clopper-Pearson interval for as many photos as there
    are groups: with 0 mistakes among 46 photos, it ends at 7.7 %. Figures that are not shares (F1,
    the areas, the errors of the probabilities) have no such formula. If all resamples give the same
    value, as for a ROC AUC of exactly 1, they have no interval.

    Resampling can only raise the calibration error. If its interval does not contain the value, the
    interval is extended to it.
    """
    groups = np.asarray(groups)
    values = statistics(np.arange(len(groups)))
    resampled = [statistics(photos) for photos in _resamples(groups, seed)]
    sizes = {name: len(np.unique(groups[rows])) for name, rows in (wholes or {}).items()}
    return {
        name: _estimate(value, np.array([each[name] for each in resampled]), sizes.get(name))
        for name, value in values.items()
    }


def compute(
    damaged: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray
) -> dict[str, float]:
    """The metrics without intervals; NaN for a metric that these photos do not define.

    `damaged`, the labels, and `predicted` are bool (n,). `pr_auc` is the average precision, `brier`
    the mean squared error of the probability. For `ece` see `calibration_error`, for the others
    `shares`.
    """
    true_positives = int(np.count_nonzero(predicted & damaged))
    false_negatives = int(np.count_nonzero(~predicted & damaged))
    false_positives = int(np.count_nonzero(predicted & ~damaged))
    return {
        **shares(damaged, predicted),
        "precision": _share(true_positives, true_positives + false_positives),
        "recall": _share(true_positives, true_positives + false_negatives),
        "f1": _share(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
        "roc_auc": _roc_auc(damaged, probabilities),
        "pr_auc": _average_precision(damaged, probabilities),
        "brier": float(np.mean((probabilities - damaged) ** 2)),
        "ece": calibration_error(damaged, probabilities),
    }


def shares(damaged: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The metrics that need no probabilities; NaN for one that these photos do not define.

    `false_negative_rate` is the share of damaged cars classified as not damaged, `specificity` the
    share of undamaged cars classified as not damaged. Both arrays are bool (n,), True for damaged.
    """
    count, positives = len(damaged), int(np.count_nonzero(damaged))
    false_negatives = int(np.count_nonzero(damaged & ~predicted))
    true_negatives = int(np.count_nonzero(~damaged & ~predicted))
    return {
        "accuracy": _share(positives - false_negatives + true_negatives, count),
        "false_negative_rate": _share(false_negatives, positives),
        "specificity": _share(true_negatives, count - positives),
    }


def wholes_of(damaged: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """The photos that each share of `compute` is a share of, by its name.

    All arrays are bool (n,).
    """
    return {
        "accuracy": np.ones(len(damaged), bool),
        "false_negative_rate": damaged,
        "specificity": ~damaged,
        "precision": predicted,
        "recall": damaged,
    }


def calibration_error(damaged: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error: how far the probability of damage is off, on average.

    Photos are binned by their probability. In each bin, the mean probability is compared with the
    share of damaged photos. Bins are weighted by their number of photos. This form, for the
    positive class and not for the confidence of the prediction, is from Naeini et al., AAAI 2015.
    """
    bins = calibration_bin(probabilities)
    # A bin's count times its gap is the sum of (probability - damaged) over its photos.
    return float(np.abs(np.bincount(bins, weights=probabilities - damaged)).sum() / len(damaged))


def calibration_bin(probabilities: np.ndarray) -> np.ndarray:
    """The bin of each probability, 0 to `CALIBRATION_BINS` - 1, (n,)."""
    return np.minimum((probabilities * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)


def _resamples(groups: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """The rows of each resample: as many groups as there are, drawn with replacement."""
    names, group = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    rows = np.arange(len(groups))
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        yield np.repeat(rows, drawn[group])


def _estimate(value: float, resampled: np.ndarray, groups: int | None) -> Estimate:
    """The value with its interval. `groups`: the number in a share's whole; None if not a share."""
    if math.isnan(value):
        return Estimate(value=None, low=None, high=None)
    ends = [value]
    defined = resampled[np.isfinite(resampled)]
    if defined.size:
        ends.extend(np.percentile(defined, INTERVAL))
    if groups:
        ends.extend(clopper_pearson(value, groups))
    low, high = float(min(ends)), float(max(ends))
    if math.isclose(low, high, abs_tol=ROUNDING):
        return Estimate(value=value, low=None, high=None)
    return Estimate(value=value, low=low, high=high)


def clopper_pearson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` independent photos (Clopper & Pearson 1934).

    It has at least 95 % coverage for any share and count. Wilson's interval is narrower, but has
    less coverage with few photos. This uses the beta distribution, because a share need not be a
    whole number of groups: copies may have different predictions.
    """
    hits = share * count
    below, above = np.array(INTERVAL) / 100
    low = beta.ppf(below, hits, count - hits + 1) if share > 0 else 0.0
    high = beta.ppf(above, hits + 1, count - hits) if share < 1 else 1.0
    return float(low), float(high)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


# scikit-learn's functions give the same numbers (a test compares them), but both together take
# 3 ms, mostly for checks. A thousand resamples of a dozen slices would take most of a minute.


def _roc_auc(damaged: np.ndarray, probabilities: np.ndarray) -> float:
    """How often a damaged car has a higher probability than an undamaged one (Mann-Whitney U)."""
    positives = np.count_nonzero(damaged)
    negatives = len(damaged) - positives
    if positives == 0 or negatives == 0:
        return math.nan
    rank_sum = rankdata(probabilities)[damaged].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def _average_precision(damaged: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean precision over distinct thresholds, weighted by the recall that each one adds."""
    positives = np.count_nonzero(damaged)
    if positives == 0:
        return math.nan
    order = np.argsort(-probabilities)
    falling = probabilities[order]
    last_of_equals = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    found = np.cumsum(damaged[order])[last_of_equals]
    added_recall = np.diff(found, prepend=0) / positives
    return float(np.sum(added_recall * found / (last_of_equals + 1)))
