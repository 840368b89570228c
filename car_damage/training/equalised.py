"""Squares that no longer show how large, sharp or compressed their photos were.

Photos of damage are mostly thumbnails and photos of whole cars mostly are not, so a classifier may
tell the photos apart and not the cars. What it still tells here, it tells by the car.
"""

import cv2

from car_damage.photos import Photo
from car_damage.training.augmentation import recompress

SIDE = 160  # pixels: less than both sides of nearly every photo, thumbnails too, so that all lose
QUALITY = 75  # libjpeg's own default


def equalise(square: Photo) -> Photo:
    """The square, `uint8` (size, size, 3), shrunk to `SIDE`, compressed and enlarged again."""
    size = square.shape[0]
    side = min(SIDE, size)
    shrunk = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(recompress(shrunk, QUALITY), (size, size), interpolation=cv2.INTER_LINEAR)
