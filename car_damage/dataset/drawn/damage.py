"""Damage to a drawn car: dents, scratches, broken glass and lamps, crumpled corners, loose bumpers.

Every kind changes the finished picture in place, where the car's parts say that it can be.
"""

from collections.abc import Callable

import cv2
import numpy as np

from car_damage.dataset.drawn.canvas import (
    GLASS,
    LAMP,
    PAINT,
    SCENE,
    TRIM,
    Colour,
    Point,
    smooth_noise,
)
from car_damage.dataset.drawn.painting import DrawnCar

PRIMER: Colour = (188, 184, 176)
BARE_METAL: Colour = (92, 90, 90)
HOLE: Colour = (16, 15, 16)
CABLE: Colour = (150, 120, 60)
SCRAP: tuple[Colour, ...] = (HOLE, HOLE, HOLE, BARE_METAL, PRIMER, (222, 220, 214), (128, 84, 58))
SHARD: Colour = (216, 228, 230)
COARSE = 4  # places for damage are looked for on a grid of so many pixels


def add_damage(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """Damage the car in one to three ways, at least one of them plain to see."""
    kinds = [LARGE[int(rng.integers(len(LARGE)))]]
    others = [kind for kind in (*LARGE, *SMALL) if kind is not kinds[0]]
    further = int(rng.choice(3, p=(0.05, 0.30, 0.65)))
    kinds += [others[int(number)] for number in rng.permutation(len(others))[:further]]
    for kind in kinds:
        kind(drawn, rng)


def _dent(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """A hollow in the paint: it bends what the lacquer mirrors, and its edges catch the light."""
    radius = drawn.size * rng.uniform(0.15, 0.21)
    centre = _place(drawn, PAINT, rng)
    area, across, down = _patch(drawn, centre, radius)
    squeeze, turn = rng.uniform(1.0, 1.5), rng.uniform(0, np.pi)
    along = across * np.cos(turn) + down * np.sin(turn)
    aside = (down * np.cos(turn) - across * np.sin(turn)) * squeeze
    uneven = smooth_noise(rng, across.shape, (5, 5)) * rng.uniform(0.25, 0.6)
    distance = np.sqrt(along**2 + aside**2) * (0.8 + uneven)
    depth = np.clip(1 - distance**2, 0, 1) ** 1.5
    _press(drawn, area, depth, radius * 0.22, rng)
    if rng.random() < 0.8:
        _tear(drawn, centre, radius * 0.7, rng)


def _tear(drawn: DrawnCar, centre: Point, radius: float, rng: np.random.Generator) -> None:
    """Torn metal about `centre`: jagged dark holes between bent, bright and rusty strips."""
    canvas = drawn.canvas
    area, _, _ = _patch(drawn, centre, radius * 1.6)
    spared, before = canvas.parts[area] == SCENE, canvas.pixels[area].copy()
    for _ in range(int(rng.integers(11, 18))):
        middle = centre + rng.normal(0, 0.45, 2) * radius
        angles = np.sort(rng.uniform(0, 2 * np.pi, 6))
        scrap = _polar(middle, angles, radius * rng.uniform(0.10, 0.42, 6))
        canvas.fill(scrap, SCRAP[int(rng.integers(len(SCRAP)))], TRIM)
    canvas.pixels[area][spared], canvas.parts[area][spared] = before[spared], SCENE


def _press(
    drawn: DrawnCar,
    area: tuple[slice, slice],
    depth: np.ndarray,
    push: float,
    rng: np.random.Generator,
) -> None:
    """Shade and bend the paint in `area` as a surface pressed in by `depth` (0 to 1) does."""
    slope_x, slope_y = _slopes(depth)
    light = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.7), 0.9])
    shade = 1 + rng.uniform(0.65, 0.9) * (slope_x * light[0] - slope_y * light[1]) - 0.22 * depth
    bent = _bend(drawn.canvas.pixels[area], slope_x * push, slope_y * push)
    pressed = _shaded(bent, shade)
    gloss = np.clip(-slope_y * light[1] + slope_x * light[0] - 0.75, 0, 1)[..., None] * 90
    pressed = np.clip(pressed + gloss, 0, 255).astype(np.uint8)
    inside = (drawn.canvas.parts[area] == PAINT) & (depth > 0.01)
    drawn.canvas.pixels[area][inside] = pressed[inside]


