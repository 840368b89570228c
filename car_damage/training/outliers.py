"""Outliers: images that show no car, so that the model learns to be unsure about them.

A network that has only seen cars is as sure about noise as about cars. If it is trained to answer
0.5 on some images without cars, it becomes unsure about other such images too, even if they look
different (outlier exposure, Hendrycks et al. 2019, https://arxiv.org/abs/1812.04606). Its embedding
also separates them. Cars with a hidden middle teach it not to
use the border as evidence.
"""

import cv2
import numpy as np

from car_damage.photos import Photo

EVEN_CHANCE = 0.5  # the label of an outlier
LEAVES = 120  # maximum number of shapes; more would cover each other
HIDDEN = (0.6, 0.9)  # of the side, around the middle
NOISE_CELLS = 6  # powers of two: from single pixels to blobs of a seventh of 224 px


def outlier(image: Photo, rng: np.random.Generator) -> Photo:
    """Make an image without a car from a training image, `uint8` (size, size, 3)."""
    makers = (_noise, _dead_leaves, _scrambled, _hidden)
    return makers[rng.integers(len(makers))](image, rng)


def _noise(image: Photo, rng: np.random.Generator) -> Photo:
    """Grey or coloured noise, from single pixels to blobs."""
    side = max(2, len(image) >> int(rng.integers(NOISE_CELLS)))
    channels = int(rng.choice((1, 3)))
    noise = rng.normal(rng.uniform(0, 255), rng.uniform(5, 100), (side, side, channels))
    large = cv2.resize(noise, image.shape[:2], interpolation=cv2.INTER_LINEAR)
    return _as_photo(np.broadcast_to(np.atleast_3d(large), image.shape))


def _dead_leaves(image: Photo, rng: np.random.Generator) -> Photo:
    """Overlapping shapes, each of one colour, from none (a plain image) to many.

    Their edges and sizes are distributed as in photos (Lee, Mumford and Huang 2001,
    https://doi.org/10.1023/A:1011109015675).
    """
    size = len(image)
    drawn = np.full_like(image, rng.integers(0, 256, 3))
    for _ in range(int(rng.integers(0, LEAVES, endpoint=True) * rng.random())):
        place = tuple(map(int, rng.integers(0, size, 2)))
        radii = tuple(int(size * 0.02 / rng.uniform(0.04, 1)) for _ in range(2))
        colour = tuple(map(int, rng.integers(0, 256, 3)))
        if rng.random() < 0.5:
            cv2.ellipse(drawn, place, radii, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        else:
            corners = cv2.boxPoints((place, radii, float(rng.uniform(0, 90))))
            cv2.fillPoly(drawn, [corners.astype(np.int32)], colour)
    return drawn


def _scrambled(image: Photo, rng: np.random.Generator) -> Photo:
    """A texture with random phases: the photo's colours and spectrum, but none of its shapes."""
    phases = np.angle(np.fft.fft2(rng.normal(size=image.shape[:2])))  # of a real-valued image
    spectrum = np.fft.fft2(image, axes=(0, 1)) * np.exp(1j * phases)[:, :, np.newaxis]
    spectrum[0, 0] = np.abs(spectrum[0, 0])  # the mean colour stays
    return _as_photo(np.fft.ifft2(spectrum, axes=(0, 1)).real)


def _hidden(image: Photo, rng: np.random.Generator) -> Photo:
    """The photo with its middle covered by one colour, which is grey half of the time."""
    hidden = np.array(image)
    margin = round(len(image) * (1 - rng.uniform(*HIDDEN)) / 2)
    colours = 1 if rng.random() < 0.5 else 3
    hidden[margin:-margin, margin:-margin] = rng.integers(0, 256, colours)
    return hidden


def _as_photo(values: np.ndarray) -> Photo:
    return values.round().clip(0, 255).astype(np.uint8)
