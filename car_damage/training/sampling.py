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


def patch_shares(split: Split, label: int) -> np.ndarray:
    """How often a patch of this label is cut from each image: float64 (n,), which sums to 1.

    Undamaged patches are of close-ups, if there are any: most damaged ones show it from near, too.
    """
    chosen = split.y == label
    close_ups = chosen & split.of_kind("close_up")
    shares = np.where(close_ups if close_ups.any() else chosen, sample_weights(split), 0.0)
    return shares / shares.sum()


def draw(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many rows as there are weights, shuffled: int64 (n,).

    A row comes as often as its weight says, rounded up or down at random (systematic sampling).
    """
    count = len(weights)
    order = rng.permutation(count)  # or rows that follow each other would share their luck
    ends = np.cumsum(weights[order], dtype=np.float64)
    whole = np.floor(ends * (count / ends[-1]) + rng.random()).astype(np.int64)
    whole[-1] = count  # whatever rounding did
    return rng.permutation(np.repeat(order, np.diff(whole, prepend=0)))
