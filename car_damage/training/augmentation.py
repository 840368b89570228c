"""Augmentation: random changes to training photos that do not change the label.

A mirrored, cropped, darker or blurred car is as damaged as before. Two of the changes fight a bias
in collected photos: photos of damage are mostly small and strongly compressed, photos of undamaged
cars large and sharp. Shrinking and recompressing give both the same quality.
"""

import math

import cv2
import numpy as np

from car_damage.photos import Photo, fit, recompress
from car_damage.training.pasting import paste
from car_damage.training.scratches import scratch

AREA = (0.39, 1.0)  # of the photo that a crop keeps: smaller crops often lose the damage
PATCH_AREA = (0.6, 1.0)
ASPECT = (4 / 5, 5 / 4)  # of a crop; squeezing photos to squares distorts them as much

GAMMA = (0.7, 1.4)  # lighter or darker shadows, as with backlight
CONTRAST = (0.75, 1.25)
BRIGHTNESS = (0.75, 1.25)  # less than one aperture stop, so that white paint keeps its detail
SATURATION = (0.6, 1.3)  # down to a dull day; the colour of the paint is no sign of damage
HUE = 8.0  # degrees in both directions: a wrong white balance, and rust still looks like rust
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look

SHRINK_CHANCE = 0.5  # half of the photos stay sharp, as in use
SHRUNK = (0.2, 0.9)  # of the side
SMALLEST = 45  # pixels: like a photo taken from far away; smaller ones would show nothing
SHRUNK_SCRATCH = (0.5, 0.9)
RECOMPRESS_CHANCE = 0.5
JPEG_QUALITY = (30, 95)  # from messengers and thumbnails to cameras

ERASE_CHANCE = 0.25
ERASED_AREA = (0.02, 0.1)  # of the image; 0.4, as in the paper, would hide whole dents
ERASED_ASPECT = (0.3, 1 / 0.3)  # as in the paper


def rng_for(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The random generator for one view in one epoch; it does not depend on threads or timing."""
    return np.random.default_rng([seed, epoch, position])


def augment(
    stored: Photo,
    rng: np.random.Generator,
    size: int,
    patch: Photo | None = None,
    scratched: bool = False,
) -> Photo:
    """Make a random variant of a stored square.

    `stored` is `uint8` (stored, stored, 3) and does not change. The result is a new array, `uint8`
    (size, size, 3). If there is a `patch`, another stored square, it is pasted into the crop. If
    `scratched`, scratches are drawn on the crop.
    """
    image = _crop(stored, rng, size, AREA)
    if patch is not None:
        image = paste(image, _crop(patch, rng, size, PATCH_AREA), rng)
    if scratched:
        image = scratch(image, rng)
    # Scratches would vanish in a small thumbnail.
    image = _degrade(_relight(image, rng), rng, SHRUNK_SCRATCH if scratched else SHRUNK)
    if rng.random() < ERASE_CHANCE:
        _erase(image, rng)
    return image


def _crop(stored: Photo, rng: np.random.Generator, size: int, area: tuple[float, float]) -> Photo:
    """Crop, resize, and mirror half of the time."""
    side = stored.shape[0]
    width, height = (max(1, round(share * side)) for share in _crop_shares(rng, area))
    left, top = rng.integers(0, side - width + 1), rng.integers(0, side - height + 1)
    crop = fit(stored[top : top + height, left : left + width], size)
    return np.ascontiguousarray(crop[:, ::-1]) if rng.random() < 0.5 else crop


def _crop_shares(rng: np.random.Generator, area: tuple[float, float]) -> tuple[float, float]:
    """Width and height of a crop, as shares of the square's side."""
    side, stretch = math.sqrt(rng.uniform(*area)), math.sqrt(_log_uniform(rng, ASPECT))
    return min(1.0, side * stretch), min(1.0, side / stretch)


def _relight(image: Photo, rng: np.random.Generator) -> Photo:
    """Simulate another light and camera: apply a tone curve, then change the colours."""
    mean = float(np.mean(cv2.mean(image)[:3])) / 255
    return cv2.transform(cv2.LUT(image, _tone_curve(rng, mean)), _colour_matrix(rng))


def _tone_curve(rng: np.random.Generator, mean: float) -> np.ndarray:
    """Combine gamma, contrast and brightness in one table, `uint8` (256,)."""
    gamma = _log_uniform(rng, GAMMA)
    tones: np.ndarray = np.linspace(0, 1, 256) ** gamma
    pivot = mean**gamma  # contrast around the photo's own mean does not turn dark photos black
    tones = pivot + (tones - pivot) * rng.uniform(*CONTRAST)
    return (tones * rng.uniform(*BRIGHTNESS) * 255).round().clip(0, 255).astype(np.uint8)


def _colour_matrix(rng: np.random.Generator) -> np.ndarray:
    """Combine saturation and hue in one matrix, float64 (3, 3), that does not change greys."""
    saturation = rng.uniform(*SATURATION)
    saturate = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
    hue = math.radians(rng.uniform(-HUE, HUE))
    rotate, _ = cv2.Rodrigues(np.full(3, hue / math.sqrt(3)))  # around the axis of greys
    return saturate @ rotate


def _degrade(image: Photo, rng: np.random.Generator, shrunk: tuple[float, float]) -> Photo:
    """Shrink, recompress and enlarge again, in this order, as thumbnails are made."""
    size = image.shape[0]
    if rng.random() < SHRINK_CHANCE:
        side = min(size, max(SMALLEST, round(rng.uniform(*shrunk) * size)))
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < RECOMPRESS_CHANCE:
        image = recompress(image, quality=int(rng.integers(*JPEG_QUALITY, endpoint=True)))
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)


def _erase(image: Photo, rng: np.random.Generator) -> None:
    """Fill a random rectangle with noise, in place, so that no single place decides the answer.

    This is Random Erasing (Zhong et al. 2020) with random values, the paper's best variant.
    """
    size = image.shape[0]
    area = rng.uniform(*ERASED_AREA) * size**2
    stretch = math.sqrt(_log_uniform(rng, ERASED_ASPECT))
    height, width = round(math.sqrt(area) * stretch), round(math.sqrt(area) / stretch)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    image[top : top + height, left : left + width] = noise


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """Draw a factor from a log-uniform distribution: 2 and 1/2 are equally likely."""
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))
