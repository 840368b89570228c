"""Painting a car: a side profile swept across its width, strip by strip, then panel by panel."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np

from car_damage.dataset.drawn.canvas import (
    GLASS,
    LAMP,
    PAINT,
    TRIM,
    Camera,
    Canvas,
    Colour,
    Point,
    Points,
    any_colour,
    lit,
    mixed,
    smooth_noise,
)
from car_damage.dataset.drawn.car import CHROME, Car

GLASS_DARK: Colour = (34, 42, 50)
TYRE: Colour = (24, 24, 26)
PLASTIC: Colour = (46, 47, 50)
LENS: Colour = (196, 204, 210)
TAIL_LAMP: Colour = (170, 20, 24)
DIRT: Colour = (112, 94, 70)
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 40)), np.sin(np.linspace(0, 2 * np.pi, 40))], 1)


@dataclass(frozen=True)
class Light:
    """Where the light comes from and how hard it is."""

    sun: np.ndarray  # (2,) in x and y, of length 1
    ambient: float
    direct: float
    shadow: float  # how dark the shadow below the car is, 0 to 1


@dataclass(frozen=True)
class DrawnCar:
    """A car on a canvas: what drawing it takes, and where on the canvas its parts came to lie."""

    canvas: Canvas
    camera: Camera
    car: Car
    light: Light
    lamps: list[np.ndarray] = field(default_factory=list)  # outlines (n, 2) in pixels
    bumpers: list[np.ndarray] = field(default_factory=list)
    corners: list[np.ndarray] = field(default_factory=list)  # (2,): where a crash would hit

    @cached_property
    def size(self) -> float:
        """The longer of the car's sides on the canvas, in pixels."""
        ends = self.side(
            [(0, 0), (self.car.length, 0), (0, self.car.height), (self.car.length, self.car.height)]
        )
        far = self.across([0.0, self.car.length], [0.5, 0.5], [-1.0, -1.0])
        seen = np.concatenate([ends, far])
        return float(np.ptp(seen, axis=0).max())

    def side(self, points: Points) -> np.ndarray:
        """Pixels (n, 2) of points (n, 2) in x and y on the side that is seen."""
        x, y = np.asarray(points, float).T
        return self.camera.project(np.stack([x, y, self.car.half_width_at(x, y)], axis=1))

    def across(self, x: Point, y: Point, share: Point) -> np.ndarray:
        """Pixels (n, 2) of points at a `share` (-1 to 1, n) of the car's width."""
        along, up = np.asarray(x, float), np.asarray(y, float)
        aside = np.asarray(share) * self.car.half_width_at(along, up)
        return self.camera.project(np.stack([along, up, aside], axis=1))

    def end(self, rear: bool, points: Points) -> np.ndarray:
        """Pixels (n, 2) of points (n, 2), in shares of the width and y, on the front or rear."""
        share, y = np.asarray(points, float).T
        profile = self.car.profile
        half = profile[-1 - len(profile) // 4 :][::-1] if rear else profile[: len(profile) // 3]
        return self.across(np.interp(y, half[:, 1], half[:, 0]), y, share)

    def end_is_seen(self, rear: bool) -> bool:
        """Whether the camera sees the front, or the rear."""
        low, high = self.car.clearance + 0.1, self.car.nose * 0.8
        outline = self.end(rear, [(-1, low), (-1, high), (1, high), (1, low)])
        return (_area(outline) > 0) != rear

    def line_width(self, metres: float) -> float:
        """How many pixels wide a line of this width is."""
        return metres * self.size / self.car.length


def _area(outline: np.ndarray) -> float:
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


def paint_car(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """Paint the whole car; fills `drawn.lamps`, `drawn.bumpers` and `drawn.corners`."""
    _paint_tyres(drawn)
    _paint_shell(drawn)
    _paint_panes_across(drawn)
    _paint_side(drawn, rng)
    for rear in (False, True):
        _paint_bumper(drawn, rear)
        if drawn.end_is_seen(rear):
            _paint_end(drawn, rear, rng)
        _paint_side_lamp(drawn, rear)
    for x in drawn.car.wheels:
        _paint_wheel(drawn, x)
    _paint_mirror(drawn)
    _paint_dirt_and_stickers(drawn, rng)


def _paint_tyres(drawn: DrawnCar) -> None:
    """The tyres below the body; the near ones get their rims once the body stands before them."""
    car = drawn.car
    rim = CIRCLE * car.wheel_radius
    for x in car.wheels:
        for inner, outer in ((-0.97, -0.72), (0.72, 0.97)):
            depth = np.concatenate([np.full(len(rim), inner), np.full(len(rim), outer)])
            points = np.add(np.concatenate([rim, rim]), (x, car.wheel_radius))
            tyre = drawn.camera.project(np.column_stack([points, depth * car.half_width]))
            drawn.canvas.fill(cv2.convexHull(tyre.astype(np.float32))[:, 0], TYRE, TRIM)
    belly = [(0.1, car.clearance), (car.length - 0.1, car.clearance)]
    x, y = np.array(belly + belly[::-1]).T
    drawn.canvas.fill(drawn.across(x, y, [0.9, 0.9, -0.9, -0.9]), (14, 14, 15), TRIM)


def _paint_shell(drawn: DrawnCar) -> None:
    """The strips that run across the car, the farthest first, shaded by how they face the light."""
    profile = drawn.car.profile
    low, high = profile[:-1], profile[1:]
    near = drawn.side(profile)
    far = drawn.across(profile[:, 0], profile[:, 1], np.full(len(profile), -1.0))
    middle = np.column_stack([(low + high) / 2, np.zeros(len(low))])
    along = high - low
    normal = np.column_stack([-along[:, 1], along[:, 0]]) / np.linalg.norm(along, axis=1)[:, None]
    facing = np.clip(normal @ drawn.light.sun, 0, 1)
    bright = drawn.light.ambient + 0.25 * np.clip(normal[:, 1], -0.5, 1)
    bright = bright + drawn.light.direct * facing
    for i in np.argsort(-drawn.camera.depth(middle)):
        strip = np.array([near[i], near[i + 1], far[i + 1], far[i]])
        if _area(strip) < 0:
            drawn.canvas.fill(strip, lit(drawn.car.paint, float(bright[i])), PAINT)


def _paint_panes_across(drawn: DrawnCar) -> None:
    """Windscreen and rear window."""
    car = drawn.car
    panes = (
        (car.cowl, (car.roof[0], car.height * 0.985)),
        (car.deck, (car.roof[1], car.height * 0.975)),
    )
    for rear, (foot, head) in enumerate(panes):
        share = np.array([0.10, 0.90]) if not rear else np.array([0.18, 0.86])
        x, y = (np.outer(share, np.subtract(head, foot)) + foot).T
        corners = drawn.across(x[[0, 1, 1, 0]], y[[0, 1, 1, 0]], [-0.88, -0.86, 0.86, 0.88])
        if (_area(corners) > 0) != bool(rear):
            drawn.canvas.fill(corners, lit(GLASS_DARK, 0.6 + drawn.light.ambient * 0.7), GLASS)
            glare = corners[[0, 1, 1, 0]] * 0.45 + corners[[3, 2, 2, 3]] * 0.55
            glare[:2] += (corners[3] - corners[0]) * 0.12
            glare[2:] -= (corners[3] - corners[0]) * 0.12
            drawn.canvas.fill(glare, lit(GLASS_DARK, 1.2 + drawn.light.ambient * 0.2), GLASS)
            drawn.canvas.line(corners, (16, 17, 18), drawn.line_width(0.02), closed=True)


def _paint_side(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """The near side: lacquer that mirrors sky and ground, windows, doors, sill and arches."""
    car, canvas = drawn.car, drawn.canvas
    outline = drawn.side(car.profile)
    colour = lit(car.paint, drawn.light.ambient + 0.15)
    canvas.fill(outline, colour, PAINT)
    _reflect(drawn, canvas.mask(outline), rng)
    sill = [
        (0.3, car.clearance + 0.07),
        (car.length - 0.3, car.clearance + 0.07),
        (car.length - 0.3, car.clearance - 0.01),
        (0.3, car.clearance - 0.01),
    ]
    canvas.fill(drawn.side(sill), PLASTIC, TRIM)
    _paint_side_windows(drawn)
    _paint_doors(drawn, lit(colour, 0.45))
    for x in car.wheels:
        angles = np.linspace(-0.35, np.pi + 0.35, 24)
        arch = np.stack([np.cos(angles), np.sin(angles)], axis=1) * car.wheel_radius * 1.17
        canvas.fill(drawn.side(np.add(arch, (x, car.wheel_radius))), (12, 12, 13), TRIM)


def _reflect(drawn: DrawnCar, mask: np.ndarray, rng: np.random.Generator) -> None:
    """Brighten and darken the side as lacquer does: sky above a wavy horizon, ground below it."""
    car = drawn.car
    rows, columns = 64, 160
    height = np.linspace(1, 0, rows, dtype=np.float32)[:, None]
    waves = smooth_noise(rng, (1, columns), (1, int(rng.integers(4, 12))))
    horizon = rng.uniform(0.26, 0.38) + 0.12 * (waves - 0.5)
    sky = 1 / (1 + np.exp(-(height - horizon) * rng.uniform(18, 60)))
    shoulder = np.exp(-(((height - car.waist / car.height + 0.07) / 0.045) ** 2))
    blotches = smooth_noise(rng, (rows, columns), (3, 8)) - 0.5
    shade = 0.60 + 0.25 * height + 0.33 * sky + 0.22 * shoulder + rng.uniform(0, 0.25) * blotches
    texture = np.round(np.clip(shade, 0.3, 1.9) * 128).astype(np.uint8)
    left, top, width, rows_below = cv2.boundingRect(mask)
    area = np.s_[top : top + rows_below, left : left + width]
    corners = drawn.side([(0, car.height), (car.length, car.height), (car.length, 0), (0, 0)])
    source = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float32)
    plane = cv2.getPerspectiveTransform(source, (corners - (left, top)).astype(np.float32))
    shade = cv2.warpPerspective(
        texture, plane, (width, rows_below), borderMode=cv2.BORDER_REPLICATE
    )
    shaded = cv2.multiply(drawn.canvas.pixels[area], cv2.merge([shade] * 3), scale=1 / 128)
    cv2.copyTo(shaded, mask[area], drawn.canvas.pixels[area])


def _paint_side_windows(drawn: DrawnCar) -> None:
    car = drawn.car
    low, high = car.waist + 0.02, car.height - 0.10
    front = _x_on(car.cowl, (car.roof[0], car.height), (low, high)) + 0.13
    rear = _x_on(car.deck, (car.roof[1], car.height), (low, high)) - 0.16
    edges = (-1.0, *car.pillars, car.length + 1)
    for start, end in pairwise(edges):
        left = np.clip(start + 0.04, front, rear)
        right = np.clip(end - 0.04, front, rear)
        if (right - left).max() > 0.15:
            _paint_pane(drawn, left, right, low, high)


def _x_on(
    foot: tuple[float, float], head: tuple[float, float], y: tuple[float, float]
) -> np.ndarray:
    """Where the line from `foot` to `head` has the heights `y`: x (n,)."""
    return foot[0] + (np.array(y) - foot[1]) * (head[0] - foot[0]) / (head[1] - foot[1])


def _paint_pane(
    drawn: DrawnCar, left: np.ndarray, right: np.ndarray, low: float, high: float
) -> None:
    corners = [(left[0], low), (left[1], high), (right[1], high), (right[0], low)]
    pane = drawn.side(corners)
    dark = lit(GLASS_DARK, 0.55 + drawn.light.ambient * 0.5)
    drawn.canvas.fill(pane, dark, GLASS)
    upper = np.array(
        [pane[0] * 0.45 + pane[1] * 0.55, pane[1], pane[2], pane[3] * 0.3 + pane[2] * 0.7]
    )
    drawn.canvas.fill(upper, lit(GLASS_DARK, 0.9 + drawn.light.ambient * 0.6), GLASS)
    drawn.canvas.line(pane, (16, 17, 18), drawn.line_width(0.03), closed=True)


def _paint_doors(drawn: DrawnCar, colour: Colour) -> None:
    car = drawn.car
    width = drawn.line_width(0.014)
    for number, x in enumerate(car.doors):
        foot = max(car.clearance + 0.12, 0.0)
        drawn.canvas.line(drawn.side([(x, foot), (x + 0.03, car.waist)]), colour, width)
        if number:
            handle = [(x - 0.26, car.waist - 0.12), (x - 0.08, car.waist - 0.115)]
            drawn.canvas.line(drawn.side(handle), colour, drawn.line_width(0.045))
            drawn.canvas.line(drawn.side(handle), lit(car.paint, 1.3), drawn.line_width(0.02))
    sides = [(car.doors[0], car.clearance + 0.12), (car.doors[-1], car.clearance + 0.12)]
    drawn.canvas.line(drawn.side(sides), colour, width)
    crease = [(car.wheels[0] + 0.4, car.waist - 0.2), (car.wheels[1] + 0.1, car.waist - 0.19)]
    drawn.canvas.line(drawn.side(crease), lit(colour, 1.4), width)


def _paint_bumper(drawn: DrawnCar, rear: bool) -> None:
    """The bumper's side and, where it is seen, its face; it goes into `drawn.bumpers`."""
    car = drawn.car
    reach = car.wheel_radius * 1.2
    low, high = car.clearance, car.clearance + (car.nose - car.clearance) * 0.48
    x = (car.wheels[1] + reach, car.length - 0.02) if rear else (0.02, car.wheels[0] - reach)
    parts = [drawn.side([(x[0], low), (x[0], high), (x[1], high), (x[1], low)])]
    if drawn.end_is_seen(rear):
        parts.append(drawn.end(rear, [(-1, low), (-1, high), (1, high), (1, low)]))
    tone = PLASTIC if car.plastic_bumpers else lit(car.paint, 0.9 * drawn.light.ambient)
    for number, part in enumerate(parts):
        if car.plastic_bumpers:
            drawn.canvas.fill(part, lit(tone, 1.0 if number else 1.15), PAINT)
        drawn.canvas.line(part[1:3], lit(tone, 0.5), drawn.line_width(0.014))
    hull = cv2.convexHull(np.concatenate(parts).astype(np.float32))[:, 0]
    drawn.bumpers.append(hull)
    drawn.corners.append(parts[0][2 if rear else 1])


def _paint_end(drawn: DrawnCar, rear: bool, rng: np.random.Generator) -> None:
    """Lamps, grille or boot edge, lower intake and number plate."""
    car, canvas = drawn.car, drawn.canvas
    top = car.tail if rear else car.nose
    low, high = (top - 0.34, top - 0.12) if rear else (top - 0.25, top - 0.10)
    shade = lit(car.paint, 0.4 * drawn.light.ambient)
    if rear:
        edge = drawn.end(rear, [(-0.8, top - 0.06), (0.8, top - 0.06)])
        canvas.line(edge, shade, drawn.line_width(0.015))
    else:
        grille = drawn.end(rear, [(-0.45, low), (-0.5, high), (0.5, high), (0.45, low)])
        canvas.fill(grille, (20, 21, 23), TRIM)
        for bar in np.linspace(0.2, 0.8, int(rng.integers(1, 4))):
            y = low + (high - low) * bar
            canvas.line(
                drawn.end(rear, [(-0.44, y), (0.44, y)]), lit(CHROME, 0.7), drawn.line_width(0.015)
            )
        canvas.line(grille, CHROME, drawn.line_width(0.02), closed=True)
    foot = car.clearance
    intake = [(-0.6, foot + 0.05), (-0.66, foot + 0.16), (0.66, foot + 0.16), (0.6, foot + 0.05)]
    canvas.fill(drawn.end(rear, intake), (24, 25, 27), TRIM)
    for inner, outer in ((-0.56, -0.98), (0.56, 0.98)):
        lamp = drawn.end(rear, [(inner, low), (inner, high), (outer, high + 0.02), (outer, low)])
        _paint_lamp(drawn, lamp, rear)
    _paint_plate(drawn, rear, foot + (0.30 if rear else 0.20))


def _paint_side_lamp(drawn: DrawnCar, rear: bool) -> None:
    car = drawn.car
    if rear:
        x, y = (car.length - 0.24, car.length - 0.03), (car.tail - 0.34, car.tail - 0.13)
    else:
        x, y = (0.04, 0.40), (car.nose - 0.24, car.nose - 0.08)
    lean = 0.0 if rear else 0.05
    outline = [(x[0], y[0]), (x[0], y[1]), (x[1], y[1] + lean), (x[1], y[0] + 2 * lean)]
    _paint_lamp(drawn, drawn.side(outline), rear)


def _paint_lamp(drawn: DrawnCar, outline: np.ndarray, rear: bool) -> None:
    drawn.canvas.fill(outline, TAIL_LAMP if rear else LENS, LAMP)
    inner = outline.mean(axis=0) + (outline - outline.mean(axis=0)) * 0.55
    drawn.canvas.fill(inner, (214, 60, 52) if rear else (152, 160, 168), LAMP)
    drawn.canvas.line(outline, (40, 40, 42), drawn.line_width(0.012), closed=True)
    drawn.lamps.append(outline)


def _paint_plate(drawn: DrawnCar, rear: bool, low: float) -> None:
    high = low + 0.12
    plate = drawn.end(rear, [(-0.28, low), (-0.28, high), (0.28, high), (0.28, low)])
    colour = (232, 196, 40) if drawn.car.yellow_plate else (230, 230, 226)
    drawn.canvas.fill(plate, lit(colour, 0.5 + drawn.light.ambient / 2), TRIM)
    for share in np.linspace(-0.22, 0.22, 7):
        letter = drawn.end(rear, [(share, low + 0.03), (share, high - 0.03)])
        drawn.canvas.line(letter, (30, 30, 34), drawn.line_width(0.03))


def _paint_wheel(drawn: DrawnCar, x: float) -> None:
    """Tyre, rim and spokes, seen from outside."""
    car, canvas = drawn.car, drawn.canvas
    z = car.half_width * 0.97

    def disc(points: np.ndarray) -> np.ndarray:
        spatial = points * car.wheel_radius + (x, car.wheel_radius)
        return drawn.camera.project(np.column_stack([spatial, np.full(len(points), z)]))

    canvas.fill(disc(CIRCLE), TYRE, TRIM)
    canvas.line(disc(CIRCLE * 0.86), lit(TYRE, 1.25), drawn.line_width(0.015), closed=True)
    canvas.fill(disc(CIRCLE * 0.70), (30, 31, 33), TRIM)
    rim = lit(car.rim, 0.45 + drawn.light.ambient * 0.6)
    for angle in np.arange(car.spokes) * 2 * np.pi / car.spokes + x:
        way, across = np.array([np.cos(angle), np.sin(angle)]), 0.55 / car.spokes
        side = np.array([-way[1], way[0]]) * across
        canvas.fill(disc(np.array([side, way * 0.68 + side, way * 0.68 - side, -side])), rim, TRIM)
    canvas.line(disc(CIRCLE * 0.67), rim, drawn.line_width(0.035), closed=True)
    canvas.fill(disc(CIRCLE * 0.14), lit(rim, 0.8), TRIM)


def _paint_mirror(drawn: DrawnCar) -> None:
    car = drawn.car
    x, y, z = car.cowl[0] + 0.28, car.waist + 0.06, car.half_width
    shape = np.array([(-0.02, -0.06), (-0.06, 0.04), (0.02, 0.10), (0.14, 0.08), (0.13, -0.06)])
    near = np.column_stack([np.add(shape, (x, y)), np.full(len(shape), z + 0.02)])
    out = np.add(near, (0, 0, 0.16))
    mirror = drawn.camera.project(np.concatenate([near, out])).astype(np.float32)
    colour = lit(car.paint, 0.75 * drawn.light.ambient)
    drawn.canvas.fill(cv2.convexHull(mirror)[:, 0], colour, TRIM)


def _paint_dirt_and_stickers(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """Harmless marks, so that not every mark on a car means damage."""
    if rng.random() < 0.35:
        _paint_dirt(drawn, rng)
    if rng.random() < 0.25:
        _paint_sticker(drawn, rng)


def _paint_dirt(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """Dust on the lower half of the side, thickest behind the wheels."""
    car, canvas = drawn.car, drawn.canvas
    y = car.clearance + rng.uniform(0.10, 0.25)
    behind_wheels, anywhere = np.array(car.wheels) + 0.5, rng.uniform(0.4, car.length - 0.4, 3)
    spots = []
    for x in np.concatenate([behind_wheels, anywhere]):
        ragged = CIRCLE[:-1] * rng.uniform(0.7, 1.3, (len(CIRCLE) - 1, 1))
        spots.append(drawn.side(ragged * (0.55, 0.22) + (x, y)))
    share = canvas.soft_mask(spots, drawn.line_width(0.08)) // 3
    share[canvas.parts != PAINT] = 0
    canvas.blend(DIRT, share)


def _paint_sticker(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """A firm's stripe, or a round sticker on a door."""
    car = drawn.car
    colour = mixed(any_colour(rng), car.paint, 0.25)
    if rng.random() < 0.5:
        low, high = car.waist - 0.40, car.waist - rng.uniform(0.28, 0.34)
        first, last = car.doors[0], car.doors[-1]
        outline = np.array([(first, low), (first, high), (last, high), (last, low)])
    else:
        centre = (rng.uniform(car.doors[0] + 0.4, car.doors[-1] - 0.3), car.waist - 0.36)
        outline = CIRCLE * rng.uniform(0.10, 0.17) + centre
    drawn.canvas.fill(drawn.side(outline), lit(colour, drawn.light.ambient), PAINT)
