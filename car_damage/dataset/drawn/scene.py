"""Where the car stands: the place, the light, the shadow, and where the camera is."""

from collections.abc import Callable

import cv2
import numpy as np

from car_damage.dataset.drawn.canvas import (
    SCENE,
    Camera,
    Canvas,
    Colour,
    any_colour,
    lit,
    look_at,
    mixed,
    smooth_noise,
)
from car_damage.dataset.drawn.car import Car, design_car
from car_damage.dataset.drawn.painting import DrawnCar, Light, paint_car

WIDTHS = (400, 560)  # pixels
PROPORTIONS = (4 / 3, 4 / 3, 3 / 2, 16 / 9, 5 / 4)
OVERSAMPLING = 2  # the canvas is that much larger than the photo, so that shrinking smooths edges
COARSE = 4  # sky and ground are drawn so many times smaller: they are out of focus anyway
NEARBY = 0.5  # metres: nothing closer to the camera is drawn on the ground

SKIES: tuple[tuple[Colour, Colour], ...] = (  # at the top and at the horizon
    ((92, 146, 214), (206, 224, 240)),
    ((60, 110, 190), (170, 204, 236)),
    ((176, 184, 192), (214, 217, 220)),
    ((148, 154, 162), (196, 198, 200)),
    ((70, 74, 120), (236, 170, 120)),
    ((40, 46, 76), (150, 120, 130)),
)
GROUNDS: dict[str, tuple[Colour, Colour]] = {  # between which colours it varies
    "asphalt": ((78, 79, 82), (118, 118, 120)),
    "grass": ((62, 96, 42), (116, 142, 70)),
    "gravel": ((132, 122, 106), (176, 166, 148)),
    "paving": ((140, 138, 134), (178, 174, 168)),
    "sand": ((190, 170, 132), (222, 206, 172)),
    "snow": ((206, 210, 216), (240, 242, 244)),
}
WALLS: tuple[Colour, ...] = (
    (158, 104, 82),
    (206, 198, 184),
    (150, 150, 148),
    (226, 222, 210),
    (120, 128, 136),
    (190, 164, 120),
)


