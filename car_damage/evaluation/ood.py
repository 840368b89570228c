"""Fit the limits of a version's warnings on its training photos.

At most 1 % of the training photos get any one quality warning. At most 1 % of the validation images
are `unfamiliar`; the embeddings of the training images would be too familiar for this.
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

WARNED = 0.01  # share of photos
COMPONENTS = 32  # 16 to 128 work equally well; at d = 1,024, 32 take 87 kB in `model.json`
INSIDE = 4  # at most one in this many dimensions is a component; the rest must remain outside

# If all training photos are good, the worst 1 % are good too. So no limit is stricter than these
# values, at which a person would still call a photo sharp, bright and well exposed.
MOST_SHARPNESS = 0.6
MOST_BRIGHTNESS = 100.0
LEAST_BLOWN = 0.2


def fit_limits(dataset: Dataset, train: np.ndarray, val: np.ndarray) -> WarningLimits:
    """Fit the limits of all warnings.

    `train` and `val`, float32 (n, d), are the exported graph's embeddings of the images.
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

    The limit of the resolution is at most `size`, because larger photos are shrunk for the model.
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
    """The leading principal components of embeddings (n, d), not centred: float32 (k, d).

    They are not centred, because the direction of an embedding shows what is in the picture.
    Relative to the mean, pictures without a car would be close. The result is rounded as in
    `model.json`.
    """
    length = np.linalg.norm(embedded, axis=1, keepdims=True)
    directions = embedded / np.where(length == 0, 1, length)
    dimensions = embedded.shape[1]
    count = min(COMPONENTS, max(1, dimensions // INSIDE))
    largest = (dimensions - count, dimensions - 1)  # eigenvalues come in ascending order
    _, vectors = eigh(directions.T @ directions, subset_by_index=largest)
    return vectors.T.astype(STORED).astype(np.float32)


def _qualities(split: Split) -> Iterator[Quality]:
    """The quality of each photo, without close-ups, which are crops."""

    def measured(number: int) -> Quality:
        row = split.rows[number]
        return measure_quality(np.asarray(split.X[number]), min(row.width, row.height))

    return map_in_order(measured, np.flatnonzero(split.of_kind("photo")).tolist())


def _lowest(values: Sequence[float]) -> float:
    """The limit that at most `WARNED` of the values are below."""
    return float(np.quantile(values, WARNED, method="lower"))


def _highest(values: Sequence[float]) -> float:
    """The limit that at most `WARNED` of the values are above."""
    return float(np.quantile(values, 1 - WARNED, method="higher"))
