"""A car that is not damaged: its kind, proportions, colours and trim.

Lengths are in metres: `x` from the front bumper to the rear, `y` from the ground up, `z` from the
car's middle to the side that is seen.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from car_damage.dataset.drawn.canvas import Colour, lit


class Style(NamedTuple):
    """The proportions of a kind of car; x as shares of the length, y of the height."""

    length: float  # metres
    height: float  # metres
    nose: float  # y of the bonnet's front edge
    cowl: tuple[float, float]  # the windscreen's foot
    roof: tuple[float, float]  # x where the roof begins and ends
    deck: tuple[float, float]  # the rear window's foot
    tail: float  # y of the body's rear edge
    pillars: tuple[float, ...]  # x between the side windows
    doors: tuple[float, ...]  # x of the doors' edges


STYLES = {
    "saloon": Style(
        4.7, 1.45, 0.56, (0.28, 0.67), (0.43, 0.67), (0.83, 0.69), 0.66, (0.52,), (0.29, 0.52, 0.71)
    ),
    "hatchback": Style(
        4.0, 1.50, 0.54, (0.25, 0.65), (0.42, 0.84), (0.96, 0.66), 0.60, (0.55,), (0.28, 0.55, 0.77)
    ),
    "estate": Style(
        4.7,
        1.47,
        0.56,
        (0.27, 0.66),
        (0.42, 0.90),
        (0.98, 0.66),
        0.62,
        (0.51, 0.71),
        (0.29, 0.51, 0.71),
    ),
    "suv": Style(
        4.6,
        1.75,
        0.57,
        (0.27, 0.64),
        (0.40, 0.90),
        (0.98, 0.63),
        0.58,
        (0.51, 0.72),
        (0.29, 0.51, 0.71),
    ),
    "van": Style(
        4.9, 2.00, 0.46, (0.15, 0.56), (0.30, 0.97), (0.99, 0.55), 0.50, (0.42,), (0.19, 0.42, 0.68)
    ),
    "pickup": Style(
        5.2,
        1.80,
        0.58,
        (0.26, 0.63),
        (0.36, 0.58),
        (0.62, 0.62),
        0.61,
        (0.47,),
        (0.28, 0.46, 0.60),
    ),
    "coupe": Style(
        4.4, 1.30, 0.56, (0.31, 0.68), (0.48, 0.60), (0.87, 0.70), 0.68, (0.63,), (0.32, 0.63)
    ),
}

PAINTS: dict[Colour, float] = {  # with how often a car is painted so
    (232, 233, 234): 0.17,
    (176, 180, 184): 0.15,
    (104, 109, 115): 0.12,
    (38, 40, 44): 0.14,
    (168, 26, 30): 0.13,
    (30, 64, 140): 0.12,
    (86, 140, 190): 0.05,
    (28, 82, 56): 0.05,
    (196, 176, 138): 0.04,
    (222, 178, 36): 0.03,
}
CHROME: Colour = (196, 200, 204)
TUMBLEHOME = 0.17  # share of the half width that the roof is narrower than the waist


@dataclass(frozen=True)
class Car:
    """One car's shape and trim, in metres."""

    length: float
    height: float
    half_width: float
    clearance: float
    nose: float
    tail: float
    waist: float  # y of the side windows' lower edge
    cowl: tuple[float, float]
    roof: tuple[float, float]
    deck: tuple[float, float]
    pillars: tuple[float, ...]
    doors: tuple[float, ...]
    wheels: tuple[float, float]  # x of the axles
    wheel_radius: float
    spokes: int
    paint: Colour
    rim: Colour
    plastic_bumpers: bool
    yellow_plate: bool

    @cached_property
    def profile(self) -> np.ndarray:
        """The outline (n, 2) seen from the side, from the front's foot over the roof to the rear's.

        The corners are cut twice (Chaikin 1974), which leaves a smooth curve.
        """
        low, length, height = self.clearance, self.length, self.height
        corners = np.array(
            [
                (0.10, low),
                (0.0, low + 0.12),
                (0.0, self.nose * 0.72),
                (0.05, self.nose * 0.97),
                (0.30, self.nose * 1.04),
                self.cowl,
                (self.roof[0], height * 0.985),
                (sum(self.roof) / 2, height),
                (self.roof[1], height * 0.975),
                self.deck,
                (length - 0.10, self.tail),
                (length - 0.01, self.tail - 0.12),
                (length, low + 0.20),
                (length - 0.10, low + 0.04),
            ]
        )
        return _cut_corners(_cut_corners(corners))

    def half_width_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far from the middle the side is: less at the ends and towards the roof."""
        from_middle = np.abs(2 * x / self.length - 1)
        ends = np.clip((from_middle - 0.78) / 0.22, 0, 1) ** 2
        above = np.clip((y - self.waist) / (self.height - self.waist), 0, 1)
        return self.half_width * (1 - 0.15 * ends) * (1 - TUMBLEHOME * above)


def _cut_corners(points: np.ndarray) -> np.ndarray:
    start, end = points[:-1], points[1:]
    cut = np.stack([0.8 * start + 0.2 * end, 0.2 * start + 0.8 * end], axis=1).reshape(-1, 2)
    return np.concatenate([points[:1], cut, points[-1:]])


def design_car(rng: np.random.Generator) -> Car:
    """Draw a car's style, proportions, colours and trim."""
    style = STYLES[str(rng.choice(list(STYLES)))]
    length = style.length * rng.uniform(0.93, 1.07)
    height = style.height * rng.uniform(0.95, 1.06)
    radius = height * rng.uniform(0.205, 0.235) if height < 1.9 else 0.36
    shades = rng.integers(-14, 15, 3)
    paint = list(PAINTS)[int(rng.choice(len(PAINTS), p=list(PAINTS.values())))]
    slope = rng.uniform(-0.02, 0.02)
    return Car(
        length=length,
        height=height,
        half_width=rng.uniform(0.86, 0.98),
        clearance=radius * rng.uniform(0.52, 0.66),
        nose=style.nose * height,
        tail=style.tail * height,
        waist=(max(style.cowl[1], style.deck[1]) + 0.01) * height,
        cowl=(style.cowl[0] * length, style.cowl[1] * height),
        roof=((style.roof[0] + slope) * length, (style.roof[1] + slope) * length),
        deck=(style.deck[0] * length, style.deck[1] * height),
        pillars=tuple(x * length for x in style.pillars),
        doors=tuple(x * length for x in style.doors),
        wheels=(length * rng.uniform(0.175, 0.2), length * rng.uniform(0.79, 0.82)),
        wheel_radius=radius,
        spokes=int(rng.integers(5, 11)),
        paint=_shifted(paint, shades),
        rim=lit(CHROME, rng.uniform(0.4, 0.8)),
        plastic_bumpers=bool(rng.random() < 0.2),
        yellow_plate=bool(rng.random() < 0.3),
    )


def _shifted(colour: Colour, by: np.ndarray) -> Colour:
    red, green, blue = (int(np.clip(a + b, 0, 255)) for a, b in zip(colour, by, strict=True))
    return red, green, blue
