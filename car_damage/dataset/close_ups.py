"""Cut close-ups from photos of undamaged cars.

Nearly all close-ups in collected photos show damage, so a model learns that close-ups are damaged.
Crops of undamaged cars, at the same resolution, teach it the opposite.
"""

import math
from pathlib import Path

import numpy as np

from car_damage import photos

SIDE = (0.35, 0.6)  # of the photo's shorter side: from about a wheel to about a door
MIDDLE = (0.2, 0.8)  # of each side: the range of a crop's centre, because cars are in the middle


def cut_close_ups(
    path: Path, count: int, size: int, rng: np.random.Generator
) -> list[photos.Photo]:
    """Cut `count` random crops from a photo, each scaled to `uint8` (size, size, 3).

    The photo is decoded just large enough that no crop has to be enlarged, if it has the pixels.
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
