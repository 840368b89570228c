"""Calibration of logits: temperature, threshold and review band."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from car_damage.decision import EVERY_PHOTO, FEWEST_DECIDED, Decision, ReviewBand, rounded_up
from car_damage.manifest import Costs

# If no validation photo is classified wrongly, a lower temperature always has a higher likelihood.
# If the logits are useless, a higher one always does. A few hundred photos cannot justify more
# extreme values than these, so the search ends there.
MIN_TEMPERATURE = 0.25  # logits made four times larger
MAX_TEMPERATURE = 10.0  # logits made ten times smaller

NEUTRAL_THRESHOLD = 0.5

REVIEW_TARGET = 0.99  # accuracy on the photos that no person checks
# 99 % may be impossible on sources that the model was not trained on.
ABROAD_TARGET = 0.975

ROUNDING = 1e-9  # tolerance when shares are compared


def fit_decision(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    target: float = REVIEW_TARGET,
    costs: Costs | None = None,
) -> Decision:
    """Fit temperature, threshold and review band on validation photos, each (n,).

    `weights`, (n,), with a mean of 1, say how much each photo counts; without them all count the
    same. `target` is the share of correct answers outside the review band. `costs`, if given,
    choose the threshold and band instead (`cheapest_decision`).
    """
    temperature = fit_temperature(logits, labels, weights)
    if costs is not None:
        return cheapest_decision(costs, temperature)
    scaled = Decision(temperature=temperature, threshold=NEUTRAL_THRESHOLD)
    probabilities = scaled.probabilities(logits)
    threshold = choose_threshold(probabilities, labels, weights)
    band = choose_review_band(probabilities, labels, threshold, weights, target)
    return Decision(temperature=temperature, threshold=threshold, review_band=band)


def cheapest_decision(costs: Costs, temperature: float) -> Decision:
    """The threshold and the review band that cost least if the probabilities are right.

    Let p be the probability of damage. On average, a photo costs p * `missed` if it is classified
    as not damaged, (1 - p) * `false_alarm` if it is classified as damaged, and `review` if a person
    checks it (Elkan 2001, "The Foundations of Cost-Sensitive Learning"; the third option is from
    Chow 1970). So the limits follow from the costs alone. Limits found by a search on a few hundred
    photos would overfit the few mistakes among them. If no photo can be in the band, it is empty.
    """
    threshold = costs.false_alarm / (costs.false_alarm + costs.missed)
    low = min(costs.review / costs.missed, threshold)
    high = max(1 - costs.review / costs.false_alarm, threshold)
    if low == threshold or high == threshold:
        low = high = threshold
    limits = rounded_up([threshold, low, high]).tolist()
    return Decision(
        temperature=temperature, threshold=limits[0], review_band=ReviewBand(*limits[1:])
    )


def source_weights(sources: ArrayLike, labels: np.ndarray) -> np.ndarray:
    """Weights, float64 (n,), with which each source counts the same within its class.

    The photos of a class from one source have the same total weight as those from any other source,
    and both classes have the same total weight. The mean weight is 1. `sources` are names, (n,);
    `labels` are 0 or 1.
    """
    _, numbers = np.unique(sources, return_inverse=True)
    _, cells, sizes = np.unique(2 * numbers + labels, return_inverse=True, return_counts=True)
    weights = 1 / sizes[cells]  # each cell, a source's photos of one class, sums to 1
    for label in np.unique(labels):
        weights[labels == label] /= weights[labels == label].sum()
    return np.asarray(weights / weights.mean(), np.float64)


def fit_temperature(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The temperature T for which the labels have the highest likelihood under sigmoid(logit / T).

    This is temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017):
    one number changes how confident the answers are, but not their order. `logits` and `labels` (0
    or 1), (n,), are those of the validation photos. `weights` are as in `fit_decision`.
    The result lies between `MIN_TEMPERATURE` and `MAX_TEMPERATURE`.
    """
    towards_label = np.where(np.asarray(labels) == 1, 1.0, -1.0) * np.asarray(logits, np.float64)

    def negative_log_likelihood(log_temperature: float) -> float:
        losses = np.logaddexp(0.0, -towards_label / np.exp(log_temperature))
        return float(np.average(losses, weights=weights))

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=bounds).x))


