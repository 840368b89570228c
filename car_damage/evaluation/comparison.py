"""Compare two versions on photos that neither was trained on."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from car_damage.decision import Decision
from car_damage.errors import UserError
from car_damage.files import write_text

COMPARISON = "comparison.json"

ACCURACY_MARGIN = 0.02  # the largest accepted loss of accuracy
DECIDED_MARGIN = 0.05  # the largest accepted loss in the share of photos decided without a person
Z = 1.96  # standard deviations on each side of a 95 % interval
FEWEST_FEEDBACK = 30  # labelled photos; the result on fewer does not count
MOST_PHOTOS = 10_000_000  # upper limit of the search for a sufficient number


@dataclass(frozen=True)
class Difference:
    """How many of `photos` the new and the current version classify correctly, or decide."""

    photos: int
    new: int
    current: int
    only_new: int  # the new version but not the current one
    margin: float  # the largest accepted loss, as a share of the photos

    @property
    def only_current(self) -> int:
        """The number for the current version but not the new one."""
        return self.only_new - self.new + self.current

    @property
    def value(self) -> float:
        """The share for the new version minus the share for the current one."""
        return (self.new - self.current) / self.photos

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference.

        It is Bonett and Price's of 2012 (https://doi.org/10.3102/1076998611411915). One is added to
        each count, so that agreement on a few photos does not prove that two versions are equal.
        """
        count = self.photos + 2
        new, current = (self.only_new + 1) / count, (self.only_current + 1) / count
        reach = Z * math.sqrt((new + current - (new - current) ** 2) / count)
        return new - current - reach, new - current + reach

    @property
    def within_margin(self) -> bool:
        """Whether the new version surely loses less than `margin` (non-inferiority)."""
        return self.interval[0] > -self.margin

    def photos_needed(self) -> int | None:
        """How many photos with such differences would show this; None if no number would."""
        if self.value <= -self.margin:
            return None

        def shows_it(photos: int) -> bool:
            counts = (self.new, self.current, self.only_new)
            new, current, only_new = (round(count * photos / self.photos) for count in counts)
            return Difference(photos, new, current, only_new, self.margin).within_margin

        more = range(self.photos, MOST_PHOTOS)
        return self.photos + bisect_left(more, True, key=shows_it)


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
        """Whether the new version surely is not worse, in accuracy and in the share decided."""
        return self.accuracy.within_margin and self.decided.within_margin

    def photos_needed(self) -> int | None:
        """How many photos would show that; None if the new version looks worse."""
        needed = [each.photos_needed() for each in (self.accuracy, self.decided)]
        return None if None in needed else max(each or 0 for each in needed)


@dataclass(frozen=True)
class AgainstCurrent:
    """`comparison.json`: a new version compared with the version in use when it was made."""

    current: str
    comparison: Comparison
    feedback: Comparison | None = None  # on the photos that people have labelled, see retrain.py

    @property
    def counts_feedback(self) -> bool:
        """Whether there are enough labelled photos to count."""
        return self.feedback is not None and self.feedback.photos >= FEWEST_FEEDBACK

    @property
    def as_good(self) -> bool:
        """Whether the new version may replace the current one.

        It must surely be as good on the other photos, and right on at least as many labelled ones.
        """
        if self.feedback and self.counts_feedback and self.feedback.accuracy.value < 0:
            return False
        return self.comparison.as_good


def write_comparison(folder: Path, against: AgainstCurrent) -> None:
    """Write a new version's `comparison.json`."""
    text = TypeAdapter(AgainstCurrent).dump_json(against, indent=2).decode()
    write_text(folder / COMPARISON, text + "\n")


def read_comparison(folder: Path) -> AgainstCurrent | None:
    """Read a version's `comparison.json`; None if promotion did not compare it.

    Raises `UserError` if the file has changed since `write_comparison` wrote it.
    """
    path = folder / COMPARISON
    if not path.exists():
        return None
    try:
        return TypeAdapter(AgainstCurrent).validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(
            f"{path} is not as training wrote it. Delete it to make the report without it."
        ) from error


def compare(
    labels: np.ndarray,
    groups: np.ndarray,
    new: tuple[Decision, np.ndarray],
    current: tuple[Decision, np.ndarray],
) -> Comparison:
    """Compare two versions by their probabilities, (n,), for the same photos, n > 0.

    `labels` are 1 for damaged. Only the first photo of each group, (n,), counts, because copies are
    not independent evidence.
    """
    first = np.unique(groups, return_index=True)[1]
    damaged, versions = labels[first] == 1, (new, current)
    correct = [decision.is_damaged(found[first]) == damaged for decision, found in versions]
    decided = [~decision.needs_review(found[first]) for decision, found in versions]
    return Comparison(_difference(ACCURACY_MARGIN, *correct), _difference(DECIDED_MARGIN, *decided))


def _difference(margin: float, new: np.ndarray, current: np.ndarray) -> Difference:
    of_new, of_current, of_new_alone = map(np.count_nonzero, (new, current, new & ~current))
    return Difference(len(new), int(of_new), int(of_current), int(of_new_alone), margin)
