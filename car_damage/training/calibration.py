"""What a logit means: the temperature that makes it a probability, and where "damaged" begins."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

# Where the validation photos are told apart without a mistake, a lower temperature always looks
# better and the likelihood has no best one; where the logits say nothing, a higher one always does.
# A few hundred photos cannot justify more than these, so the search ends there.
MIN_TEMPERATURE = 0.25  # logits made four times larger
MAX_TEMPERATURE = 10.0  # logits made ten times smaller

NEUTRAL_THRESHOLD = 0.5


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The calibrated probabilities of damaged, `float64` (n,), for logits of shape (n,)."""
    return expit(np.asarray(logits, np.float64) / temperature)


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
    return float(
        np.exp(minimize_scalar(negative_log_likelihood, bounds=bounds, method="bounded").x)
    )


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
    candidates = _candidates(probabilities)
    missed = np.searchsorted(damaged, candidates) / damaged.size
    cleared = np.searchsorted(others, candidates) / others.size
    balanced_accuracy = (1 - missed + cleared) / 2
    one_photo = 1 / (2 * min(damaged.size, others.size))
    rounding = 1e-9
    good = candidates[balanced_accuracy >= balanced_accuracy.max() - one_photo - rounding]
    return float(good[np.abs(good - NEUTRAL_THRESHOLD).argmin()])


def _candidates(probabilities: np.ndarray) -> np.ndarray:
    distinct = np.unique(np.asarray(probabilities, np.float64))
    return np.append(NEUTRAL_THRESHOLD, (distinct[1:] + distinct[:-1]) / 2)