def draw_scene(rng: np.random.Generator) -> DrawnCar:
    """Draw a place with an undamaged car in it, at `OVERSAMPLING` times the photo's size."""
    width = round(OVERSAMPLING * rng.uniform(*WIDTHS))
    canvas = Canvas.blank(width, round(width / PROPORTIONS[rng.integers(len(PROPORTIONS))]))
    car = design_car(rng)
    camera = place_camera(car, canvas, rng)
    light = draw_light(rng)
    place = PLACES[int(rng.integers(len(PLACES)))]
    place(canvas, camera, rng)
    _defocus(canvas, rng.uniform(1.5, 6))
    _cast_shadow(canvas, camera, car, light)
    drawn = DrawnCar(canvas, camera, car, light)
    paint_car(drawn, rng)
    return drawn


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a sun: high or low, hard or behind clouds."""
    angle = rng.uniform(0.25, 0.75) * np.pi
    hardness = rng.uniform(0, 1)
    return Light(
        sun=np.array([np.cos(angle), np.sin(angle)]),
        ambient=rng.uniform(0.72, 0.92),
        direct=0.10 + 0.30 * hardness,
        shadow=0.45 + 0.30 * hardness,
    )


def place_camera(car: Car, canvas: Canvas, rng: np.random.Generator) -> Camera:
    """Put the camera somewhere round the near side, and the car somewhere in the frame."""
    views = ((78, 102), (28, 74), (106, 150), (8, 24), (156, 172))
    low, high = views[int(rng.choice(len(views), p=(0.36, 0.32, 0.20, 0.07, 0.05)))]
    angle = np.radians(rng.uniform(low, high))
    distance, height = rng.uniform(6.5, 13), rng.uniform(1.0, 2.6)
    centre = np.array([car.length / 2, car.height * 0.45, 0])
    position = (centre[0] - distance * np.cos(angle), height, distance * np.sin(angle))
    camera = look_at(position, centre, np.radians(rng.normal(0, 1.3)))
    x, y, z = np.meshgrid([0, car.length], [0, car.height], [-car.half_width, car.half_width])
    box = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    span = np.ptp(camera.project(box), axis=0)
    width = canvas.width * rng.uniform(0.78, 0.97)
    width = min(width, canvas.height * 0.86 * span[0] / span[1])
    spare_x, spare_y = (canvas.width - width) / 2, canvas.height - width * span[1] / span[0]
    middle = (
        canvas.width / 2 + spare_x * rng.uniform(-0.8, 0.8),
        canvas.height / 2 + spare_y * rng.uniform(-0.05, 0.30),
    )
    return camera.framed(box, middle, width)


def _defocus(canvas: Canvas, softness: float) -> None:
    """Blur what stands behind the car, by a Gaussian of `softness` pixels."""
    half = cv2.resize(canvas.pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    half = cv2.GaussianBlur(half, (0, 0), softness / 2)
    size = (canvas.width, canvas.height)
    canvas.pixels[:] = cv2.resize(half, size, interpolation=cv2.INTER_LINEAR)


def _cast_shadow(canvas: Canvas, camera: Camera, car: Car, light: Light) -> None:
    """Darken the ground below the car, softly at the edges."""
    reach, lean = car.half_width * 1.05, 0.4 * light.sun[0] * light.direct
    corners = [(-0.1 - lean, -reach), (car.length + 0.1 - lean, -reach)]
    corners += [(car.length + 0.05, reach), (-0.05, reach)]
    outline = camera.project([(x, 0, z) for x, z in corners])
    share = canvas.soft_mask([outline], canvas.width / 60)
    canvas.blend((8, 8, 10), cv2.convertScaleAbs(share, alpha=light.shadow))


def _horizon(canvas: Canvas, camera: Camera) -> int:
    """The row in which level ground ends, kept within the canvas."""
    eye = -np.linalg.solve(camera.matrix[:, :3], camera.matrix[:, 3])
    ahead = eye + (camera.matrix[2, :3] * (1, 0, 1)) * 1e4
    return int(np.clip(camera.project([ahead])[0, 1], 0.12 * canvas.height, 0.85 * canvas.height))


def _paint_sky(canvas: Canvas, rows: int, rng: np.random.Generator) -> None:
    top, bottom = SKIES[int(rng.integers(len(SKIES)))]
    share = np.linspace(0, 1, max(rows // COARSE, 1), dtype=np.float32)[:, None, None]
    sky = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share
    sky = np.repeat(sky, canvas.width // COARSE, axis=1)
    clouds = smooth_noise(rng, sky.shape[:2], (int(rng.integers(3, 7)), int(rng.integers(3, 8))))
    clouds = np.clip((clouds - rng.uniform(0.35, 0.9)) * 2, 0, 0.8)[..., None]
    sky = sky * (1 - clouds) + np.array([244, 244, 246], np.float32) * clouds
    size = (canvas.width, rows)
    canvas.pixels[:rows] = cv2.resize(sky.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)


def _paint_ground(canvas: Canvas, top: int, kind: str, rng: np.random.Generator) -> None:
    """Ground from row `top` down, with grain that grows towards the camera."""
    dark, bright = (np.array(colour, np.float32) for colour in GROUNDS[kind])
    rows = canvas.height - top
    shape = (max(rows // COARSE, 1), canvas.width // COARSE)
    patches = smooth_noise(rng, shape, (int(rng.integers(3, 9)), int(rng.integers(3, 9))))
    grain = rng.random(shape, dtype=np.float32)
    tone = (0.65 * patches + 0.35 * grain)[..., None]
    nearer = np.linspace(1.06, rng.uniform(0.8, 1.0), shape[0], dtype=np.float32)[:, None, None]
    ground = (dark + (bright - dark) * tone) * (nearer * rng.uniform(0.8, 1.1))
    ground = np.clip(ground, 0, 255).astype(np.uint8)
    canvas.pixels[top:] = cv2.resize(ground, (canvas.width, rows), interpolation=cv2.INTER_LINEAR)


def _mark_ground(canvas: Canvas, camera: Camera, corners: np.ndarray, colour: Colour) -> None:
    """Fill a polygon that lies on the ground: `corners` (n, 2) in x and z, metres."""
    flat = np.column_stack([corners[:, 0], np.zeros(len(corners)), corners[:, 1]])
    if camera.depth(flat).min() > NEARBY:
        canvas.fill(camera.project(flat), colour, SCENE)


def _stripe(start: tuple[float, float], end: tuple[float, float], width: float) -> np.ndarray:
    """The corners of a painted line on the ground."""
    along = np.subtract(end, start)
    across = np.array([-along[1], along[0]]) / np.linalg.norm(along) * width / 2
    return np.array([start - across, end - across, end + across, start + across])


def _paint_trees(canvas: Canvas, row: int, rng: np.random.Generator) -> None:
    """A hedge or a row of trees that stands on `row`."""
    colour = mixed((40, 66, 34), (92, 104, 52), rng.random())
    tallest = canvas.height * rng.uniform(0.06, 0.34)
    for _ in range(int(rng.integers(8, 26))):
        x = rng.uniform(0, canvas.width)
        radius = tallest * rng.uniform(0.3, 0.6)
        y = row - rng.uniform(0, tallest - radius)
        angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        crown = np.stack([np.cos(angles) * 1.2, np.sin(angles)], axis=1)
        crown = crown * rng.uniform(0.75, 1.1, (18, 1)) * radius + (x, y)
        crown[:, 1] = np.minimum(crown[:, 1], row)
        canvas.fill(crown, lit(colour, rng.uniform(0.7, 1.2)), SCENE)


def _paint_buildings(canvas: Canvas, row: int, rng: np.random.Generator) -> None:
    """Houses side by side with rows of windows, standing on `row`."""
    left = -canvas.width * rng.uniform(0, 0.2)
    while left < canvas.width:
        width = canvas.width * rng.uniform(0.14, 0.45)
        height = canvas.height * rng.uniform(0.14, 0.62)
        if rng.random() < 0.85:
            _paint_building(canvas, (left, row - height, width, height), rng)
        left += width + canvas.width * rng.choice([0, 0, 0.05])


def _paint_building(
    canvas: Canvas, box: tuple[float, float, float, float], rng: np.random.Generator
) -> None:
    left, top, width, height = box
    wall = mixed(WALLS[int(rng.integers(len(WALLS)))], any_colour(rng), 0.25)
    canvas.fill(_rectangle(left, top, width, height), wall, SCENE)
    pane = mixed((52, 60, 70), wall, rng.uniform(0.0, 0.35))
    columns, rows = int(rng.integers(2, 6)), int(rng.integers(1, 5))
    cell = np.array([width / columns, height / rows])
    for column in range(columns):
        for line in range(rows):
            corner = np.array([left, top]) + cell * (column + 0.22, line + 0.22)
            shade = lit(pane, rng.uniform(0.8, 1.4))
            canvas.fill(_rectangle(*corner, *(cell * (0.56, 0.5))), shade, SCENE)


def _rectangle(left: float, top: float, width: float, height: float) -> np.ndarray:
    right, bottom = left + width, top + height
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _street(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    row = _horizon(canvas, camera)
    _paint_sky(canvas, row, rng)
    _paint_ground(canvas, row, "asphalt", rng)
    base = min(row + round(canvas.height * rng.uniform(0.01, 0.05)), canvas.height - 1)
    _paint_buildings(canvas, base, rng)
    if rng.random() < 0.5:
        _paint_trees(canvas, base, rng)
    kerb = -rng.uniform(1.4, 3.5)
    _mark_ground(canvas, camera, _stripe((-14, kerb), (18, kerb), 0.35), (168, 166, 160))
    for x in np.arange(-12, 16, 4.0) + rng.uniform(0, 4):
        _mark_ground(canvas, camera, _stripe((x, 2.6), (x + 2, 2.6), 0.14), (206, 206, 200))


def _car_park(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    row = _horizon(canvas, camera)
    _paint_sky(canvas, row, rng)
    _paint_ground(canvas, row, str(rng.choice(["asphalt", "asphalt", "paving"])), rng)
    _paint_trees(canvas, row + 4, rng)
    colour = (214, 214, 208) if rng.random() < 0.7 else (212, 180, 60)
    if rng.random() < 0.5:  # the car stands along the bays' lines, or across them
        for z in np.array([-6.6, -4.0, -1.4, 1.4, 4.0]) + rng.uniform(-0.2, 0.2):
            _mark_ground(canvas, camera, _stripe((-1, z), (6, z), 0.12), colour)
    else:
        for x in np.arange(-9.8, 16, 2.6) + rng.uniform(0, 2):
            _mark_ground(canvas, camera, _stripe((x, -5.5), (x, -1.6), 0.12), colour)


def _meadow(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    row = _horizon(canvas, camera)
    _paint_sky(canvas, row, rng)
    for _ in range(int(rng.integers(0, 3))):
        _paint_hills(canvas, row, rng)
    _paint_ground(canvas, row, str(rng.choice(["grass", "grass", "gravel", "snow"])), rng)
    if rng.random() < 0.7:
        _paint_trees(canvas, row + 3, rng)


def _beach(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    row = _horizon(canvas, camera)
    _paint_sky(canvas, row, rng)
    _paint_ground(canvas, row, str(rng.choice(["sand", "paving", "asphalt"])), rng)
    strip = row + round(canvas.height * rng.uniform(0.01, 0.07))
    sea = mixed((40, 90, 130), (110, 140, 150), rng.random())
    canvas.fill(_rectangle(0, row, canvas.width, strip - row), sea, SCENE)
    if rng.random() < 0.5:
        _paint_hills(canvas, row, rng)


def _paint_hills(canvas: Canvas, row: int, rng: np.random.Generator) -> None:
    x = np.linspace(-10, canvas.width + 10, 40)
    heights = smooth_noise(rng, (1, 40), (1, int(rng.integers(3, 8))))[0]
    ridge = row - canvas.height * rng.uniform(0.05, 0.3) * heights
    outline = np.concatenate([np.stack([x, ridge], 1), [(x[-1], row + 2), (x[0], row + 2)]])
    canvas.fill(outline, mixed((70, 96, 70), (120, 130, 150), rng.random()), SCENE)


def _wall(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """A wall right behind the car: bricks, concrete slabs, or a garage door's slats."""
    _paint_ground(canvas, 0, str(rng.choice(["paving", "asphalt", "gravel"])), rng)
    colour = mixed(WALLS[int(rng.integers(len(WALLS)))], any_colour(rng), rng.uniform(0, 0.3))
    z, height = -rng.uniform(1.4, 3.0), rng.uniform(2.2, 6)
    corners = camera.project([(-8, 0, z), (14, 0, z), (14, height, z), (-8, height, z)])
    if corners[:, 1].max() - corners[:, 1].min() > 6 * canvas.height:  # seen from its end
        canvas.pixels[: _horizon(canvas, camera)] = colour
        return
    _paint_sky(canvas, canvas.height // 2, rng)
    canvas.fill(corners, colour, SCENE)
    joint = lit(colour, rng.uniform(0.7, 0.9))
    course = rng.choice([0.25, 0.5, 1.1])
    for y in np.arange(course, height, course):
        canvas.line(camera.project([(-8, y, z), (14, y, z)]), joint, 2)
    for x in np.arange(-8, 14, course * rng.uniform(1.5, 3)):
        canvas.line(camera.project([(x, 0, z), (x, height, z)]), joint, 2)


def _showroom(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """A hall with a light or dark wall, a polished floor and lamps above."""
    row = _horizon(canvas, camera)
    wall = float(rng.choice([rng.uniform(30, 80), rng.uniform(150, 235)]))
    spread = np.linspace(-1, 1, canvas.width, dtype=np.float32)[None, :]
    fall = np.linspace(0.85, 1.1, row, dtype=np.float32)[:, None]
    bright = wall * fall * (1 - rng.uniform(0, 0.35) * (spread - rng.uniform(-0.6, 0.6)) ** 2)
    tint = np.array(rng.uniform(0.92, 1.0, 3), np.float32)
    canvas.pixels[:row] = np.clip(bright[..., None] * tint, 0, 255).astype(np.uint8)
    floor = np.linspace(0.95, rng.uniform(0.5, 0.9), canvas.height - row, dtype=np.float32)
    ground = floor[:, None, None] * tint * rng.uniform(90, 215)
    canvas.pixels[row:] = np.repeat(ground, canvas.width, axis=1).astype(np.uint8)
    for lamp_left in np.arange(rng.uniform(0, 0.2), 1, rng.uniform(0.16, 0.4)) * canvas.width:
        lamp = _rectangle(lamp_left, row * rng.uniform(0.05, 0.3), canvas.width * 0.09, row * 0.05)
        canvas.fill(lamp, (250, 250, 244), SCENE)
    if rng.random() < 0.5:
        left, top = rng.uniform(0, 0.6, 2) * (canvas.width, row)
        board = _rectangle(left, top, canvas.width / 3, row / 3)
        canvas.fill(board, any_colour(rng), SCENE)


PLACES: tuple[Callable[[Canvas, Camera, np.random.Generator], None], ...] = (
    _street,
    _car_park,
    _meadow,
    _beach,
    _wall,
    _showroom,
)
