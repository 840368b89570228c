"""Heatmaps drawn over their photos."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from car_damage import photos
from car_damage.photos import Box, Photo

# Log-odds with full colour: if a quarter of the photo has this value, the answer's log-odds rise by
# 3, which makes the odds 20 times as high. Every photo has the same scale. With a scale of its own,
# the slightest doubt about an undamaged car would look as glaring as a crash.
FULL = 12.0
OPACITY = 0.6  # of the full colour, so that the damage below stays visible
COLOURS = cv2.COLORMAP_PLASMA  # even steps also for the colour-blind, and unlike most car paint
FIRST_COLOUR = 100  # of 255: darker colours would look like shadows

# A text in each heatmap's PNG, so that programs do not take it for a photo.
MARK = b"Software\0car_damage heatmap"
HEADER = 33  # bytes of a PNG's signature and IHDR


def png(photo: Photo, heatmap: np.ndarray) -> bytes:
    """Draw a heatmap over an upright photo; return a PNG file's bytes. See `overlay`."""
    plain = photos.encode_png(overlay(photo, heatmap))
    text = b"tEXt" + MARK
    chunk = struct.pack(">I", len(MARK)) + text + struct.pack(">I", zlib.crc32(text))
    return plain[:HEADER] + chunk + plain[HEADER:]


def is_drawn(path: Path) -> bool:
    """Whether a file is a PNG made by `png`; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return MARK in file.read(HEADER + 8 + len(MARK))
    except OSError:
        return False


def overlay(photo: Photo, heatmap: np.ndarray) -> Photo:
    """Colour the places where a `Prediction`'s heatmap, float32 (h, w), shows damage."""
    spread = cv2.resize(heatmap, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    strength = np.clip(spread / FULL, 0, 1)
    steps = np.rint(FIRST_COLOUR + strength * (255 - FIRST_COLOUR)).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(steps, COLOURS), cv2.COLOR_BGR2RGB)
    opacity = (OPACITY * np.sqrt(strength))[:, :, np.newaxis]  # root: keeps faint ones visible
    return np.rint(photo + opacity * (colour.astype(np.float32) - photo)).astype(np.uint8)


def strongest_place(heatmap: np.ndarray, width: int, height: int) -> Box | None:
    """The box with the strongest sign of damage, in pixels of the photo; None if there is none.

    The box contains the highest value and its neighbours that are at least half as high. `heatmap`
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
