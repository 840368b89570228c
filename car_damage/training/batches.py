"""Batches of images for Keras: shuffled and augmented for training, as they are for measuring."""

import math

import keras
import numpy as np

from car_damage.dataset.arrays import Split
from car_damage.parallel import cores
from car_damage.training.augmentation import augment, rng_for
from car_damage.training.outliers import EVEN_CHANCE, outlier
from car_damage.training.sampling import draw, sample_weights

PHOTOS_PER_OUTLIER = 16  # outliers come on top of them


class PlainBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras carries no types
    """Batches in the arrays' order, read from disk as they are needed.

    Each is `(uint8 (b, side, side, 3), float32 (b, 1), float32 (b,))`: images, labels, weights.
    """

    def __init__(self, split: Split, batch_size: int, **threads: int):
        super().__init__(**threads)
        self.split = split
        self.batch_size = batch_size
        self.weights = sample_weights(split)

    def __len__(self) -> int:
        return math.ceil(len(self.split.y) / self.batch_size)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        rows = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
        labels = self.split.y[rows].astype(np.float32)
        return np.asarray(self.split.X[rows]), labels[:, None], self.weights[rows]


class AugmentedBatches(PlainBatches):
    """Shuffled and augmented batches to train on.

    Each is `(uint8 (b, size, size, 3), float32 (b, 1))`: images and labels. `sampling` decides how
    often an epoch shows a photo. With `outliers`, one more image for every 16 photos shows no car
    that could be classified; its label is 0.5. A batch of 32 has two of them, of batches of 8 every
    second one has one. What a batch holds is a function of seed, epoch and position, whichever
    thread computes it, so that a resumed run gets the batches that it would have had.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, outliers: bool = False):
        super().__init__(split, batch_size, workers=cores(), max_queue_size=8)
        self.seed = seed
        self.outliers = outliers
        self.skip_to(0)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        first, end = batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.order))
        images = [self._view(position) for position in range(first, end)]
        labels = self.split.y[self.order[first:end]].tolist()
        if self.outliers:
            numbers = range(first // PHOTOS_PER_OUTLIER, end // PHOTOS_PER_OUTLIER)
            images += [self._outlier(number) for number in numbers]
            labels += [EVEN_CHANCE] * len(numbers)
        return np.stack(images), np.array(labels, np.float32)[:, None]

    def _view(self, position: int) -> np.ndarray:
        stored = np.asarray(self.split.stored[self.order[position]])
        # By position and not by row: a row that comes twice gets two views.
        return augment(stored, rng_for(self.seed, self.epoch, position), self.split.X.shape[1])

    def _outlier(self, number: int) -> np.ndarray:
        rng = rng_for(self.seed, self.epoch, len(self.order) + number)  # they follow the photos
        image = np.asarray(self.split.X[int(rng.integers(len(self.order)))])
        return augment(outlier(image, rng), rng, image.shape[0])

    def skip_to(self, epoch: int) -> None:
        """Go to this epoch, counted from 0: each has its own order and its own views.

        Not left to `on_epoch_end`, which Keras calls before the first epoch, too.
        """
        self.epoch = epoch
        self.order = draw(self.weights, np.random.default_rng([self.seed, epoch]))
