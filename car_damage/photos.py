"""Bytes to an upright RGB photo to the model's square: the one door for training and serving.

Orientation, colour and size are settled here. The scaling that a backbone wants is the first layer
of the model, so that nobody can forget it and arrays stay a quarter of the size of floats.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageOps

SIZE = 224  # pixels: the side of the square that the backbones were pre-trained on
MIN_SIDE = 64  # pixels: below it no damage can be told
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")  # MPO: what some phones call a JPEG
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MID_GREY = 128

# Pillow's own limit on pixels only warns at a size we still take; ours is checked from the header.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

Photo = np.ndarray  # uint8 (height, width, 3), RGB
Reason = Literal["empty", "not_a_photo", "truncated", "too_small", "too_large"]
Fit = Literal["squeeze", "letterbox", "crop"]


class UnusablePhoto(Exception):  # noqa: N818 - the house's word
    """A photo that cannot be used; `reason` is the stable word for why, the text the sentence."""

    def __init__(self, reason: Reason, message: str):
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: the left and top edge belong to it, the right and bottom do not."""

    left: float
    top: float
    right: float
    bottom: float


def decode(data: bytes, at_least: int = SIZE) -> Photo:
    """Decode a photo upright, in RGB, as `uint8` (height, width, 3).

    A JPEG comes at the smallest of the scales 1/8, 1/4, 1/2 and 1 that leaves both sides at least
    `at_least` pixels: the decoder skips what a smaller picture does not need. Alpha is laid over
    mid-grey; of an animation the first picture counts; 16 bits become 8.

    Raises `UnusablePhoto`. The size that the header claims is checked before a pixel is decoded.
    """
    image = _open(data)
    _check_size(*image.size)
    image.draft(None, (at_least, at_least))  # sizes only: a draft mode would drop CMYK's inversion
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnusablePhoto("truncated", "the photo is cut short or damaged") from error
    return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))


def header_size(data: bytes) -> tuple[int, int]:
    """Width and height of the upright photo in pixels, from its header alone."""
    image = _open(data)
    width, height = image.size
    turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientations 5 to 8 lie on their side
    return (height, width) if turned else (width, height)


def fit(photo: Photo, size: int = SIZE, how: Fit = "squeeze") -> Photo:
    """Make the model's square, `uint8` (size, size, 3).

    `squeeze` ignores the proportions, `letterbox` keeps them and fills with mid-grey, `crop` keeps
    them and cuts the longer side's ends off.
    """
    height, width = photo.shape[:2]
    if how == "squeeze":
        return _resize(photo, size, size)
    inner = _inner_box(width, height, size, how)
    scaled = _resize(photo, round(inner.right - inner.left), round(inner.bottom - inner.top))
    if how == "crop":
        top, left = round(-inner.top), round(-inner.left)
        return np.ascontiguousarray(scaled[top : top + size, left : left + size])
    square = np.full((size, size, 3), MID_GREY, np.uint8)
    top, left = round(inner.top), round(inner.left)
    square[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return square


def unfit(box: Box, width: int, height: int, size: int, how: Fit) -> Box:
    """Map a box in the square of `fit` back to pixels of the photo, clipped to its edges."""
    inner = _inner_box(width, height, size, how)
    across = width / (inner.right - inner.left)
    down = height / (inner.bottom - inner.top)
    return Box(
        left=_clip((box.left - inner.left) * across, width),
        top=_clip((box.top - inner.top) * down, height),
        right=_clip((box.right - inner.left) * across, width),
        bottom=_clip((box.bottom - inner.top) * down, height),
    )


def _open(data: bytes) -> Image.Image:
    if not data:
        raise UnusablePhoto("empty", "the file is empty")
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnusablePhoto("not_a_photo", "the file is not a photo in a format we read") from error


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise UnusablePhoto(
            "too_small", f"the photo has {width} x {height} pixels; {MIN_SIDE} a side are needed"
        )
    if width * height > MAX_PIXELS:
        raise _too_large()


def _too_large() -> UnusablePhoto:
    limit = MAX_PIXELS // 1_000_000
    return UnusablePhoto("too_large", f"the photo has more than {limit} megapixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (MID_GREY, MID_GREY, MID_GREY, 255))
        image = Image.alpha_composite(ground, layer)
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    # Pillow clips 16-bit grey at 255 where it should divide by 257, so that all but black is white.
    return Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8))


def _resize(photo: Photo, width: int, height: int) -> Photo:
    shrinks = width * height < photo.shape[0] * photo.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # area: no moiré where pixels are lost
    return cv2.resize(photo, (width, height), interpolation=how)


def _inner_box(width: int, height: int, size: int, how: Fit) -> Box:
    """Where the whole photo lies in the square's pixels; with `crop` it reaches past the square."""
    if how == "squeeze":
        return Box(0, 0, size, size)
    scale = size / (max(width, height) if how == "letterbox" else min(width, height))
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - inner_width) // 2, (size - inner_height) // 2
    return Box(left, top, left + inner_width, top + inner_height)


def _clip(value: float, top: float) -> float:
    return min(max(value, 0.0), float(top))
