"""The decision rule: from a logit to an answer, for serving, evaluation and reports."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

Label = Literal["not_damaged", "damaged"]
LABELS: tuple[Label, Label] = ("not_damaged", "damaged")  # the position is the label's number
DIGITS = 4  # of a probability: the rounded value is sent to clients and compared with the limits
# The minimum number of validation photos outside the review band. To reach 99 % accuracy with fewer
# than 100 photos, none of them may be wrong. No mistake in 66 photos is as good evidence as one in
# 100: in both cases the 95 % interval (Clopper-Pearson) starts at 94.6 %.
FEWEST_DECIDED = 66

Share = Annotated[float, Field(ge=0, le=1)]


class ReviewBand(NamedTuple):
    """The probabilities that need a person: at least `low` and below `high`."""

    low: Share
    high: Share


EVERY_PHOTO = ReviewBand(0.0, 1.0)  # includes a probability of exactly 1


class Decision(BaseModel):
    """How a version turns logits into answers, for one photo or for arrays of any shape."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(gt=0)  # the logit is divided by it (Guo et al. 2017)
    threshold: Share  # at or above this probability, a photo is classified as damaged
    review_band: ReviewBand | None = None  # None: no photo needs a person

    @field_validator("review_band")
    @classmethod
    def _in_order(cls, band: ReviewBand | None) -> ReviewBand | None:
        if band is not None and band.low > band.high:
            raise ValueError("its low end is above its high end")
        return band

    def probabilities(self, logits: npt.ArrayLike) -> np.ndarray:
        """The calibrated probabilities of damage, float64, rounded to `DIGITS`."""
        scaled = np.asarray(logits, np.float64) / self.temperature
        return np.round(np.exp(-np.logaddexp(0.0, -scaled)), DIGITS)  # a sigmoid, without overflow

    def is_damaged(self, probabilities: npt.ArrayLike) -> np.ndarray:
        """Which of these (rounded) probabilities are classified as damaged: bool."""
        return np.asarray(probabilities) >= self.threshold

    def needs_review(self, probabilities: npt.ArrayLike) -> np.ndarray:
        """Which of these (rounded) probabilities need a person: bool."""
        probabilities = np.asarray(probabilities)
        if self.review_band is None:
            return np.zeros(probabilities.shape, bool)
        if self.review_band == EVERY_PHOTO:
            return np.ones(probabilities.shape, bool)
        low, high = self.review_band
        return (probabilities >= low) & (probabilities < high)


def rounded_up(limits: npt.ArrayLike) -> np.ndarray:
    """Round limits up, so that `p >= limit` still holds for the same rounded probabilities."""
    steps = 10**DIGITS
    return np.ceil(np.round(np.asarray(limits) * steps, 6)) / steps
