"""Pictures without a car, which should be unfamiliar: drawn, or from installed packages.

`kinds()` gives them all, the same on every call: 244 pictures in a few seconds.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage
from sklearn.datasets import load_sample_images

from car_damage.dataset.drawn.scene import draw_place, smooth_noise
from car_damage.photos import Photo, decode

WIDTH, HEIGHT = 400, 300  # pixels
SEEN_TWICE = {"chessboard_GRAY.png", "motorcycle_right.png"}  # of scikit-image's samples
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_DUPLEX)
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz      "))


def kinds() -> dict[str, list[Photo]]:
    """Every picture, `uint8` RGB (height, width, 3), by the kind of thing that it shows."""
    return {
        "scene": _drawn(_scene, 60),
        "noise": _drawn(_noise, 50),
        "text": _drawn(_text_page, 50),
        "texture": _drawn(_texture, 50),
        "plain": list(_plain()),
        "sample": list(_samples()),
    }


def _drawn(draw: Callable[[int, np.random.Generator], Photo], count: int) -> list[Photo]:
    return [draw(number, np.random.default_rng([number, count])) for number in range(count)]


def _scene(number: int, rng: np.random.Generator) -> Photo:
    """A place where a drawn car could stand, without it."""
    place = draw_place(np.array([(0, 0.2, 0.9), (4.5, 1.5, -0.9)]), rng)
    return cv2.resize(place.pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _noise(number: int, rng: np.random.Generator) -> Photo:
    """Noise of every pixel for itself, in grey or in colour, or of blobs up to half the width."""
    channels = 1 if number % 2 else 3
    cell = int(2 ** rng.integers(0, 8))
    shape = (max(2, HEIGHT // cell), max(2, WIDTH // cell), channels)
    mean, deviation = rng.uniform(60, 190), rng.uniform(15, 90)
    coarse = rng.normal(mean, deviation, shape).clip(0, 255).astype(np.uint8)
    fine = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.repeat(fine[:, :, None], 3, axis=2) if channels == 1 else fine


def _text_page(number: int, rng: np.random.Generator) -> Photo:
    """A page of dark lines of letters on light paper, every third with a table's rules."""
    paper, ink = int(rng.integers(200, 256)), int(rng.integers(0, 90))
    page = np.full((HEIGHT, WIDTH, 3), paper, np.uint8)
    scale = rng.uniform(0.35, 0.9)
    spacing = round(36 * scale)
    for y in range(spacing, HEIGHT, spacing):
        line = "".join(rng.choice(LETTERS, int(rng.integers(10, 80))))
        font = FONTS[number % len(FONTS)]
        cv2.putText(page, line, (12, y), font, scale, (ink,) * 3, 1, cv2.LINE_AA)
    if number % 3 == 0:
        page[:: 2 * spacing] = ink
        page[:, :: WIDTH // 4] = ink
    return page


def _texture(number: int, rng: np.random.Generator) -> Photo:
    """Stripes, checks, bricks, a gradient or grainy ground, turned and tinted."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
    along, across = (
        np.cos(angle) * x + np.sin(angle) * y,
        np.cos(angle) * y - np.sin(angle) * x,
    )
    share = (
        np.sin(along * 2 * np.pi / period) / 2 + 0.5,
        ((along // period + across // period) % 2),
        ((y % period < 3) | ((x + (y // period % 2) * period) % (2 * period) < 3)),
        x / WIDTH,
        smooth_noise(rng, (HEIGHT, WIDTH), 8) * 0.6 + rng.random((HEIGHT, WIDTH)) * 0.4,
    )[number % 5]
    first, second = rng.uniform(0, 256, (2, 3))
    return (first + (second - first) * share[:, :, None]).astype(np.uint8)


def _plain() -> Iterator[Photo]:
    """One colour all over: black, greys, white and some tints."""
    for colour in (0, 40, 128, 200, 255, (160, 30, 30), (30, 60, 150), (210, 190, 150)):
        yield np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def _samples() -> Iterator[Photo]:
    """Sample photos that the wheels of scikit-image and scikit-learn hold."""
    folder = Path(skimage.__file__).parent / "data"
    for path in sorted([*folder.glob("*.png"), *folder.glob("*.jpg")]):
        if path.name not in SEEN_TWICE:
            yield decode(path.read_bytes())
    yield from load_sample_images().images
