"""Batches of images for Keras: shuffled and augmented for training, as they are for measuring."""

import math
from collections.abc import Sequence

import cv2
import keras
import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from car_damage.dataset.arrays import Split
from car_damage.parallel import cores
from car_damage.training.augmentation import augment, rng_for
from car_damage.training.outliers import EVEN_CHANCE, outlier

PHOTOS_PER_OUTLIER = 16  # outliers come on top of them


def class_weights(y: np.ndarray) -> np.ndarray:
    """A weight for each photo, float32 (n,), with which both classes weigh alike; mean 1."""
    return compute_sample_weight("balanced", y).astype(np.float32)


class PlainBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras carries no types
    """Batches in the arrays' order, read from disk as they are needed.

    Each is `(uint8 (b, side, side, 3), float32 (b, 1), float32 (b,))`: images, labels, weights.
    """

    def __init__(self, split: Split, batch_size: int, **threads: int):
        super().__init__(**threads)
        self.split = split
        self.batch_size = batch_size
        self.weights = class_weights(split.y)

    def __len__(self) -> int:
        return math.ceil(len(self.split.y) / self.batch_size)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
        labels = self.split.y[rows].astype(np.float32)
        return np.asarray(self.split.X[rows]), labels[:, None], self.weights[rows]


class AugmentedBatches(PlainBatches):
    """Shuffled and augmented batches to train on.

    `sides` gives each epoch's side in pixels; without it, and after its end, images keep theirs.
    With `outliers`, one more image for every 16 photos shows no car that could be judged; its label
    is 0.5. A batch of 32 has two of them, of batches of 8 every second one has one. What a batch
    holds is a function of seed, epoch and position, whichever thread computes it, so that a resumed
    run gets the batches that it would have had.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        sides: Sequence[int] = (),
        outliers: bool = False,
    ):
        super().__init__(split, batch_size, workers=cores(), max_queue_size=8)
        self.seed = seed
        self.sides = sides
        self.outliers = outliers
        self.skip_to(0)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, end = batch * self.batch_size, (batch + 1) * self.batch_size
        rows = self.order[first:end]
        images = [self._view(int(row)) for row in rows]
        if self.outliers:
            numbers = range(first // PHOTOS_PER_OUTLIER, end // PHOTOS_PER_OUTLIER)
            images += [self._outlier(number) for number in numbers]
        more = len(images) - len(rows)
        labels = np.append(self.split.y[rows], [EVEN_CHANCE] * more).astype(np.float32)
        weights = np.append(self.weights[rows], np.ones(more, np.float32))
        return np.stack([self._sized(image) for image in images]), labels[:, None], weights

    def _view(self, row: int) -> np.ndarray:
        return augment(np.asarray(self.split.X[row]), rng_for(self.seed, self.epoch, row))

    def _outlier(self, number: int) -> np.ndarray:
        rng = rng_for(self.seed, self.epoch, len(self.split.y) + number)  # they follow the rows
        row = rng.integers(len(self.split.y))
        return augment(outlier(np.asarray(self.split.X[row]), rng), rng)

    def _sized(self, view: np.ndarray) -> np.ndarray:
        if self.epoch >= len(self.sides) or self.sides[self.epoch] == len(view):
            return view
        side = self.sides[self.epoch]
        return cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA)

    def skip_to(self, epoch: int) -> None:
        """Go to this epoch, counted from 0: each has its own order and its own views.

        Not left to `on_epoch_end`, which Keras calls before the first epoch, too.
        """
        self.epoch = epoch
        self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.split.y))
