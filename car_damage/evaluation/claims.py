"""What can be claimed of a share, and how many more photos a higher claim needs."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from car_damage.evaluation.metrics import clopper_pearson
from car_damage.evaluation.predictions import Predictions
from car_damage.manifest import Estimate, Metrics

CLAIMS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
MOST_PHOTOS = 10_000_000  # where the search for a sufficient number ends


@dataclass(frozen=True)
class Claim:
    """A share, what the photos show of it, and what more photos would show if it stays the same."""

    share: Estimate
    photos: int  # independent ones that it is a share of
    shown: float | None  # the highest of `CLAIMS` that the interval lies above
    higher: float | None  # the next one that the share itself is above
    needed: int | None  # how many more such photos would show it


def claims(predictions: Predictions, metrics: Metrics) -> dict[str, Claim]:
    """For each share that people make claims of, by its name, if these photos have any of it."""
    truth = predictions.split.y == 1
    measured, review = metrics.photos, metrics.review
    wholes = {
        "accuracy": (measured and measured.accuracy, np.ones(len(truth), bool)),
        "recall": (measured and measured.recall, truth),
        "specificity": (measured and measured.specificity, ~truth),
        "decided": (review and review.test.accuracy, ~predictions.needs_review),
    }
    groups = np.array([row.group for row in predictions.split.rows])
    return {
        name: _claim(share, len(np.unique(groups[whole])))
        for name, (share, whole) in wholes.items()
        if share and share.value is not None and whole.any()
    }


def photos_needed(share: float, claim: float) -> int | None:
    """How many photos with this share show, with 95 % confidence, that it is above the claim.

    None where no number would.
    """
    if share <= claim:
        return None

    def shows_it(photos: int) -> bool:
        return clopper_pearson(share, photos)[0] >= claim

    return bisect_left(range(MOST_PHOTOS), True, lo=1, key=shows_it)


def _claim(share: Estimate, photos: int) -> Claim:
    low, value = share.low, share.value or 0.0
    shown = max((each for each in CLAIMS if low is not None and each <= low), default=None)
    higher = min((each for each in CLAIMS if (shown or 0) < each < value), default=None)
    needed = None if higher is None else photos_needed(value, higher)
    more = None if needed is None else max(1, needed - photos)
    return Claim(share, photos, shown, higher, more)