def choose_threshold(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The threshold: photos with at least this calibrated probability are classified as damaged.

    It is chosen by balanced accuracy, the mean recall of both classes. Among all thresholds within
    one photo of the best, it is the one closest to 0.5, because a single photo may be chance.
    Candidates are 0.5 and the midpoints between neighbouring probabilities, so that no photo is
    right at the threshold. `probabilities` and `labels` (0 or 1), (n,), are those of the validation
    photos. `weights` are as in `fit_decision`. With photos of one class only, it is 0.5.
    """
    damaged, others = _by_class(probabilities, labels, weights)
    if damaged.values.size == 0 or others.values.size == 0:
        return NEUTRAL_THRESHOLD
    candidates = np.append(NEUTRAL_THRESHOLD, _middles(probabilities))
    recall = 1 - damaged.weight_below(candidates) / damaged.total
    specificity = others.weight_below(candidates) / others.total
    balanced_accuracy = (recall + specificity) / 2
    one_photo = 1 / (2 * min(damaged.effective_size, others.effective_size))
    good = candidates[balanced_accuracy >= balanced_accuracy.max() - one_photo - ROUNDING]
    return float(good[np.abs(good - NEUTRAL_THRESHOLD).argmin()])


def choose_review_band(
    probabilities: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    weights: np.ndarray | None = None,
    target: float = REVIEW_TARGET,
) -> ReviewBand:
    """The review band: photos with a calibrated probability low <= p < high need a person.

    The band contains `threshold` or ends there. Outside the band, at least `target` of the answers
    to validation photos are correct. Of all such bands, it sends the fewest photos to a person, and
    it is the narrowest of those. If no photo needs a person, both ends are the threshold. Other
    ends are midpoints between neighbouring probabilities. This is classification with a reject
    option (Chow 1970), with the largest coverage for a bounded risk (El-Yaniv & Wiener 2010).

    The result is `EVERY_PHOTO` if no band reaches the target, if fewer than `FEWEST_DECIDED` photos
    would be outside the band, or if the photos show one class only. `probabilities` and `labels` (0
    or 1) have shape (n,). `weights`, as in `fit_decision`, apply to the shares; `FEWEST_DECIDED`
    counts photos without weights.

    The target holds for the photos that the band was fitted on. On new photos, slightly fewer
    answers are correct; the test photos show how many. A stricter rule would require that the
    interval on the validation photos starts at 99 %. But that takes 368 photos without a mistake,
    and most users have fewer.
    """
    damaged, others = _by_class(probabilities, labels, weights)
    if damaged.values.size == 0 or others.values.size == 0:
        return EVERY_PHOTO
    ends = np.unique([*_middles(probabilities), *EVERY_PHOTO, threshold])
    lows, highs = ends[ends <= threshold], ends[ends >= threshold]
    right_below, wrong_below = others.weight_below(lows), damaged.weight_below(lows)
    right_above = damaged.total - damaged.weight_below(highs)
    wrong_above = others.total - others.weight_below(highs)
    in_order = np.sort(probabilities)
    below = np.searchsorted(in_order, lows)  # the number of photos, without weights
    above = in_order.size - np.searchsorted(in_order, highs)
    best = (0.0, -1.0, EVERY_PHOTO)  # to beat: the weight decided, minus the width, the band
    for at, low in enumerate(lows):
        wrong = wrong_below[at] + wrong_above
        decided = right_below[at] + right_above + wrong
        good = np.flatnonzero(wrong <= (1 - target) * decided + ROUNDING)
        # The lowest upper end gives the narrowest band, which decides the most photos
        if good.size and below[at] + above[good[0]] >= FEWEST_DECIDED:
            high = highs[good[0]]
            best = max(best, (decided[good[0]], low - high, ReviewBand(float(low), float(high))))
    return best[-1]


@dataclass(frozen=True)
class _Weighted:
    """The probabilities of one class in ascending order, and their weights; both (n,)."""

    values: np.ndarray
    weights: np.ndarray

    @property
    def total(self) -> float:
        return float(self.weights.sum())

    @property
    def effective_size(self) -> float:
        """The effective sample size: the same information in equal weights (Kish 1965)."""
        return float(self.total**2 / (self.weights**2).sum())

    def weight_below(self, limits: np.ndarray) -> np.ndarray:
        """The total weight of the values below each limit, (m,)."""
        sums = np.append(0.0, np.cumsum(self.weights))
        return np.asarray(sums[np.searchsorted(self.values, limits)], np.float64)


def _by_class(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[_Weighted, _Weighted]:
    """The probabilities for damaged cars and for the others, with their weights."""
    weights = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(probabilities)
    damaged, others = (order[labels[order] == label] for label in (1, 0))
    return (
        _Weighted(probabilities[damaged], weights[damaged]),
        _Weighted(probabilities[others], weights[others]),
    )


def _middles(probabilities: np.ndarray) -> np.ndarray:
    """The midpoints between neighbouring (rounded) probabilities, rounded, but still in between."""
    distinct = np.unique(np.asarray(probabilities, np.float64))
    return rounded_up((distinct[1:] + distinct[:-1]) / 2)
