"""Fit the limits of a version's warnings on its training photos.

Of each warning of quality at most 1 % of the training photos are warned; `unfamiliar` are at most
1 % of the validation images, since the training images' own embeddings are too familiar.
"""

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
from scipy.linalg import eigh

from car_damage.dataset.arrays import Dataset, Split
from car_damage.parallel import map_in_order
from car_damage.photo_warnings import (
    STORED,
    Quality,
    WarningLimits,
    WarningWord,
    distance,
    find_warnings,
    measure_quality,
)

WARNED = 0.01  # share
COMPONENTS = 32  # 16 to 128 do alike; at d = 1,024 these take 87 kB in `model.json`
INSIDE = 4  # of at least so many dimensions one may be a component, or nothing were left outside

# Where a training set holds good photos only, its worst hundredth is good, too: no limit is
# stricter than these, by which a person would still call the photo sharp, bright, well exposed.
MOST_SHARPNESS = 0.6
MOST_BRIGHTNESS = 100.0
LEAST_BLOWN = 0.2


def fit_limits(dataset: Dataset, train: np.ndarray, val: np.ndarray) -> WarningLimits:
    """Fit the limits of all warnings.

    `train` and `val`, float32 (n, d): the exported graph's embeddings of these splits' images.
    """
    components = principal(train)
    unseen = [distance(embedding, components) for embedding in val]
    return quality_limits(list(_qualities(dataset.train)), dataset.config.size, unseen, components)


def shares_warned(
    limits: WarningLimits, dataset: Dataset, embeddings: np.ndarray
) -> dict[str, float]:
    """The share of test photos that get each warning.

    `embeddings`, float32 (n, d), are the exported graph's of all test images.
    """
    of_photos = embeddings[dataset.test.of_kind("photo")]
    warned = [
        find_warnings(quality, embedding, limits)
        for quality, embedding in zip(_qualities(dataset.test), of_photos, strict=True)
    ]
    words = get_args(WarningWord)
    return {word: float(np.mean([word in each for each in warned])) for word in words}


def quality_limits(
    found: Sequence[Quality], size: int, unseen: Sequence[float], components: np.ndarray
) -> WarningLimits:
    """The limits for these training photos and the distances of unseen images.

    The resolution's is at most `size`: what is larger is shrunk for the model anyway.
    """
    return WarningLimits(
        sharpness=min(_lowest([one.sharpness for one in found]), MOST_SHARPNESS),
        brightness=min(_lowest([one.brightness for one in found]), MOST_BRIGHTNESS),
        blown=max(_highest([one.blown for one in found]), LEAST_BLOWN),
        short_side=min(int(_lowest([one.short_side for one in found])), size),
        distance=_highest(unseen),
        components=components,
    )


def principal(embedded: np.ndarray) -> np.ndarray:
    """The leading principal components through the origin of (n, d), float32 (k, d).

    Through the origin, since the direction of an embedding tells what it shows; about the mean, a
    picture of no car lies close. Rounded as `model.json` will hold them.
    """
    length = np.linalg.norm(embedded, axis=1, keepdims=True)
    directions = embedded / np.where(length == 0, 1, length)
    dimensions = embedded.shape[1]
    count = min(COMPONENTS, max(1, dimensions // INSIDE))
    largest = (dimensions - count, dimensions - 1)  # eigenvalues come in ascending order
    _, vectors = eigh(directions.T @ directions, subset_by_index=largest)
    return vectors.T.astype(STORED).astype(np.float32)


def _qualities(split: Split) -> Iterator[Quality]:
    """The quality of each photo; crops of them are no photos that someone took."""

    def measured(number: int) -> Quality:
        row = split.rows[number]
        return measure_quality(np.asarray(split.X[number]), min(row.width, row.height))

    return map_in_order(measured, np.flatnonzero(split.of_kind("photo")).tolist())


def _lowest(values: Sequence[float]) -> float:
    """What at most `WARNED` of the values are below."""
    return float(np.quantile(values, WARNED, method="lower"))


def _highest(values: Sequence[float]) -> float:
    """What at most `WARNED` of the values are above."""
    return float(np.quantile(values, 1 - WARNED, method="higher"))
