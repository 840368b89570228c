"""Draw scratches on close-ups of undamaged cars, because collected photos lack light damage.

Web photos of damage show crashes, but people send photos of scratches. From drawn scratches the
model learns that thin, irregular marks on plain paint are damage, and that gaps, handles and
reflections are not.
"""

import cv2
import numpy as np

from car_damage.photos import Photo

FINE = 2  # times the side: strokes are drawn larger and shrunk, which makes them smooth
LENGTH = (0.06, 0.6)  # of the side
WIDTHS = (1, 2, 2, 3, 4, 6)  # pixels on the fine grid at 224 px
STROKES = (1, 1, 2, 3, 6)  # parallel strokes, as from gravel or a key
SPREAD = (0.005, 0.04)  # of the side: the distance between strokes
POINTS = 24  # of each stroke
WOBBLE = 0.12  # radians from point to point, at most
TONE = (45, 140)  # levels lighter, like the primer, or darker, like dirt
BLUR = (0.4, 1.0)  # pixels
RELIEF_CHANCE = 0.4  # probability of a groove with a light and a dark edge
RELIEF = (20, 70)  # levels
RUB_OFF_CHANCE = 0.15  # probability of any other colour, like the paint of another car


def scratch(image: Photo, rng: np.random.Generator) -> Photo:
    """Draw one or two bundles of scratches on a copy of `image`, `uint8` (size, size, 3)."""
    scratched = image.astype(np.float32)
    for _ in range(rng.integers(1, 3)):
        opacity = _bundle(len(image), rng)
        if rng.random() < RELIEF_CHANCE:
            shifted = np.roll(opacity, (1, int(rng.integers(-1, 2))), axis=(0, 1))
            scratched += (shifted - opacity) * rng.uniform(*RELIEF) * rng.choice((-1, 1))
        scratched += opacity * rng.uniform(0.5, 1) * (_colour(image, opacity, rng) - scratched)
    return scratched.round().clip(0, 255).astype(np.uint8)


def _bundle(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw parallel strokes; return their opacity, float32 (size, size, 1)."""
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
    """Draw an irregular line that fades in and out, in place."""
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
    """Choose a colour lighter or darker than the paint under the strokes, or any colour."""
    if rng.random() < RUB_OFF_CHANCE:
        return rng.uniform(0, 255, 3)
    paint = (image * opacity).sum(axis=(0, 1)) / max(float(opacity.sum()), 1e-3)
    return np.clip(paint + rng.choice((-1, 1)) * rng.uniform(*TONE), 0, 255)
