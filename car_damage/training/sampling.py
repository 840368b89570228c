"""How often each training image is shown, so that no source decides what the model learns."""

import numpy as np

from car_damage.dataset.arrays import Split


def sample_weights(split: Split) -> np.ndarray:
    """Weigh the images of a split: float32 (n,), with mean 1.

    Both classes weigh the same. Within a class, a source weighs by the square root of its number of
    images. By the number itself, the largest source would decide; if all weighed the same, the
    model would memorise the photos of the smallest.
    """
    names = np.array([row.source for row in split.rows])
    weights = np.zeros(len(split.y))
    for label in np.unique(split.y):
        of_class = split.y == label
        _, source, counts = np.unique(names[of_class], return_inverse=True, return_counts=True)
        each = 1 / np.sqrt(counts[source])
        weights[of_class] = each / each.sum()
    return (weights / weights.mean()).astype(np.float32)


def draw(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many rows as there are weights, shuffled: int64 (n,).

    A row comes as often as its weight says, rounded up or down at random (systematic sampling).
    """
    count = len(weights)
    ends = np.cumsum(weights, dtype=np.float64)
    whole = np.floor(ends * (count / ends[-1]) + rng.random()).astype(np.int64)
    whole[-1] = count  # whatever rounding did
    return rng.permutation(np.repeat(np.arange(count), np.diff(whole, prepend=0)))
