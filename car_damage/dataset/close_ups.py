"""Undamaged close-ups, cut out of photos of undamaged cars.

Nearly every near view that people collect shows damage, so a model learns that close means
damaged. A crop of a whole, undamaged car says the opposite, at the same resolution.
"""

import math
from pathlib import Path

import numpy as np

from car_damage import photos

SIDE = (0.35, 0.6)  # of the photo's shorter side: about a wheel, up to about a door
MIDDLE = (0.2, 0.8)  # of each side: where a crop's centre lies, since cars stand in the middle


def cut_close_ups(
    path: Path, count: int, size: int, rng: np.random.Generator
) -> list[photos.Photo]:
    """Cut `count` random images out of a photo, each scaled to `uint8` (size, size, 3).

    The photo is decoded just large enough that no crop is enlarged where it has the pixels.
    """
    photo = photos.decode(path.read_bytes(), at_least=math.ceil(size / SIDE[0]))
    return [photos.fit(_crop(photo, rng), size) for _ in range(count)]


def _crop(photo: photos.Photo, rng: np.random.Generator) -> photos.Photo:
    height, width = photo.shape[:2]
    side = round(min(height, width) * rng.uniform(*SIDE))
    centre = rng.uniform(*MIDDLE, size=2) * (height, width)
    top = int(np.clip(centre[0] - side / 2, 0, height - side))
    left = int(np.clip(centre[1] - side / 2, 0, width - side))
    return np.ascontiguousarray(photo[top : top + side, left : left + side])
