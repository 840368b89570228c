"""Cars drawn in a few lines, which a small network learns within seconds."""

import cv2
import numpy as np

from tests.photo_files import jpeg, texture

WIDTH, HEIGHT = 200, 150


def simple_car(seed: int, damaged: bool) -> np.ndarray:
    """A car in front of coloured patches, with or without cracks: uint8 RGB (150, 200, 3)."""
    rng = np.random.default_rng([seed, damaged])
    picture = texture(2 * seed + damaged, WIDTH, HEIGHT)
    left, top = rng.integers(5, 40), rng.integers(25, 50)
    right, bottom = WIDTH - rng.integers(5, 40), HEIGHT - rng.integers(25, 40)
    paint = tuple(rng.integers(90, 230, 3).tolist())
    cv2.rectangle(picture, (left, top + 25), (right, bottom), paint, -1)
    cv2.rectangle(picture, (left + 30, top), (right - 30, top + 25), (90, 110, 130), -1)
    for x in (left + 30, right - 30):
        cv2.circle(picture, (int(x), int(bottom)), 14, (25, 25, 25), -1)
    if damaged:
        for _ in range(rng.integers(2, 5)):
            start = rng.integers((left + 5, top + 30), (right - 25, bottom - 5))
            steps = rng.integers(-12, 13, (6, 2)).cumsum(0)
            cv2.polylines(picture, [(start + steps).astype(np.int32)], False, (20, 20, 20), 2)
    return picture


def photo_of(seed: int, damaged: bool, light: float = 1.0) -> bytes:
    """A JPEG of such a car. With `light` below 1, it is darker."""
    return jpeg((simple_car(seed, damaged) * light).astype(np.uint8))
