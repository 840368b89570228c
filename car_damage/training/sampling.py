"""Sampling: how often training shows each image, so that no source dominates."""

import numpy as np

from car_damage.dataset.arrays import Split


def sample_weights(split: Split) -> np.ndarray:
    """Compute a weight for each image of a split: float32 (n,), with mean 1.

    Both classes have the same total weight. Within a class, a source's weight is the square root of
    its number of images. With the number itself, the largest source would dominate. With equal
    weights, the model would memorise the photos of the smallest source.
    """
    names = np.array([row.source for row in split.rows])
    weights = np.zeros(len(split.y))
    for label in np.unique(split.y):
        of_class = split.y == label
        _, source, counts = np.unique(names[of_class], return_inverse=True, return_counts=True)
        each = 1 / np.sqrt(counts[source])
        weights[of_class] = each / each.sum()
    return (weights / weights.mean()).astype(np.float32)


def patch_shares(split: Split, label: int) -> np.ndarray:
    """The probability that a patch with this label comes from each image: float64 (n,).

    Undamaged patches come from close-ups, if there are any, because most damaged patches are
    close-ups too.
    """
    chosen = split.y == label
    close_ups = chosen & split.of_kind("close_up")
    shares = np.where(close_ups if close_ups.any() else chosen, sample_weights(split), 0.0)
    return shares / shares.sum()


def draw(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many rows as there are weights, shuffled: int64 (n,).

    Each row is drawn as often as its weight, rounded up or down at random (systematic sampling).
    """
    count = len(weights)
    order = rng.permutation(count)  # otherwise the draws of neighbouring rows would be correlated
    ends = np.cumsum(weights[order], dtype=np.float64)
    whole = np.floor(ends * (count / ends[-1]) + rng.random()).astype(np.int64)
    whole[-1] = count  # corrects rounding errors
    return rng.permutation(np.repeat(order, np.diff(whole, prepend=0)))
