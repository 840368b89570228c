"""What a logit means: its probability, where "damaged" begins, and which answers need a person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from car_damage.decision import EVERY_PHOTO, FEWEST_DECIDED, Decision, ReviewBand, rounded_up
from car_damage.manifest import Costs

# Where the validation photos are told apart without a mistake, a lower temperature always looks
# better and the likelihood has no best one; where the logits say nothing, a higher one always does.
# A few hundred photos cannot justify more than these, so the search ends there.
MIN_TEMPERATURE = 0.25  # logits made four times larger
MAX_TEMPERATURE = 10.0  # logits made ten times smaller

NEUTRAL_THRESHOLD = 0.5

REVIEW_TARGET = 0.99  # share of correct answers among the photos that no person checks
# On sources that the model was not trained on 99 % may be out of reach.
ABROAD_TARGET = 0.975

ROUNDING = 1e-9  # shares that are equal but for it are equal


def fit_decision(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    target: float = REVIEW_TARGET,
    costs: Costs | None = None,
) -> Decision:
    """Fit temperature, threshold and review band on validation photos, each (n,).

    `weights`, (n,), are how much each photo counts, on average 1; without them all count the same.
    `target` is the share of correct answers outside the review band. With `costs`, these decide
    about threshold and band (`cheapest_decision`).
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
    """The threshold and the review band that cost least if the probabilities are true.

    A photo with probability p of damage costs p * `missed` on average if it is called not damaged,
    (1 - p) * `false_alarm` if it is called damaged, and `review` if a person looks at it (Elkan
    2001, "The Foundations of Cost-Sensitive Learning"; the third choice is Chow's of 1970). So the
    costs alone give the limits. Limits that were searched for on a few hundred photos would fit the
    few mistakes among them instead. A band that no photo can lie in is empty.
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
    """Weights, float64 (n,), that make each source count the same within its class.

    All photos of a class from one source together weigh as much as those from any other source, and
    both classes weigh the same. The mean weight is 1. `sources` are names, (n,); `labels` 0 or 1.
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
    """The temperature T for which sigmoid(logit / T) makes the labels likeliest.

    Temperature scaling after Guo et al., "On Calibration of Modern Neural Networks", ICML 2017:
    one number, which changes how sure the answers are and never their order. `logits` and `labels`
    (0 or 1) have shape (n,) and belong to the validation photos; `weights` as in `fit_decision`.
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
    """The threshold on the calibrated probability from which on the answer is "damaged".

    Of all thresholds whose balanced accuracy, the mean of both classes' recalls, is within one
    photo of the best, the one nearest to 0.5: one photo more or less is luck, not a reason to move.
    Candidates are 0.5 and the middles between neighbouring probabilities, so that no photo lies
    right beside the threshold. `probabilities` and `labels` (0 or 1) have shape (n,) and belong to
    the validation photos; `weights` as in `fit_decision`. With one class only nothing speaks
    against 0.5.
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
    """The calibrated probabilities, low <= p < high, whose photos need a person.

    Outside of the band, which `threshold` lies in or at the edge of, at least `target` of the
    validation photos are answered correctly. No other such band sends fewer of them to a person,
    and of those that send as few it is the narrowest. Where no photo needs a person, both ends are
    the threshold. Other ends lie in the middle between neighbouring probabilities. This is
    classification with a reject option (Chow 1970), its risk bounded and its coverage the largest
    (El-Yaniv & Wiener 2010).

    `EVERY_PHOTO` where the target is out of reach, where fewer than `FEWEST_DECIDED` photos would
    lie outside, or where the photos show one class only: nothing is known of the other then.
    `probabilities` and `labels` (0 or 1) have shape (n,). With `weights`, as in `fit_decision`, the
    shares are weighted, and `FEWEST_DECIDED` still counts photos.

    The target holds for these photos. Answers to new photos are correct a little less often,
    because the band was fitted to these; only test photos show how often. The rule could be
    stricter: send every photo to a person until the interval on the validation photos starts at
    99 %. But that takes 368 photos without a mistake, and most users have fewer.
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
    below = np.searchsorted(in_order, lows)  # photos, and not their weights
    above = in_order.size - np.searchsorted(in_order, highs)
    best = (0.0, -1.0, EVERY_PHOTO)  # what a band has to surpass: weight decided, less its width
    for at, low in enumerate(lows):
        wrong = wrong_below[at] + wrong_above
        decided = right_below[at] + right_above + wrong
        good = np.flatnonzero(wrong <= (1 - target) * decided + ROUNDING)
        # The lowest upper end is the narrowest, and decides the most
        if good.size and below[at] + above[good[0]] >= FEWEST_DECIDED:
            high = highs[good[0]]
            best = max(best, (decided[good[0]], low - high, ReviewBand(float(low), float(high))))
    return best[-1]


@dataclass(frozen=True)
class _Weighted:
    """The probabilities of one class, in rising order, and the weight of each; both (n,)."""

    values: np.ndarray
    weights: np.ndarray

    @property
    def total(self) -> float:
        return float(self.weights.sum())

    @property
    def effective_size(self) -> float:
        """How many photos of the same weight say as much (Kish 1965)."""
        return float(self.total**2 / (self.weights**2).sum())

    def weight_below(self, limits: np.ndarray) -> np.ndarray:
        """The weight of all values below each limit, (m,)."""
        sums = np.append(0.0, np.cumsum(self.weights))
        return np.asarray(sums[np.searchsorted(self.values, limits)], np.float64)


def _by_class(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[_Weighted, _Weighted]:
    """Those of damaged cars, and those of the others."""
    weights = np.ones(len(labels)) if weights is None else weights
    order = np.argsort(probabilities)
    damaged, others = (order[labels[order] == label] for label in (1, 0))
    return (
        _Weighted(probabilities[damaged], weights[damaged]),
        _Weighted(probabilities[others], weights[others]),
    )


def _middles(probabilities: np.ndarray) -> np.ndarray:
    """The middles between neighbouring (rounded) probabilities, rounded so that they part them."""
    distinct = np.unique(np.asarray(probabilities, np.float64))
    return rounded_up((distinct[1:] + distinct[:-1]) / 2)
