"""The numbers by which photos are compared: what the service recorded, and principal components."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from car_damage.decision import DIGITS

COMPONENTS = 16  # of the embedding, each compared on its own; the rest counts as one distance
LEAST_VARIANCE = 1e-9  # of a component, as a share of the first one's
ANSWERS = ("damaged", "review", "unfamiliar")  # yes or no: their shares are compared
MEASURED = ("log_odds", "brightness", "sharpness", "megapixels", "shape", "bits_per_pixel")


@dataclass(frozen=True)
class Photos:
    """What is known of n photos, in the order in which they came."""

    measured: np.ndarray  # float64 (n, len(MEASURED))
    answers: np.ndarray  # float64 (n, len(ANSWERS)): 1 for yes, 0 for no
    embeddings: np.ndarray  # float32 (n, d)

    def part(self, chosen: slice | np.ndarray) -> Self:
        """Some of the photos."""
        parts = (self.measured, self.answers, self.embeddings)
        return type(self)(*(each[chosen] for each in parts))

    def __len__(self) -> int:
        return len(self.measured)


@dataclass(frozen=True)
class Components:
    """Whitened principal components of embeddings.

    Whitening matters because after fine-tuning one direction, damaged or not, has most of the
    variance. A distance between embeddings would see nothing else.
    """

    mean: np.ndarray  # float32 (d,)
    rows: np.ndarray  # float32 (k, d): orthonormal
    scales: np.ndarray  # float32 (k,): standard deviations along the rows

    @classmethod
    def fit(cls, embeddings: np.ndarray, count: int = COMPONENTS) -> Self:
        """The leading components of embeddings, (n, d)."""
        mean = embeddings.mean(axis=0)
        covariance = np.atleast_2d(np.cov(embeddings.astype(float), rowvar=False))
        # `eigh` sorts variances in ascending order.
        variances, columns = np.linalg.eigh(covariance)
        kept = np.flatnonzero(variances > LEAST_VARIANCE * variances[-1])[::-1][:count]
        rows = columns.T[kept].astype(np.float32)
        return cls(mean.astype(np.float32), rows, np.sqrt(variances[kept]).astype(np.float32))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns of `of`."""
        return (*(f"component_{number + 1}" for number in range(len(self.rows))), "outside")

    def of(self, embeddings: np.ndarray) -> np.ndarray:
        """Float32 (n, k + 1): whitened components, and the logarithm of the length outside them."""
        centred = embeddings - self.mean
        along = centred @ self.rows.T
        rest = np.square(centred).sum(axis=1) - np.square(along).sum(axis=1)
        outside = np.log(np.maximum(rest, 1e-12)) / 2
        return np.column_stack([along / self.scales, outside]).astype(np.float32)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """The log-odds of rounded probabilities; 0 and 1 count as half a step from them."""
    half_a_step = 0.5 * 10**-DIGITS
    clipped = np.clip(probabilities, half_a_step, 1 - half_a_step)
    return np.log(clipped / (1 - clipped))
