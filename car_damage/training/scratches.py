"""Scratches drawn on undamaged cars, up close: the light damage that collections lack.

Web photos of damage show crashes; what people send are scratches. Drawn ones teach that thin,
irregular marks on plain paint are damage, and gaps, handles and reflections are not.
"""

import cv2
import numpy as np

from car_damage.photos import Photo

FINE = 2  # times the side at which strokes are drawn, so that they come out smooth
LENGTH = (0.06, 0.6)  # of the side
WIDTHS = (1, 2, 2, 3, 4, 6)  # pixels on the fine grid at 224 px
STROKES = (1, 1, 2, 3, 6)  # beside one another, as from gravel or a key
SPREAD = (0.005, 0.04)  # of the side, how far strokes lie apart
POINTS = 24  # of each stroke
WOBBLE = 0.12  # radians from point to point, at most
TONE = (45, 140)  # levels lighter, down to the primer, or darker, as dirt in it
BLUR = (0.4, 1.0)  # pixels
RELIEF_CHANCE = 0.4  # that a stroke is dented and has a light and a dark edge
RELIEF = (20, 70)  # levels
RUB_OFF_CHANCE = 0.15  # that it has a colour of its own: the other car's paint


def scratch(image: Photo, rng: np.random.Generator) -> Photo:
    """A new array: `image`, `uint8` (size, size, 3), with one or two bundles of scratches."""
    scratched = image.astype(np.float32)
    for _ in range(rng.integers(1, 3)):
        opacity = _bundle(len(image), rng)
        if rng.random() < RELIEF_CHANCE:
            shifted = np.roll(opacity, (1, int(rng.integers(-1, 2))), axis=(0, 1))
            scratched += (shifted - opacity) * rng.uniform(*RELIEF) * rng.choice((-1, 1))
        scratched += opacity * rng.uniform(0.5, 1) * (_colour(image, opacity, rng) - scratched)
    return scratched.round().clip(0, 255).astype(np.uint8)


def _bundle(size: int, rng: np.random.Generator) -> np.ndarray:
    """Strokes beside one another: opacity, float32 (size, size, 1)."""
    side = FINE * size
    fine = np.zeros((side, side), np.float32)
    length = np.exp(rng.uniform(*np.log(LENGTH))) * side
    direction, middle = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8, 2) * side
    across = np.array([-np.sin(direction), np.cos(direction)])
    apart = rng.uniform(*SPREAD) * side
    for _ in range(rng.choice(STROKES)):
        _stroke(fine, middle + across * rng.normal(0, apart), direction, length, rng)
    opacity = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        opacity = cv2.GaussianBlur(opacity, (0, 0), rng.uniform(*BLUR))
    return opacity[:, :, np.newaxis]


def _stroke(
    fine: np.ndarray, middle: np.ndarray, direction: float, length: float, rng: np.random.Generator
) -> None:
    """Draw an irregular line that fades and sets in again, in place."""
    turns = np.cumsum(rng.normal(0, rng.uniform(0, WOBBLE), POINTS))
    steps = np.stack([np.cos(direction + turns), np.sin(direction + turns)], axis=1)
    points = np.cumsum(steps * length / POINTS, axis=0)
    points += middle - points.mean(axis=0)
    opacities = np.clip(rng.uniform(0.6, 1) + np.cumsum(rng.normal(0, 0.15, POINTS)), 0, 1)
    width = max(1, round(int(rng.choice(WIDTHS)) * len(fine) / (FINE * 224)))
    first = int(rng.integers(0, POINTS // 2))
    for start, end, opacity in zip(points[first:], points[first + 1 :], opacities, strict=False):
        ends = tuple(map(int, start)), tuple(map(int, end))
        cv2.line(fine, *ends, float(opacity), width, cv2.LINE_AA)


def _colour(image: Photo, opacity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Float (3,): lighter or darker than the paint under the strokes, or any colour."""
    if rng.random() < RUB_OFF_CHANCE:
        return rng.uniform(0, 255, 3)
    paint = (image * opacity).sum(axis=(0, 1)) / max(float(opacity.sum()), 1e-3)
    return np.clip(paint + rng.choice((-1, 1)) * rng.uniform(*TONE), 0, 255)