def _slopes(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How `height` (0 to 1) rises to the right and downwards, float32, at most 1 either way."""
    # In whole numbers: OpenCV's floating-point blur depends on the processor in the last bit.
    whole = np.round(height * 60_000).astype(np.uint16)
    soft = cv2.GaussianBlur(whole, (0, 0), max(height.shape) / 80)
    slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)
    steepest = max(np.abs(slope_x).max(), np.abs(slope_y).max(), 1.0)
    return slope_x / steepest, slope_y / steepest


def _bend(pixels: np.ndarray, shift_x: np.ndarray, shift_y: np.ndarray) -> np.ndarray:
    """The same pixels, each taken from (shift_x, shift_y) pixels away."""
    rows, columns = np.indices(pixels.shape[:2])
    # In whole 32nds of a pixel, so that interpolating rounds alike on all processors.
    across, down = (
        (np.round(source * 32) / 32).astype(np.float32)
        for source in (columns + shift_x, rows + shift_y)
    )
    how = cv2.INTER_LINEAR if pixels.ndim == 3 else cv2.INTER_NEAREST
    return np.asarray(cv2.remap(pixels, across, down, how, borderMode=cv2.BORDER_REPLICATE))


def _shaded(pixels: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Pixels darkened or brightened, float32; dark paint gets some light where it is bright."""
    lift = np.clip(shade - 1, 0, None)[..., None] * 55
    return np.asarray(pixels * np.clip(shade, 0.15, 2)[..., None] + lift)


def _scrape(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """Paint rubbed off in streaks that run one way, down to primer and metal."""
    length = drawn.size * rng.uniform(0.20, 0.28)
    area, across, down = _patch(drawn, _place(drawn, PAINT, rng), length)
    turn = rng.normal(0, 0.3)
    along = across * np.cos(turn) + down * np.sin(turn)
    aside = down * np.cos(turn) - across * np.sin(turn)
    breadth = rng.uniform(0.22, 0.36)
    lanes = rng.random((1, 40), dtype=np.float32)
    lane = np.interp(aside / breadth, np.linspace(-1, 1, lanes.size), lanes[0])
    patchy = smooth_noise(rng, across.shape, (6, 9))
    worn = lane + 0.9 * patchy - 1.1 * np.clip((along**2 + (aside / breadth) ** 2) ** 2, 0, 9)
    on_paint = drawn.canvas.parts[area] == PAINT
    pixels = drawn.canvas.pixels[area]
    _cover(pixels, on_paint & (worn > 0.50), _undercoat(pixels[on_paint], rng), 0.9)
    _cover(pixels, on_paint & (worn > 0.98), BARE_METAL, 0.9)


def _undercoat(paint: np.ndarray, rng: np.random.Generator) -> Colour:
    """What shows below the paint (n, 3): something that stands out against it."""
    if len(paint) and paint.mean() > 135:
        return (84, 80, 78) if rng.random() < 0.6 else (120, 84, 62)
    return PRIMER


def _cover(pixels: np.ndarray, where: np.ndarray, colour: Colour, share: float) -> None:
    below = pixels[where]
    pixels[where] = (below * (1 - share) + np.array(colour) * share).astype(np.uint8)


def _broken_glass(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """A web of cracks round where a pane was hit, and a hole there as often as not."""
    canvas = drawn.canvas
    centre = _place(drawn, GLASS, rng)
    pane = _connected(canvas.parts == GLASS, centre)
    reach = np.sqrt(np.count_nonzero(pane)) * rng.uniform(0.8, 1.2)
    area, across, down = _patch(drawn, centre, reach * 1.4)
    pixels, before = canvas.pixels[area], canvas.pixels[area].copy()
    frost = smooth_noise(rng, across.shape, (20, 20)) * np.clip(1.25 - np.hypot(across, down), 0, 1)
    _cover(pixels, frost > 0.12, SHARD, 0.6)
    rays, fine = int(rng.integers(11, 18)), drawn.line_width(0.022)
    angles = np.sort((np.arange(rays) + rng.uniform(-0.35, 0.35, rays)) * 2 * np.pi / rays)
    radii = reach * np.array([0.10, 0.24, 0.42, 0.65, 1.0]) * rng.uniform(0.85, 1.15)
    web = _polar(centre, angles[:, None], radii * rng.uniform(0.85, 1.15, (rays, 5)))
    for ray in web:
        canvas.line(np.concatenate([[centre], ray]), SHARD, fine)
    for ring in range(4):
        canvas.line(web[:, ring], SHARD, fine, closed=True)
    if rng.random() < 0.6:
        canvas.line(web[:, 2], SHARD, fine * 2, closed=True)
        cv2.fillPoly(canvas.pixels, [web[:, int(rng.integers(1, 3))].astype(np.int32)], HOLE)
    pixels[~pane[area]] = before[~pane[area]]


def _polar(centre: Point, angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Points (..., 2) at `radii` from `centre`."""
    away = (np.cos(angles) * radii, np.sin(angles) * radii)
    return np.stack([away[0] + centre[0], away[1] + centre[1]], axis=-1)


def _crumpled_corner(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """A corner pushed in and folded: the outline caves in, the metal breaks into bright facets."""
    corner = drawn.corners[int(rng.integers(len(drawn.corners)))]
    radius = drawn.size * rng.uniform(0.24, 0.32)
    inwards = _middle(drawn.canvas.parts != SCENE) - corner
    inwards *= (1.0, 0.25)
    inwards /= np.linalg.norm(inwards)
    area, across, down = _patch(drawn, corner + inwards * radius * 0.25, radius)
    near = np.clip(1.15 - np.sqrt(across**2 + down**2), 0, 1)
    near = near * near * (3 - 2 * near)
    folds = _facets(rng, across.shape)
    fold_x, fold_y = _slopes(folds)
    push = radius * rng.uniform(0.28, 0.40) * near * (0.6 + 0.8 * folds)
    shift_x = -inwards[0] * push + fold_x * near * radius * 0.16
    shift_y = -inwards[1] * push - 0.15 * push + fold_y * near * radius * 0.16
    canvas = drawn.canvas
    parts = _bend(canvas.parts[area], shift_x, shift_y)
    moved = (parts != SCENE) | (canvas.parts[area] != SCENE)  # what stands behind is not bent
    canvas.pixels[area][moved] = _bend(canvas.pixels[area], shift_x, shift_y)[moved]
    canvas.parts[area][moved] = parts[moved]
    shade = 1 + near * (0.75 * (fold_x * rng.choice([-1, 1]) - 0.8 * fold_y) - 0.15)
    folded = np.clip(_shaded(canvas.pixels[area], shade), 0, 255).astype(np.uint8)
    on_body = np.isin(canvas.parts[area], (PAINT, LAMP)) & (near > 0.02)
    canvas.pixels[area][on_body] = folded[on_body]
    for _ in range(2):
        _tear(drawn, corner + inwards * radius * rng.uniform(0.2, 0.6), radius * 0.55, rng)


def _facets(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A crumpled sheet from 0 to 1, float32 `shape`: flat pieces that meet in sharp folds."""
    seeds = rng.random((int(rng.integers(9, 16)), 2)) * shape
    tilts = rng.normal(0, 1, (len(seeds), 2))
    rows, columns = np.indices((shape[0] // COARSE + 1, shape[1] // COARSE + 1)) * COARSE
    planes = [
        (rows - y) * tilt[0] + (columns - x) * tilt[1] + 0.8 * np.hypot(rows - y, columns - x)
        for (y, x), tilt in zip(seeds, tilts, strict=True)
    ]
    sheet = np.min(planes, axis=0).astype(np.float32)
    sheet = (sheet - sheet.min()) / max(np.ptp(sheet), 1e-6)
    return np.asarray(cv2.resize(sheet, shape[::-1], interpolation=cv2.INTER_LINEAR))


def _loose_bumper(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """A bumper that hangs from one end, and the dark gap where it was."""
    canvas = drawn.canvas
    outline = max(drawn.bumpers, key=lambda points: np.ptp(points, axis=0).prod())
    left, right = outline[:, 0].min(), outline[:, 0].max()
    outer, inner = (left, right) if left + right < canvas.width else (right, left)
    drop = drawn.size * rng.uniform(0.04, 0.065)
    area, _, _ = _patch(drawn, outline.mean(axis=0), (right - left) / 2 + 2.5 * drop)
    pixels, parts = canvas.pixels[area], canvas.parts[area]
    taken = (canvas.mask(outline)[area] > 0) & (parts != SCENE)
    droop = np.arctan2(2.2 * drop, right - left) * (1 if outer < inner else -1)
    pivot = (inner - area[1].start, outline[:, 1].mean() - area[0].start)
    shift = _turned(parts.shape, pivot, droop, drop / 2)
    bumper, hangs = _bend(pixels, *shift), _bend(taken.astype(np.uint8), *shift) > 0
    gap = taken & (parts != LAMP)
    pixels[gap], parts[gap] = HOLE, TRIM
    _tear(drawn, outline.mean(axis=0), (right - left) * 0.2, rng)
    _bracket(drawn, area, gap, rng)
    pixels[hangs], parts[hangs] = bumper[hangs], TRIM


def _turned(
    shape: tuple[int, ...], pivot: Point, angle: float, drop: float
) -> tuple[np.ndarray, np.ndarray]:
    """The shifts for `_bend` that turn by `angle` radians about `pivot` and drop by so many pixels.

    A positive angle lowers what is left of the pivot.
    """
    rows, columns = np.indices(shape)
    across, down = columns - pivot[0], rows - drop - pivot[1]
    cosine, sine = np.cos(angle), np.sin(angle)
    shift_x = across * cosine - down * sine - across
    shift_y = across * sine + down * cosine - down - drop
    return shift_x, shift_y


def _bracket(
    drawn: DrawnCar, area: tuple[slice, slice], gap: np.ndarray, rng: np.random.Generator
) -> None:
    """The bare beam and a loose cable behind a missing bumper."""
    pixels, before = drawn.canvas.pixels[area], drawn.canvas.pixels[area].copy()
    left, top, width, height = cv2.boundingRect(gap.astype(np.uint8))
    corner = np.array([area[1].start + left, area[0].start + top])
    beam = corner + np.array([(0, 0.45), (1, 0.5)]) * (width, height)
    drawn.canvas.line(beam, BARE_METAL, drawn.line_width(0.07))
    cable = np.stack([np.linspace(0.2, 0.6, 6), rng.uniform(0.2, 0.9, 6)], axis=1)
    drawn.canvas.line(corner + cable * (width, height), CABLE, drawn.line_width(0.015))
    pixels[~gap] = before[~gap]


def _broken_lamp(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """A lamp that is a dark hole with splinters round its edge."""
    lamp = max(
        (drawn.lamps[int(i)] for i in rng.integers(len(drawn.lamps), size=2)),
        key=lambda outline: cv2.contourArea(outline.astype(np.float32)),
    )
    middle = lamp.mean(axis=0)
    drawn.canvas.fill(middle + (lamp - middle) * rng.uniform(1.1, 1.35, (len(lamp), 1)), HOLE, TRIM)
    for _ in range(int(rng.integers(4, 9))):
        corner = lamp[int(rng.integers(len(lamp)))]
        tips = middle + (corner - middle) * rng.uniform(0.2, 1.0, (3, 1))
        splinter = tips + rng.normal(0, 0.12, (3, 2)) * np.ptp(lamp, axis=0)
        drawn.canvas.fill(splinter, SHARD if rng.random() < 0.6 else (150, 60, 50), TRIM)


def _scratches(drawn: DrawnCar, rng: np.random.Generator) -> None:
    """A few long thin lines through the paint."""
    canvas = drawn.canvas
    start = np.array(_place(drawn, PAINT, rng))
    colour = _undercoat(canvas.pixels[canvas.parts == PAINT][::97], rng)
    turn = rng.normal(0, 0.35) + np.pi * rng.integers(2)
    lines = np.zeros_like(canvas.parts)
    for _ in range(int(rng.integers(3, 7))):
        steps = np.full(6, drawn.size * rng.uniform(0.03, 0.06))
        angles = turn + np.cumsum(rng.normal(0, 0.08, 6))
        points = start + np.cumsum(_polar((0, 0), angles, steps), axis=0)
        points += rng.normal(0, 0.018, 2) * drawn.size
        thickness = max(1, round(drawn.line_width(rng.uniform(0.03, 0.06))))
        cv2.polylines(lines, [points.astype(np.int32)], False, 255, thickness)
    lines[canvas.parts != PAINT] = 0
    canvas.blend(colour, lines)


def _place(drawn: DrawnCar, part: int, rng: np.random.Generator) -> tuple[float, float]:
    """A point of `part`, in pixels, that is not close to its edge."""
    shown = (drawn.canvas.parts[::COARSE, ::COARSE] == part).astype(np.uint8)
    room = cv2.distanceTransform(shown, cv2.DIST_L2, 3)
    rows, columns = np.nonzero(room >= 0.6 * room.max())
    chosen = int(rng.integers(len(rows)))
    return float(columns[chosen] * COARSE), float(rows[chosen] * COARSE)


def _patch(
    drawn: DrawnCar, centre: Point, radius: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The square about `centre` within the canvas, and each pixel's distance in radii from it."""
    left, top = (max(round(value - radius), 0) for value in centre)
    right = min(round(centre[0] + radius), drawn.canvas.width)
    bottom = min(round(centre[1] + radius), drawn.canvas.height)
    down, across = np.mgrid[top:bottom, left:right].astype(np.float32)
    area = (slice(top, bottom), slice(left, right))
    return area, (across - centre[0]) / radius, (down - centre[1]) / radius


def _connected(mask: np.ndarray, point: Point) -> np.ndarray:
    """The connected piece of `mask` that holds `point`."""
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8))
    return np.asarray(pieces == pieces[round(point[1]), round(point[0])])


def _middle(mask: np.ndarray) -> np.ndarray:
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return np.array([left + width / 2, top + height / 2])


Kind = Callable[[DrawnCar, np.random.Generator], None]
LARGE: tuple[Kind, ...] = (_dent, _scrape, _broken_glass, _crumpled_corner, _loose_bumper)
SMALL: tuple[Kind, ...] = (_broken_lamp, _scratches)
