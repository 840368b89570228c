"""Claims that the photos support, and how many more photos a higher claim needs."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from car_damage.evaluation.metrics import clopper_pearson
from car_damage.evaluation.predictions import Predictions
from car_damage.manifest import Estimate, Metrics

CLAIMS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
MOST_PHOTOS = 10_000_000  # upper limit of the search for a sufficient number


@dataclass(frozen=True)
class Claim:
    """A share, the claim that the photos support, and what a higher claim needs."""

    share: Estimate
    photos: int  # the number of independent photos that it is a share of
    shown: float | None  # the highest of `CLAIMS` that is not above the interval's lower end
    higher: float | None  # the next of `CLAIMS`, if the share itself is above it
    needed: int | None  # how many more such photos would support it, if the share stays the same


def claims(predictions: Predictions, metrics: Metrics) -> dict[str, Claim]:
    """The claim for each share that people make claims about, by the share's name.

    A share that these photos do not define is left out.
    """
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
    """How many photos with this share would show, with 95 % confidence, that it is above the claim.

    None if no number would.
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
