"""Batches of images for Keras: shuffled and augmented for training, unchanged for evaluation."""

import math

import keras
import numpy as np

from car_damage.dataset.arrays import Split
from car_damage.parallel import cores
from car_damage.training.augmentation import augment, rng_for
from car_damage.training.outliers import EVEN_CHANCE, outlier
from car_damage.training.sampling import draw, patch_shares, sample_weights

PHOTOS_PER_OUTLIER = 16  # outliers are added to the photos
PATCH_CHANCE = 0.2  # probability of a patch in an undamaged image; half of the patches are damaged
SCRATCH_CHANCE = 0.15  # probability of scratches on an undamaged close-up without a patch


class PlainBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras carries no types
    """Batches in the order of the arrays, read from disk when they are needed.

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
    """Shuffled and augmented batches for training.

    Each is `(uint8 (b, size, size, 3), float32 (b, 1))`: images and labels. `sampling` decides how
    often an epoch shows a photo. With `made_up`, an undamaged image may get `scratches`, or a patch
    (`pasting`) of another photo, and takes the patch's label. For every 16 photos, one image that
    shows no car (`outliers`) is added, with the label 0.5. A batch depends only on seed, epoch and
    position, so a resumed run gets the same batches.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, made_up: bool = True):
        super().__init__(split, batch_size, workers=cores(), max_queue_size=8)
        self.seed = seed
        self.patch_chance = PATCH_CHANCE if made_up else 0.0
        self.scratch_chance = SCRATCH_CHANCE if made_up else 0.0
        # Some undamaged images become damaged. Draw as many more, so that both classes are equal.
        self.drawn = self.weights * np.where(split.y == 1, 1, 1 / (1 - 2 * self._turned_damaged()))
        self.patches = [patch_shares(split, label) for label in (0, 1)]
        self.skip_to(0)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, ...]:
        first, end = batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.order))
        views = [self._view(position) for position in range(first, end)]
        numbers = range(first // PHOTOS_PER_OUTLIER, end // PHOTOS_PER_OUTLIER)
        views += [(self._outlier(number), EVEN_CHANCE) for number in numbers]
        images, labels = zip(*views, strict=True)
        return np.stack(images), np.array(labels, np.float32)[:, None]

    def _turned_damaged(self) -> float:
        """The share of undamaged images that become damaged."""
        undamaged = self.split.y == 0
        close_ups = np.average(
            self.split.of_kind("close_up")[undamaged], weights=self.weights[undamaged]
        )
        scratched = (1 - self.patch_chance) * self.scratch_chance * float(close_ups)
        return self.patch_chance / 2 + scratched

    def _view(self, position: int) -> tuple[np.ndarray, float]:
        """An image and its label."""
        row = int(self.order[position])
        # By position and not by row, so that a row that is drawn twice gets two different views.
        rng = rng_for(self.seed, self.epoch, position)
        damaged = bool(self.split.y[row])
        stored, size = np.asarray(self.split.stored[row]), self.split.X.shape[1]
        if not damaged:
            if rng.random() < self.patch_chance:
                label = int(rng.integers(2))
                donor = int(rng.choice(len(self.split.y), p=self.patches[label]))
                patch = np.asarray(self.split.stored[donor])
                return augment(stored, rng, size, patch=patch), label
            if self.split.rows[row].kind == "close_up" and rng.random() < self.scratch_chance:
                return augment(stored, rng, size, scratched=True), 1
        return augment(stored, rng, size), int(damaged)

    def _outlier(self, number: int) -> np.ndarray:
        rng = rng_for(self.seed, self.epoch, len(self.order) + number)  # they follow the photos
        image = np.asarray(self.split.X[int(rng.integers(len(self.order)))])
        return augment(outlier(image, rng), rng, image.shape[0])

    def skip_to(self, epoch: int) -> None:
        """Go to this epoch, counted from 0; each has its own order and views.

        `on_epoch_end` cannot do this, because Keras also calls it before the first epoch.
        """
        self.epoch = epoch
        self.order = draw(self.drawn, np.random.default_rng([self.seed, epoch]))
