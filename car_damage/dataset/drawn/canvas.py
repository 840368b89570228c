"""What is drawn on, and the camera that says where a point in space lands on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SCENE, PAINT, GLASS, LAMP, TRIM = range(5)  # what a pixel of `Canvas.parts` shows
FRACTION_BITS = 4  # OpenCV takes coordinates as whole sixteenths of a pixel

Colour = tuple[int, int, int]
Point = np.ndarray | Sequence[float]
Points = np.ndarray | Sequence[Point]


@dataclass(frozen=True)
class Canvas:
    """`pixels` uint8 (height, width, 3) RGB, and `parts` uint8 (height, width): what they show."""

    pixels: np.ndarray
    parts: np.ndarray

    @classmethod
    def blank(cls, width: int, height: int) -> "Canvas":
        """A black canvas."""
        return cls(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8))

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    def fill(self, outline: Points, colour: Colour, part: int) -> None:
        """Fill the polygon `outline` (n, 2), in pixels."""
        points = [to_fixed(outline)]
        cv2.fillPoly(self.pixels, points, colour, cv2.LINE_8, FRACTION_BITS)
        cv2.fillPoly(self.parts, points, part, cv2.LINE_8, FRACTION_BITS)

    def line(self, points: Points, colour: Colour, thickness: float, closed: bool = False) -> None:
        """Draw a line through `points` (n, 2), in pixels; it changes no part."""
        lines, thick = [to_fixed(points)], max(1, round(thickness))
        cv2.polylines(self.pixels, lines, closed, colour, thick, cv2.LINE_AA, FRACTION_BITS)

    def mask(self, outline: Points) -> np.ndarray:
        """The polygon `outline` (n, 2) as uint8 (height, width): 255 inside, 0 outside."""
        mask = np.zeros_like(self.parts)
        cv2.fillPoly(mask, [to_fixed(outline)], 255, cv2.LINE_8, FRACTION_BITS)
        return mask

    def soft_mask(self, outlines: Sequence[Points], softness: float) -> np.ndarray:
        """As `mask`, for several polygons, blurred by a Gaussian of `softness` pixels."""
        mask = np.zeros_like(self.parts)
        cv2.fillPoly(mask, [to_fixed(line) for line in outlines], 255, cv2.LINE_8, FRACTION_BITS)
        small = cv2.GaussianBlur(
            mask[::4, ::4], (0, 0), softness / 4
        )  # a blur of that size is slow
        return cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR)

    def blend(self, colour: Colour, share: np.ndarray) -> None:
        """Lay `colour` over the pixels, as thickly as `share` says: uint8 (height, width)."""
        left, top, width, height = cv2.boundingRect(share)
        area = np.s_[top : top + height, left : left + width]
        above = share[area][..., None].astype(np.uint16)
        below = self.pixels[area].astype(np.uint16) * (255 - above)
        self.pixels[area] = (below + np.array(colour, np.uint16) * above) // 255


@dataclass(frozen=True)
class Camera:
    """A pinhole camera as a (3, 4) projection from metres to pixels.

    `x` runs along the car from front to rear, `y` up, `z` from the car's middle to the near side.
    """

    matrix: np.ndarray

    def project(self, points: Points) -> np.ndarray:
        """Pixels (n, 2) of `points` (n, 3) in metres; what lies behind the camera is put before."""
        spatial = np.asarray(points, float)
        seen = spatial @ self.matrix[:, :3].T + self.matrix[:, 3]
        return np.asarray(seen[:, :2] / np.maximum(seen[:, 2:], 0.3))

    def depth(self, points: Points) -> np.ndarray:
        """How far (n,) in front of the camera `points` (n, 3) lie, in metres."""
        return np.asarray(np.asarray(points, float) @ self.matrix[2, :3] + self.matrix[2, 3])

    def framed(self, points: Points, centre: Point, width: float) -> "Camera":
        """The same view, enlarged and shifted so that `points` span `width` about `centre`."""
        seen = self.project(points)
        low, high = seen.min(axis=0), seen.max(axis=0)
        scale = width / (high[0] - low[0])
        shift = np.asarray(centre, float) - scale * (low + high) / 2
        lens = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])
        return Camera(lens @ self.matrix)


def look_at(position: Point, target: Point, roll: float) -> Camera:
    """A camera at `position` (3,) that looks at `target` (3,), turned by `roll` radians."""
    eye = np.asarray(position, float)
    forward = np.asarray(target, float) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    turned = np.cos(roll) * right + np.sin(roll) * down
    axes = np.stack([turned, np.cross(forward, turned), forward])
    return Camera(np.column_stack([axes, -axes @ eye]))


def to_fixed(points: Points) -> np.ndarray:
    """Points in pixels as OpenCV's drawing functions take them."""
    return np.round(np.asarray(points, float) * (1 << FRACTION_BITS)).astype(np.int32)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]
) -> np.ndarray:
    """Noise from 0 to 1 as float32 `shape` (height, width), with about `cells` blobs each way."""
    coarse = rng.random(cells, dtype=np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def any_colour(rng: np.random.Generator) -> Colour:
    """Draw a colour, neither black nor white."""
    red, green, blue = rng.integers(30, 226, 3).tolist()
    return red, green, blue


def lit(colour: Colour, light: float) -> Colour:
    """`colour` under `light`, where 1 leaves it as it is and more turns it towards white."""
    if light > 1:
        return mixed(colour, (255, 255, 255), min((light - 1) * 0.7, 0.9))
    return mixed((0, 0, 0), colour, max(light, 0.0))
