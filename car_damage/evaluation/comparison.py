"""Is a new version as good as another? Both classify the same photos, which neither has learnt."""

import math
from dataclasses import dataclass

import numpy as np

from car_damage.decision import Decision

ACCURACY_MARGIN = 0.02  # of accuracy: what a new version may at most lose
DECIDED_MARGIN = 0.05  # of the share of photos that are decided without a person
Z = 1.96  # standard deviations on each side of a 95 % interval
MOST_PHOTOS = 10_000_000  # where the search for a sufficient number ends


@dataclass(frozen=True)
class Difference:
    """On how many of `photos` something holds for two versions."""

    photos: int
    new: int  # for the new version
    current: int  # for the current version
    only_new: int  # for the new version alone
    margin: float  # share of the photos

    @property
    def only_current(self) -> int:
        """For the current version alone."""
        return self.only_new - self.new + self.current

    @property
    def value(self) -> float:
        """The share for the new version less the share for the current one."""
        return (self.new - self.current) / self.photos

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the difference (Bonett and Price 2012, https://doi.org/10.3102/1076998611411915).

        Each count is one higher than seen, so that two versions which agree on a handful of photos
        are not taken for equal.
        """
        count = self.photos + 2
        new, current = (self.only_new + 1) / count, (self.only_current + 1) / count
        reach = Z * math.sqrt((new + current - (new - current) ** 2) / count)
        return new - current - reach, new - current + reach

    @property
    def within_margin(self) -> bool:
        """Whether the new version is surely no worse than by `margin` (non-inferiority)."""
        return self.interval[0] > -self.margin

    def photos_needed(self) -> int | None:
        """How many photos with such differences would show it; None where no number would."""
        if self.value <= -self.margin:
            return None
        low, high = self.photos, MOST_PHOTOS
        while low < high:
            middle = (low + high) // 2
            if self._scaled_to(middle).within_margin:
                high = middle
            else:
                low = middle + 1
        return high

    def _scaled_to(self, photos: int) -> "Difference":
        new, current, only_new = (
            round(count * photos / self.photos) for count in (self.new, self.current, self.only_new)
        )
        return Difference(photos, new, current, only_new, self.margin)


@dataclass(frozen=True)
class Comparison:
    """Two versions on the same photos."""

    accuracy: Difference
    decided: Difference

    @property
    def photos(self) -> int:
        """How many independent photos were compared."""
        return self.accuracy.photos

    @property
    def as_good(self) -> bool:
        """Whether the new version is surely not worse, in accuracy and in what it decides."""
        return self.accuracy.within_margin and self.decided.within_margin

    def photos_needed(self) -> int | None:
        """How many photos would show that; None where the new version looks worse."""
        needed = [each.photos_needed() for each in (self.accuracy, self.decided)]
        return None if None in needed else max(each or 0 for each in needed)


def compare(
    labels: np.ndarray,
    groups: np.ndarray,
    new: tuple[Decision, np.ndarray],
    current: tuple[Decision, np.ndarray],
) -> Comparison:
    """Compare two versions by their probabilities, (n,), for the same photos, n > 0.

    `labels` are 1 for damaged. Of the photos of a group, (n,), the first counts: copies are no
    independent evidence.
    """
    first = np.unique(np.asarray(groups), return_index=True)[1]
    labels = labels[first]
    (new_decision, of_new), (current_decision, of_current) = new, current
    return Comparison(
        _difference(
            _correct(labels, new_decision, of_new[first]),
            _correct(labels, current_decision, of_current[first]),
            ACCURACY_MARGIN,
        ),
        _difference(
            ~new_decision.needs_review(of_new[first]),
            ~current_decision.needs_review(of_current[first]),
            DECIDED_MARGIN,
        ),
    )


def _correct(labels: np.ndarray, decision: Decision, probabilities: np.ndarray) -> np.ndarray:
    correct: np.ndarray = decision.is_damaged(probabilities) == (labels == 1)
    return correct


def _difference(new: np.ndarray, current: np.ndarray, margin: float) -> Difference:
    of_new, of_current, of_new_alone = map(np.count_nonzero, (new, current, new & ~current))
    return Difference(len(new), int(of_new), int(of_current), int(of_new_alone), margin)
