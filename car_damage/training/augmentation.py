"""Random changes to training photos that leave the answer as it is.

A mirrored, turned, darker or blurred car is as damaged as before. Two of the changes work against
what collected photos teach by accident: photos of damage are mostly small and strongly compressed,
photos of whole cars large and sharp. Shrinking and recompressing make both alike.
"""

import math

import cv2
import numpy as np

from car_damage.photos import Photo, fit, recompress
from car_damage.training.pasting import paste
from car_damage.training.scratches import scratch

AREA = (0.39, 1.0)  # of the photo that a crop keeps: less would often cut the damage off
PATCH_AREA = (0.6, 1.0)
ASPECT = (4 / 5, 5 / 4)  # of a crop; squeezed photos are out of proportion by as much already

GAMMA = (0.7, 1.4)  # shadows lifted or deepened, as with backlight
CONTRAST = (0.75, 1.25)
BRIGHTNESS = (0.75, 1.25)  # less than one aperture stop, or white paint and reflections run out
SATURATION = (0.6, 1.3)  # down to a dull day; paint is never the sign of damage
HUE = 8.0  # degrees either way: a white balance that is off, and rust still looks like rust
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look

SHRINK_CHANCE = 0.5  # half of the photos keep their sharpness, as half do in service
SHRUNK = (0.2, 0.9)  # of the side
SMALLEST = 45  # pixels: a photo taken from far away; of a smaller one nothing would be left
SHRUNK_SCRATCH = (0.5, 0.9)
RECOMPRESS_CHANCE = 0.5
JPEG_QUALITY = (30, 95)  # messengers and thumbnails to cameras

ERASE_CHANCE = 0.25
ERASED_AREA = (0.02, 0.1)  # of the image; Zhong et al. go to 0.4, which would hide whole dents
ERASED_ASPECT = (0.3, 1 / 0.3)  # as in the paper


def rng_for(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The randomness of one view in one epoch, whichever thread asks for it and when."""
    return np.random.default_rng([seed, epoch, position])


def augment(
    stored: Photo,
    rng: np.random.Generator,
    size: int,
    patch: Photo | None = None,
    scratched: bool = False,
) -> Photo:
    """Make another photo of the same car out of a stored square.

    `stored` is `uint8` (stored, stored, 3) and stays as it is; the result is a new array, `uint8`
    (size, size, 3). A `patch`, another stored square, is pasted into the crop; if `scratched`,
    scratches are drawn on it.
    """
    image = _crop(stored, rng, size, AREA)
    if patch is not None:
        image = paste(image, _crop(patch, rng, size, PATCH_AREA), rng)
    if scratched:
        image = scratch(image, rng)
    # Thin marks would vanish in a small thumbnail.
    image = _degrade(_relight(image, rng), rng, SHRUNK_SCRATCH if scratched else SHRUNK)
    if rng.random() < ERASE_CHANCE:
        _erase(image, rng)
    return image


def _crop(stored: Photo, rng: np.random.Generator, size: int, area: tuple[float, float]) -> Photo:
    """Crop, resize once, and mirror half of the time."""
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
    """Another light and another camera: a tone curve, then a change of colours."""
    mean = float(np.mean(cv2.mean(image)[:3])) / 255
    return cv2.transform(cv2.LUT(image, _tone_curve(rng, mean)), _colour_matrix(rng))


def _tone_curve(rng: np.random.Generator, mean: float) -> np.ndarray:
    """Gamma, contrast and brightness as one table, `uint8` (256,)."""
    gamma = _log_uniform(rng, GAMMA)
    tones: np.ndarray = np.linspace(0, 1, 256) ** gamma
    pivot = mean**gamma  # contrast about the photo's own mean keeps dark photos out of black
    tones = pivot + (tones - pivot) * rng.uniform(*CONTRAST)
    return (tones * rng.uniform(*BRIGHTNESS) * 255).round().clip(0, 255).astype(np.uint8)


def _colour_matrix(rng: np.random.Generator) -> np.ndarray:
    """Saturation and hue as one matrix, float64 (3, 3), that leaves greys as they are."""
    saturation = rng.uniform(*SATURATION)
    saturate = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
    hue = math.radians(rng.uniform(-HUE, HUE))
    rotate, _ = cv2.Rodrigues(np.full(3, hue / math.sqrt(3)))  # about the axis of greys
    return saturate @ rotate


def _degrade(image: Photo, rng: np.random.Generator, shrunk: tuple[float, float]) -> Photo:
    """Shrink, recompress and enlarge again, in the order in which thumbnails come about."""
    size = image.shape[0]
    if rng.random() < SHRINK_CHANCE:
        side = min(size, max(SMALLEST, round(rng.uniform(*shrunk) * size)))
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    if rng.random() < RECOMPRESS_CHANCE:
        image = recompress(image, quality=int(rng.integers(*JPEG_QUALITY, endpoint=True)))
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)


def _erase(image: Photo, rng: np.random.Generator) -> None:
    """Fill a random rectangle with noise, in place, so that no single spot decides.

    Random Erasing (Zhong et al. 2020) with random values, the best of its fillings.
    """
    size = image.shape[0]
    area = rng.uniform(*ERASED_AREA) * size**2
    stretch = math.sqrt(_log_uniform(rng, ERASED_ASPECT))
    height, width = round(math.sqrt(area) * stretch), round(math.sqrt(area) / stretch)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    image[top : top + height, left : left + width] = noise


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A factor for which twice and half are equally likely."""
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))
