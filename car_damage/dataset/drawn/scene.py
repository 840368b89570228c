"""The picture, the meaning of its pixels, the camera, and the scene around a car."""

from dataclasses import dataclass

import cv2
import numpy as np

SCENE, PAINT, GLASS, TRIM = range(4)  # the values of `Drawing.parts`
OVERSAMPLING = 2  # size of the drawing, in photos: shrinking it gives smooth edges
SKIES, HAZE = "6898d6 96b0ce b0b8c0 807ea0", (222, 226, 230)
GROUNDS, WALLS = "5c5d60 6e6e70 5c6e42 9a9180 a09e98 beb096", "9e6852 cec6b8 969694 bea478"
Colour = tuple[int, ...]


@dataclass(frozen=True)
class Drawing:
    """`pixels` uint8 (height, width, 3) RGB, and `parts` uint8 (height, width).

    `camera` (3, 4) projects metres to pixels, and `eye` (3,) is its position. `x` runs from the
    car's front to its rear, `y` from the ground up, `z` from the car's middle to its near side.
    """

    pixels: np.ndarray
    parts: np.ndarray
    camera: np.ndarray
    eye: np.ndarray
    scale: float  # pixels per metre at the car's middle

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project `points` (n, 3) in metres to pixels, int32 (n, 2)."""
        seen = points @ self.camera[:, :3].T + self.camera[:, 3]
        return np.asarray(np.round(seen[:, :2] / seen[:, 2:]).astype(np.int32))

    def fill(self, outline: np.ndarray, colour: Colour, part: int = TRIM) -> None:
        """Fill the convex hull of `outline` (n, 3), in metres."""
        corners = cv2.convexHull(self.project(outline))
        cv2.fillPoly(self.pixels, [corners], colour)
        cv2.fillPoly(self.parts, [corners], part)

    def line(self, points: np.ndarray, colour: Colour, width: float) -> None:
        """Draw a line through `points` (n, 3), `width` metres thick. `parts` does not change."""
        thick = max(1, round(width * self.scale))
        cv2.polylines(self.pixels, [self.project(points)], False, colour, thick, cv2.LINE_AA)


def lit(colour: Colour, light: float) -> Colour:
    """`colour` under `light`; 1 leaves it unchanged."""
    return tuple(min(round(level * light), 255) for level in colour)


def pick(rng: np.random.Generator, codes: str) -> Colour:
    """Pick one of the hexadecimal colours `codes` at random, and vary it a little."""
    levels = np.array(list(bytes.fromhex(str(rng.choice(codes.split())))))
    varied = levels * rng.uniform(0.9, 1.1) + rng.normal(0, 4, 3)
    return tuple(np.clip(varied, 0, 255).astype(int).tolist())


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> np.ndarray:
    """Noise from 0 to 1, float32 of `shape` (height, width), with `cells` blobs each way."""
    coarse = rng.random((cells, cells), dtype=np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)


def draw_place(box: np.ndarray, rng: np.random.Generator) -> Drawing:
    """Draw an empty scene with `box` (n, 3) in the frame, at `OVERSAMPLING` times the size."""
    drawing = _aim(box, rng)
    height, width = drawing.parts.shape
    horizon = drawing.camera[:, :3] @ (drawing.camera[2, :3] * (1, 0, 1))
    row = round(np.clip(horizon[1] / horizon[2], 0.15 * height, 0.7 * height))
    sky, ground = np.array(pick(rng, SKIES)), np.array(pick(rng, GROUNDS))
    clouds = smooth_noise(rng, (row, width), 4) * rng.uniform(0, 0.8)
    share = np.maximum(np.linspace(0, 1, row)[:, None], clouds)[..., None]
    drawing.pixels[:row] = sky * (1 - share) + np.array(HAZE) * share
    patches = smooth_noise(rng, (height - row, width), 5)
    grain = smooth_noise(rng, (height - row, width), width // 5)
    tone = (0.75 + 0.25 * patches + 0.15 * grain)[..., None]
    drawing.pixels[row:] = np.clip(ground * tone, 0, 255)
    _paint_buildings(drawing.pixels[: row + height // 40], rng)
    drawing.pixels[:] = cv2.GaussianBlur(drawing.pixels, (0, 0), rng.uniform(1.5, 4))
    return drawing


def _aim(box: np.ndarray, rng: np.random.Generator) -> Drawing:
    """Make a black drawing whose camera looks at `box` from its near side."""
    width, angle, distance = rng.uniform(400, 560), rng.uniform(0.7, 2.44), rng.uniform(6.5, 12)
    size = OVERSAMPLING * np.round([width, width / rng.uniform(1.25, 1.8)]).astype(int)
    middle = box.mean(axis=0)
    eye = middle + distance * np.array([-np.cos(angle), rng.uniform(0.05, 0.15), np.sin(angle)])
    forward = (middle - eye) / np.linalg.norm(middle - eye)
    right = np.cross(forward, (0, 1, 0)) / np.linalg.norm(forward[[0, 2]])
    axes = np.stack([right, np.cross(forward, right), forward])
    seen = np.array([(x / depth, y / depth) for x, y, depth in (box - eye) @ axes.T])
    low, span = seen.min(axis=0), np.ptp(seen, axis=0)
    scale = rng.uniform(0.8, 1) * min((0.96, 0.8) * size / span)
    corner = (size - scale * span) * (rng.uniform(0.1, 0.9), rng.uniform(0.45, 0.65))
    lens = np.column_stack([np.diag([scale, scale, 1])[:, :2], [*(corner - scale * low), 1]])
    camera = lens @ np.column_stack([axes, -axes @ eye])
    blank = np.zeros((*size[::-1], 3), np.uint8)
    return Drawing(blank, blank[..., 0].copy(), camera, eye, scale / distance)


def _paint_buildings(above: np.ndarray, rng: np.random.Generator) -> None:
    """Paint a yard's wall of blocks, or a street's houses with rows of windows."""
    row, width = above.shape[:2]
    blocks, right = rng.random() < 0.4, 0
    while right < width:
        left, right = right, right + (width if blocks else round(width * rng.uniform(0.15, 0.4)))
        top, cell = round(row * rng.uniform(0, 0.97)), round(width / rng.integers(14, 25))
        wall = pick(rng, WALLS)
        pane, gap = (lit(wall, 1.12), 2) if blocks else ((70, 80, 92), cell // 4)
        above[top:, left:right] = wall
        for x in range(left + gap, right, cell):
            for y in range(top + gap, row, cell):
                window = above[y : y + cell - 2 * gap, x : x + cell - 2 * gap]
                window[:] = lit(pane, rng.uniform(0.95, 1.05))
