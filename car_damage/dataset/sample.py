"""Draw sample cars, for a run without photos and without a network.

Both classes are drawn by the same rules, so place, light, car, size and JPEG quality do not reveal
the class.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from car_damage.dataset.drawn.car import draw_scene
from car_damage.dataset.drawn.damage import add_damage
from car_damage.dataset.drawn.scene import OVERSAMPLING
from car_damage.dataset.find import LABELS
from car_damage.files import staged_folder
from car_damage.parallel import map_in_order
from car_damage.photos import Photo

QUALITIES = (62, 95)  # of the JPEGs
VISIBLE = 12  # grey levels: a pixel that changes by more counts as damaged


def write_sample_photos(folder: Path, per_class: int, seed: int = 0) -> None:
    """Write `per_class` JPEGs each into `folder`/damaged and `folder`/not-damaged, on all cores.

    `folder` is replaced atomically. A photo depends on the seed, its class and its number, but not
    on `per_class`. No two photos show the same scene.
    """
    wanted = [(label, number) for label in LABELS for number in range(per_class)]
    with staged_folder(folder) as staged:
        for label in LABELS:
            (staged / label).mkdir()
        jpegs = map_in_order(lambda photo: _draw_jpeg(seed, *photo), wanted)
        for (label, number), jpeg in zip(wanted, jpegs, strict=True):
            # A number at the end would mark views of one car (`sources.run_of`).
            (staged / label / f"{number:04}_drawn.jpg").write_bytes(jpeg)


def _draw_jpeg(seed: int, label: str, number: int) -> bytes:
    rng = np.random.default_rng([seed, LABELS.index(label), number])
    photo, _ = draw_car(rng, damaged=label == "damaged")
    buffer = io.BytesIO()
    quality = int(rng.integers(*QUALITIES))
    Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def draw_car(rng: np.random.Generator, damaged: bool) -> tuple[Photo, np.ndarray]:
    """Draw a car, uint8 RGB (height, width, 3), and where it is damaged, bool (height, width).

    It is about 480 pixels wide. The same seed gives the same scene with and without damage.
    """
    scene_rng, damage_rng, lens_rng = rng.spawn(3)  # so that damage does not change the rest
    drawing, car = draw_scene(scene_rng)
    before = _shrunk(drawing.pixels)
    if damaged:
        add_damage(drawing, car, damage_rng)
    after = _shrunk(drawing.pixels)
    where = cv2.cvtColor(cv2.absdiff(before, after), cv2.COLOR_RGB2GRAY) > VISIBLE
    if lens_rng.random() < 0.5:  # cars face both ways
        after, where = np.ascontiguousarray(after[:, ::-1]), np.ascontiguousarray(where[:, ::-1])
    return _photographed(after, lens_rng), where


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    size = (pixels.shape[1] // OVERSAMPLING, pixels.shape[0] // OVERSAMPLING)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _photographed(pixels: Photo, rng: np.random.Generator) -> Photo:
    """Simulate a camera: colour cast, exposure, contrast, a little blur and noise."""
    gain = rng.uniform(0.82, 1.10) * rng.normal(1, 0.025, 3)
    contrast, grey = rng.uniform(0.9, 1.15), 118.0
    levels = (np.arange(256)[:, None] * gain - grey) * contrast + grey
    curves = np.clip(np.round(levels), 0, 255).astype(np.uint8)
    seen = cv2.GaussianBlur(cv2.LUT(pixels, curves[None]), (0, 0), rng.uniform(0.3, 0.7))
    noise = rng.standard_normal(seen.shape[:2], dtype=np.float32) * rng.uniform(0.5, 3)
    grain = cv2.merge([np.round(noise).astype(np.int16)] * 3)
    return cv2.add(seen, grain, dtype=cv2.CV_8U)
