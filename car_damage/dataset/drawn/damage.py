"""Damage a drawn car, on its near side or at the end nearer to the camera."""

import cv2
import numpy as np

from car_damage.dataset.drawn.car import BLACK, Car
from car_damage.dataset.drawn.scene import GLASS, PAINT, SCENE, Drawing, lit, smooth_noise

SHARD = (214, 226, 228)


def add_damage(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """Damage the car in two to four ways."""
    kinds = (_dent, _crumple, _crack_glass, _loosen_bumper, _scratch)
    for kind in rng.permutation(len(kinds))[: rng.choice([2, 3, 3, 4])]:
        kinds[kind](drawing, car, rng)


def _dent(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """Dent a door: bend the reflections in the paint and brighten the edges."""
    pixels, parts, across, down = _patch(drawing, _on_doors(car, rng), rng.uniform(0.55, 0.75))
    away = np.hypot(across, 1.4 * down) + 0.5 * smooth_noise(rng, parts.shape, 5)
    depth = np.clip(1.3 - away, 0, 1) ** 2
    slope = np.array(np.gradient(depth))
    slope_y, slope_x = slope / np.abs(slope).max()
    tone = np.where(parts == PAINT, 1 + 0.3 * slope_x - 0.75 * slope_y - 0.25 * depth, 1)
    _bend(pixels, parts, 0.2 * drawing.scale * np.stack([slope_x, slope_y], axis=-1), tone)


def _crumple(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """Push in a corner, so that the metal folds into flat pieces, dark and bright."""
    rear, _ = car.seen_end(drawing.eye)
    corner = car.side([(car.from_end(rear, 0.1), car.nose[1] * rng.uniform(0.6, 0.9))])
    pixels, parts, across, down = _patch(drawing, corner, rng.uniform(0.9, 1.2))
    near = np.clip(1.1 - np.hypot(across, down), 0, 1)[..., None]
    seeds = rng.uniform(-1, 1, (20, 2))
    piece = np.argmin([np.hypot(across - x, down - y) for x, y in seeds], axis=0)
    push = rng.normal(0, 0.12, (20, 2)) + ((0.45, 0) if rear else (-0.45, 0))
    tone = 1 + (rng.uniform(0.35, 1.35, 20)[piece] - 1) * np.sqrt(near[..., 0])
    _bend(pixels, parts, drawing.scale * near * push[piece], tone)


def _crack_glass(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """Crack a pane: a hole with a web of cracks around it."""
    glass = (drawing.parts == GLASS).astype(np.uint8)
    room, panes = cv2.distanceTransform(glass, cv2.DIST_L2, 3), cv2.connectedComponents(glass)[1]
    hits = np.argwhere(room > 0.7 * room.max())
    y, x = hits[rng.integers(len(hits))]
    angles = (np.arange(14) + rng.uniform(-0.3, 0.3, 14))[:, None] * 2 * np.pi / 14
    radii = np.array([0.3, 0.7, 1.3, 2, 3]) * room.max() * rng.uniform(0.8, 1.2, (14, 5))
    web = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=-1)
    rays, before = web.astype(np.int32), drawing.pixels.copy()
    rings = list(rays.swapaxes(0, 1).copy())
    cv2.polylines(drawing.pixels, list(rays), False, SHARD, 2, cv2.LINE_AA)
    cv2.polylines(drawing.pixels, rings, True, SHARD, 2, cv2.LINE_AA)
    cv2.fillPoly(drawing.pixels, [rings[int(rng.integers(2))]], BLACK)
    drawing.pixels[panes != panes[y, x]] = before[panes != panes[y, x]]


def _loosen_bumper(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """Let a bumper hang down at the near corner, and leave a dark gap."""
    rear, sides = car.seen_end(drawing.eye)
    parts, drop = car.bumper(rear)[:sides], rng.uniform(0.2, 0.3)
    for part in parts:
        drawing.fill(part, BLACK)
    for part in parts:
        part[2:, 1] -= drop
        drawing.fill(part, lit(car.bumpers, 0.95))


def _scratch(drawing: Drawing, car: Car, rng: np.random.Generator) -> None:
    """Scratch the doors down to the primer."""
    start, slant = _on_doors(car, rng)[0, :2] - (0.5, 0), rng.normal(0, 0.15)
    colour = (92, 88, 84) if sum(car.paint) > 420 else (196, 194, 188)
    for _ in range(int(rng.integers(5, 14))):
        along = np.linspace(0, rng.uniform(0.5, 1.1), 6)[:, None] * (1, slant)
        wavy = start + along + rng.normal(0, 0.07, 2) + rng.normal(0, 0.01, (6, 2))
        drawing.line(car.side(wavy), colour, rng.uniform(0.01, 0.04))


def _on_doors(car: Car, rng: np.random.Generator) -> np.ndarray:
    """A point (1, 3) well within the doors."""
    x = rng.uniform(car.doors[0] + 0.4, car.doors[2] - 0.4)
    return car.side([(x, rng.uniform(0.5, car.cowl[1] - 0.2))])


def _patch(drawing: Drawing, centre: np.ndarray, radius: float) -> tuple[np.ndarray, ...]:
    """Pixels and parts around `centre` (1, 3), and their distance from it in radii, in x and y."""
    ((x, y),), reach = drawing.project(centre).tolist(), round(radius * drawing.scale)
    area = slice(max(y - reach, 0), y + reach), slice(max(x - reach, 0), x + reach)
    down, across = (np.indices(drawing.parts.shape)[:, *area] - [[[y]], [[x]]]) / reach
    return drawing.pixels[area], drawing.parts[area], across, down


def _bend(pixels: np.ndarray, parts: np.ndarray, shift: np.ndarray, tone: np.ndarray) -> None:
    """Where `tone` is not 1, replace each pixel by the one `shift` (x, y) away, times `tone`."""
    rows, columns = np.indices(parts.shape)
    x = np.clip(np.round(columns + shift[..., 0]), 0, columns.max()).astype(int)
    y = np.clip(np.round(rows + shift[..., 1]), 0, rows.max()).astype(int)
    light = np.where(parts[y, x] == SCENE, 1, tone)[..., None]
    bent = np.clip(pixels[y, x] * light + 60 * np.clip(light - 1, 0, 1), 0, 255)
    moved = (tone != 1) & ((parts != SCENE) | (parts[y, x] != SCENE))
    pixels[moved], parts[moved] = bent[moved], parts[y, x][moved]
