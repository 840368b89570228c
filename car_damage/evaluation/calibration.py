"""What a logit means: its probability, where "damaged" begins, and which answers need a person."""

import numpy as np
from scipy.optimize import minimize_scalar

from car_damage.decision import EVERY_PHOTO, FEWEST_DECIDED, Decision, ReviewBand, rounded_up

# Where the validation photos are told apart without a mistake, a lower temperature always looks
# better and the likelihood has no best one; where the logits say nothing, a higher one always does.
# A few hundred photos cannot justify more than these, so the search ends there.
MIN_TEMPERATURE = 0.25  # logits made four times larger
MAX_TEMPERATURE = 10.0  # logits made ten times smaller

NEUTRAL_THRESHOLD = 0.5

REVIEW_TARGET = 0.99  # of the photos that no person looks at, the share to be answered rightly

ROUNDING = 1e-9  # shares that are equal but for it are equal


def fit_decision(logits: np.ndarray, labels: np.ndarray) -> Decision:
    """Fit temperature, threshold and review band on validation photos, each (n,)."""
    temperature = fit_temperature(logits, labels)
    scaled = Decision(temperature=temperature, threshold=NEUTRAL_THRESHOLD)
    probabilities = scaled.probabilities(logits)
    threshold = choose_threshold(probabilities, labels)
    band = choose_review_band(probabilities, labels, threshold)
    return Decision(temperature=temperature, threshold=threshold, review_band=band)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T for which sigmoid(logit / T) makes the labels likeliest.

    Temperature scaling after Guo et al., "On Calibration of Modern Neural Networks", ICML 2017:
    one number, which changes how sure the answers are and never their order. `logits` and `labels`
    (0 or 1) have shape (n,) and belong to the validation photos. The result lies between
    `MIN_TEMPERATURE` and `MAX_TEMPERATURE`.
    """
    towards_label = np.where(np.asarray(labels) == 1, 1.0, -1.0) * np.asarray(logits, np.float64)

    def negative_log_likelihood(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, -towards_label / np.exp(log_temperature)).mean())

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=bounds).x))


def choose_threshold(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The threshold on the calibrated probability from which on the answer is "damaged".

    Of all thresholds whose balanced accuracy, the mean of both classes' recalls, is within one
    photo of the best, the one nearest to 0.5: one photo more or less is luck, not a reason to move.
    Candidates are 0.5 and the middles between neighbouring probabilities, so that no photo lies
    right beside the threshold. `probabilities` and `labels` (0 or 1) have shape (n,) and belong to
    the validation photos. With one class only nothing speaks against 0.5.
    """
    damaged = np.sort(probabilities[labels == 1])
    others = np.sort(probabilities[labels == 0])
    if damaged.size == 0 or others.size == 0:
        return NEUTRAL_THRESHOLD
    candidates = np.append(NEUTRAL_THRESHOLD, _middles(probabilities))
    recall = 1 - np.searchsorted(damaged, candidates) / damaged.size
    specificity = np.searchsorted(others, candidates) / others.size
    balanced_accuracy = (recall + specificity) / 2
    one_photo = 1 / (2 * min(damaged.size, others.size))
    good = candidates[balanced_accuracy >= balanced_accuracy.max() - one_photo - ROUNDING]
    return float(good[np.abs(good - NEUTRAL_THRESHOLD).argmin()])


def choose_review_band(
    probabilities: np.ndarray, labels: np.ndarray, threshold: float
) -> ReviewBand:
    """The calibrated probabilities, low <= p < high, whose photos need a person.

    Outside of the band, which `threshold` lies in or at the edge of, at least `REVIEW_TARGET` of
    the validation photos are answered rightly; no other such band leaves a person fewer of them,
    and of those that leave as few it is the narrowest. Where no photo needs a person, both ends are
    the threshold. Other ends lie in the middle between neighbouring probabilities. This is
    classification with a reject option (Chow 1970), its risk bounded and its coverage the largest
    (El-Yaniv & Wiener 2010).

    `EVERY_PHOTO` where the target is out of reach, where fewer than `FEWEST_DECIDED` photos would
    lie outside, or where the photos show one class only: nothing is known of the other then.
    `probabilities` and `labels` (0 or 1) have shape (n,).

    The target holds for these photos. New photos are answered rightly somewhat less often, since
    the band was fitted to these: only test photos show how often. Sending every photo to a person
    until the interval on the validation photos starts at 99 % would take 368 photos without a
    mistake, and a version of no use to whoever has fewer.
    """
    damaged = np.sort(probabilities[labels == 1])
    others = np.sort(probabilities[labels == 0])
    if damaged.size == 0 or others.size == 0:
        return EVERY_PHOTO
    ends = np.unique([*_middles(probabilities), *EVERY_PHOTO, threshold])
    lows, highs = ends[ends <= threshold], ends[ends >= threshold]
    right_below, wrong_below = np.searchsorted(others, lows), np.searchsorted(damaged, lows)
    right_above = damaged.size - np.searchsorted(damaged, highs)
    wrong_above = others.size - np.searchsorted(others, highs)
    best = (FEWEST_DECIDED, -1.0, EVERY_PHOTO)  # what a band has to surpass: decided, less width
    for low, right, wrong in zip(lows, right_below, wrong_below, strict=True):
        decided = right + right_above + wrong + wrong_above
        good = np.flatnonzero(wrong + wrong_above <= (1 - REVIEW_TARGET) * decided + ROUNDING)
        if good.size:  # the lowest upper end is the narrowest, and decides the most
            high = highs[good[0]]
            best = max(best, (decided[good[0]], low - high, ReviewBand(float(low), float(high))))
    return best[-1]


def _middles(probabilities: np.ndarray) -> np.ndarray:
    """The middles between neighbouring (rounded) probabilities, rounded so that they part them."""
    distinct = np.unique(np.asarray(probabilities, np.float64))
    return rounded_up((distinct[1:] + distinct[:-1]) / 2)
