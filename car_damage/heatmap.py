"""A heatmap drawn over the photo that it speaks of."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from car_damage import photos
from car_damage.photos import Box, Photo

# Log-odds at which the colour is full: at it, a quarter of the photo raises the answer's log-odds
# by 3, to odds 20 times as high. The scale is the same for every photo: one stretched to each
# photo's own highest value would paint the faintest doubt about a whole car as glaring as a crash.
FULL = 12.0
OPACITY = 0.6  # of the full colour: the damage beneath stays visible
COLOURS = cv2.COLORMAP_PLASMA  # even steps look even, also to the colour-blind; few cars are so
FIRST_COLOUR = 100  # of 255: the darker ones would look like shadows

# Text in each PNG drawn here, so that nobody takes it for a photo of a car.
MARK = b"Software\0car_damage heatmap"
HEADER = 33  # bytes of a PNG up to which its signature and IHDR reach


def png(photo: Photo, heatmap: np.ndarray) -> bytes:
    """Draw a heatmap over an upright photo, as a PNG file's bytes. `heatmap` is as in `overlay`."""
    plain = photos.encode_png(overlay(photo, heatmap))
    text = b"tEXt" + MARK
    chunk = struct.pack(">I", len(MARK)) + text + struct.pack(">I", zlib.crc32(text))
    return plain[:HEADER] + chunk + plain[HEADER:]


def is_drawn(path: Path) -> bool:
    """Whether a file is a PNG that `png` has drawn; False also if it cannot be read."""
    try:
        with path.open("rb") as file:
            return MARK in file.read(HEADER + 8 + len(MARK))
    except OSError:
        return False


def overlay(photo: Photo, heatmap: np.ndarray) -> Photo:
    """Colour the places where a `Prediction`'s heatmap, float32 (h, w), speaks for damage."""
    spread = cv2.resize(heatmap, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    strength = np.clip(spread / FULL, 0, 1)
    steps = np.rint(FIRST_COLOUR + strength * (255 - FIRST_COLOUR)).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(steps, COLOURS), cv2.COLOR_BGR2RGB)
    opacity = (OPACITY * np.sqrt(strength))[:, :, np.newaxis]  # root: else the faint is invisible
    return np.rint(photo + opacity * (colour.astype(np.float32) - photo)).astype(np.uint8)


def strongest_place(heatmap: np.ndarray, width: int, height: int) -> Box | None:
    """Where the heatmap points at, in pixels of the photo; None where no place speaks for damage.

    The box round the highest place and those beside it that are at least half as high. `heatmap`
    is as in `overlay`; `width` and `height` are the upright photo's.
    """
    peak = heatmap.max()
    if peak <= 0:
        return None
    _, areas = cv2.connectedComponents((heatmap >= peak / 2).astype(np.uint8))
    rows, columns = np.nonzero(areas == areas.flat[heatmap.argmax()])
    down, across = height / heatmap.shape[0], width / heatmap.shape[1]
    left, right = columns.min(), columns.max() + 1
    top, bottom = rows.min(), rows.max() + 1
    return Box(left * across, top * down, right * across, bottom * down)
