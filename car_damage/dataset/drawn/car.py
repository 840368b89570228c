"""Draw an undamaged car in a scene. Its shape is in the metres of `Drawing`."""

from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from car_damage.dataset.drawn.scene import GLASS, PAINT, Colour, Drawing, draw_place, lit, pick

STYLES = (  # the bonnet's edge, windscreen's foot and head, rear window's head and foot, the tail
    ((0.06, 0.81), (1.32, 0.97), (2.02, 1.45), (3.15, 1.42), (3.95, 1.00), (4.70, 0.92)),  # saloon
    ((0.06, 0.81), (1.00, 0.97), (1.68, 1.50), (3.36, 1.46), (3.84, 0.99), (4.00, 0.90)),  # hatch
    ((0.06, 0.82), (1.27, 0.98), (1.97, 1.48), (4.23, 1.44), (4.60, 0.98), (4.70, 0.90)),  # estate
    ((0.08, 1.00), (1.24, 1.12), (1.84, 1.75), (4.14, 1.70), (4.50, 1.10), (4.60, 1.02)),  # SUV
    ((0.04, 0.94), (0.74, 1.12), (1.47, 2.00), (4.75, 1.95), (4.85, 1.10), (4.90, 1.00)),  # van
)
PAINTS = "e2e3e4 e2e3e4 b0b4b8 686d73 2c2e32 a81e20 244490 588cbc 22563c c4b08a dcb028"
DARK_GLASS, BLACK, CHROME = (34, 42, 50), (20, 20, 22), (190, 194, 198)
LOW, HALF_WIDTH = 0.2, 0.88  # of the body: above the ground, and from the middle to the side
CIRCLE = np.array(cv2.ellipse2Poly((0, 0), (500, 500), 0, 0, 360, 9)) / 500
FAR = (1, 1, -1)  # turns points on the near side into those on the far side


class Car(NamedTuple):
    """One car: its corners (2,) in x and y, as in `STYLES`, and its details."""

    nose: np.ndarray
    cowl: np.ndarray
    roof: np.ndarray
    roof_end: np.ndarray
    deck: np.ndarray
    tail: np.ndarray
    wheels: np.ndarray  # (2,): x of the axles
    doors: np.ndarray  # (3,): x of the doors' edges
    radius: float  # of the wheels
    paint: Colour
    bumpers: Colour

    def from_end(self, rear: bool, metres: float) -> float:
        """The x at this distance behind the front, or in front of the rear."""
        return float(self.tail[0]) - metres if rear else metres

    def side(self, points: object) -> np.ndarray:
        """Points (n, 3) on the near side for (n, 2) in x and y; it narrows to ends and roof."""
        x, y = np.asarray(points, float).T
        ends = np.clip(1 - np.minimum(x, self.tail[0] - x) / 0.35, 0, 1) ** 2
        above = np.clip((y - self.cowl[1]) / (self.roof[1] - self.cowl[1]), 0, 1)
        return np.stack([x, y, HALF_WIDTH * (1 - 0.12 * ends) * (1 - 0.17 * above)], axis=1)

    def disc(self, x: float, size: float) -> np.ndarray:
        """A circle (41, 3) around the near wheel at `x`, with `size` times its radius."""
        flat = CIRCLE * size * self.radius + (x, self.radius)
        return np.insert(flat, 2, HALF_WIDTH, axis=1)

    def outline(self) -> np.ndarray:
        """The outline (n, 3) of the near side, from the front over the roof to the rear."""
        front = [(0.12, LOW), (0, LOW + 0.1), (0, self.nose[1] - 0.2), self.nose]
        rear = [(self.tail[0], y) for y in (self.tail[1] - 0.15, LOW + 0.1)]
        points = np.array([*front, *self[1:6], *rear, (self.tail[0] - 0.12, LOW)])
        for _ in range(2):  # cut the corners: Chaikin's smooth curve (1974)
            cut = [share * points[:-1] + (1 - share) * points[1:] for share in (0.8, 0.2)]
            points = np.stack(cut, axis=1).reshape(-1, 2)
        return self.side(points)

    def band(self, rear: bool, low: float, high: float, depth: float, z: float) -> list[np.ndarray]:
        """A band around a near corner: outlines (4, 3) on the side and on the face."""
        side = [(self.from_end(rear, metres), y) for metres in (depth, 0.02) for y in (low, high)]
        face = [(self.from_end(rear, 0.02), y, aside) for aside in (z, 0.77) for y in (low, high)]
        return [self.side(side), np.array(face)]

    def bumper(self, rear: bool) -> list[np.ndarray]:
        """The outlines of a bumper, as from `band`."""
        overhang = self.from_end(rear, self.wheels[int(rear)]) - 1.2 * self.radius
        return self.band(rear, LOW, (LOW + self.nose[1]) / 2, overhang, -0.77)

    def seen_end(self, eye: np.ndarray) -> tuple[bool, int]:
        """Whether the end nearer to `eye` is the rear, and how many sides of it (1 or 2) show."""
        return bool(eye[0] > self.tail[0] / 2), 1 if 0 < eye[0] < self.tail[0] else 2


def draw_scene(rng: np.random.Generator) -> tuple[Drawing, Car]:
    """Draw a scene with an undamaged car, at `OVERSAMPLING` times the photo's size."""
    corners = np.array(STYLES[int(rng.integers(len(STYLES)))]) * rng.uniform(0.95, 1.05, 2)
    wheels, doors = corners[-1, 0] * np.array([0.175, 0.81]), corners[1, 0] + (0.08, 1.12, 2)
    radius, paint = 0.3 + 0.05 * corners[2, 1] * rng.uniform(0.4, 1), pick(rng, PAINTS)
    bumpers = (46, 47, 50) if rng.random() < 0.3 else lit(paint, 0.9)
    car = Car._make((*corners, wheels, doors, radius, paint, bumpers))
    drawing = draw_place(np.concatenate([car.outline(), car.outline() * FAR]), rng)
    _paint_car(drawing, car, rng)
    return drawing, car


def _paint_car(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """Paint the car and its shadow over the scene, from back to front."""
    _paint_below(drawing, car)
    _paint_shell(drawing, car)
    _paint_side(drawing, car, rng)
    _paint_windows(drawing, car)
    _paint_doors(drawing, car)
    rear, sides = car.seen_end(drawing.eye)
    _paint_end(drawing, car, not rear, 1)
    _paint_end(drawing, car, rear, sides)
    _paint_wheels(drawing, car, int(rng.choice([5, 8, 10])))


def _paint_below(drawing: Drawing, car: Car) -> None:
    """Paint the shadow on the ground, the tyres and the dark underbody."""
    foot = car.side([(0.1, LOW), (car.tail[0] - 0.1, LOW)])
    ground = np.concatenate([foot * (1, 0, 1.2), foot[::-1] * (1, 0, -1.5)])
    shade = cv2.fillPoly(np.zeros_like(drawing.parts), [drawing.project(ground)], 190)
    soft = cv2.blur(shade, (round(0.4 * drawing.scale),) * 2)
    drawing.pixels[:] = cv2.multiply(drawing.pixels, cv2.merge([255 - soft] * 3), scale=1 / 255)
    for x in car.wheels:
        for edges in ((-0.95, -0.72), (0.72, 0.97)):
            drawing.fill(np.concatenate([car.disc(x, 1) * (1, 1, z) for z in edges]), BLACK)
    drawing.fill(np.concatenate([foot, foot * FAR]), BLACK)


def _paint_shell(drawing: Drawing, car: Car) -> None:
    """Paint strips across the car, the farthest first: brighter towards the sky, or a window."""
    outline = car.outline()
    for i in np.argsort(-(outline[:-1] + outline[1:]) @ drawing.camera[2, :3]):
        start, way = outline[i], outline[i + 1] - outline[i]
        strip = np.array([start, start + way, start * FAR, (start + way) * FAR])
        light = 0.85 + 0.3 * way[0] / np.linalg.norm(way)
        drawing.fill(strip, lit(car.paint, float(light)), PAINT)
        if car.cowl[1] + 0.04 < start[1] + way[1] / 2 < car.roof[1] - 0.07:
            drawing.fill(strip * (1, 1, 0.88), lit(DARK_GLASS, 1.5), GLASS)


def _paint_side(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """The near side, whose lacquer mirrors a bright sky above a wavy horizon, and ground below."""
    mask = cv2.fillPoly(np.zeros_like(drawing.parts), [drawing.project(car.outline())], 1)
    rows, columns = np.nonzero(mask)
    plane = drawing.camera @ np.array([(1, 0, 0), (0, 1, 0), (0, 0, HALF_WIDTH), (0, 0, 1)])
    x, y, depth = np.linalg.inv(plane) @ (columns, rows, np.ones(len(rows)))
    x, y = x / depth, y / depth
    horizon = np.interp(x, np.linspace(0, car.tail[0], 9), rng.uniform(0.42, 0.6, 9))
    sky = np.clip((y - horizon) * rng.uniform(5, 20), 0, 1)
    shoulder = np.clip(1 - np.abs(y - car.cowl[1] + 0.1) / 0.1, 0, 1)
    shade = 0.62 + 0.13 * y + 0.22 * sky + 0.2 * shoulder
    drawing.pixels[rows, columns] = np.clip(np.array(car.paint) * shade[:, None], 0, 255)
    drawing.parts[rows, columns] = PAINT


def _paint_windows(drawing: Drawing, car: Car) -> None:
    """Paint the side windows: dark glass that reflects the sky in its upper half."""
    y = np.array([car.cowl[1] + 0.02, car.roof[1] - 0.1])
    front = np.interp(y, (car.cowl[1], car.roof[1]), (car.cowl[0], car.roof[0])) + 0.13
    back = np.interp(y, (car.cowl[1], car.roof[1]), (car.deck[0], car.roof_end[0])) - 0.16
    for start, end in pairwise((-1, *car.doors[1:], 9)):
        left, right = np.clip(start + 0.04, front, back), np.clip(end - 0.04, front, back)
        if (right - left).max() > 0.15:
            pane = car.side(np.stack([[*left, *right[::-1]], y[[0, 1, 1, 0]]], axis=1))
            drawing.fill(pane, DARK_GLASS, GLASS)
            middle = pane[[0, 3]] + (pane[[1, 2]] - pane[[0, 3]]) * ((0.6,), (0.3,))
            drawing.fill(np.concatenate([middle, pane[1:3]]), lit(DARK_GLASS, 1.9), GLASS)
            drawing.line(pane[[0, 1, 2, 3, 0]], BLACK, 0.03)


def _paint_doors(drawing: Drawing, car: Car) -> None:
    """Paint door gaps, handles, the sill, wheel arches and a mirror."""
    (first, middle, last), dark = car.doors, lit(car.paint, 0.45)
    low, waist = LOW + 0.12, car.cowl[1]
    gaps = [(first, waist), (first, low), (last, low), (last, waist), (last, low), (middle, low)]
    drawing.line(car.side([*gaps, (middle, waist)]), dark, 0.015)
    for x in (middle, last):
        drawing.line(car.side([(x - 0.26, waist - 0.12), (x - 0.08, waist - 0.12)]), dark, 0.04)
    drawing.line(car.side([(0.4, LOW + 0.03), (car.tail[0] - 0.4, LOW + 0.03)]), BLACK, 0.07)
    for x in car.wheels:
        drawing.fill(np.maximum(car.disc(x, 1.17), (0, LOW, 0)), BLACK)
    corners = [(x, y, z) for x in (0.28, 0.42) for y in (0, 0.13) for z in (0, 0.16)]
    drawing.fill(np.add(corners, (*car.cowl, HALF_WIDTH)), lit(car.paint, 0.7))


def _paint_end(drawing: Drawing, car: Car, rear: bool, sides: int) -> None:
    """Paint bumper and lamps, and on the face also number plate, intake and grille."""
    for part in car.bumper(rear)[:sides]:
        drawing.fill(part, car.bumpers, PAINT)
        drawing.line(part[[1, 3]], lit(car.bumpers, 0.5), 0.015)
    nose, top = car.nose[1], car.tail[1] - 0.12 if rear else car.nose[1] - 0.06
    side, face = car.band(rear, top - 0.18, top, 0.3, 0.45)
    for lamp in (side, face, face * FAR)[: 2 * sides - 1]:
        drawing.fill(lamp, (168, 24, 26) if rear else CHROME)
        inner = lamp.mean(axis=0) + (lamp - lamp.mean(axis=0)) * 0.6
        drawing.fill(inner, (214, 60, 52) if rear else (226, 232, 238))
    parts = [(LOW + 0.06, LOW + 0.17, 0.55, BLACK), (LOW + 0.2, LOW + 0.31, 0.26, (225,) * 3)]
    parts += [] if rear else [(nose - 0.22, nose - 0.08, 0.43, BLACK)]
    for low, high, half_width, colour in parts[: 3 * sides - 3]:
        face = car.band(rear, low, high, 0, -0.77)[1]
        drawing.fill(face * (1, 1, half_width / 0.77), colour)


def _paint_wheels(drawing: Drawing, car: Car, spokes: int) -> None:
    """Paint tyre, rim and spokes of the near wheels."""
    for x in car.wheels:
        drawing.fill(car.disc(x, 1), (30, 30, 32))
        drawing.line(car.disc(x, 0.67), CHROME, 0.035)
        for tip in car.disc(x, 0.67)[:: 40 // spokes]:
            drawing.line(np.array([(x, car.radius, HALF_WIDTH), tip]), CHROME, 0.05)
