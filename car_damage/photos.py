"""Bytes to an upright RGB photo to the model's image: the one door for training and serving.

Orientation, colour and size are settled here. The scaling that a backbone wants is the first layer
of the model, so that nobody can forget it and arrays stay a quarter of the size of floats.
"""

import io
import logging
import math
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from car_damage import heif, pixel_limits

if TYPE_CHECKING:
    from pillow_heif import HeifImage

SIZE = 224  # pixels: the side of the image that the backbones were pre-trained on
MIN_SIDE = 64  # pixels: below it no damage can be told
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # Pillow's; JPEG includes MPO
NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF"  # for people
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".hif", ".avif"}
)
MID_GREY = 128
STRIP = 1 << 20  # pixels that are turned to RGB at a time, to need no second copy of the photo
MOST_RGB = 16_000_000  # pixels of a decoded photo, however narrow: 48 MB

# How files begin whose header, where it cannot be read, is a photo's all the same.
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*")
# What Pillow itself takes for signs of a broken file while it opens one; fuzzing shows that such
# errors escape while it decodes, too.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, struct.error)
# What turns the picture upright, by EXIF orientation.
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.transpose(1, 0, 2),
    6: lambda picture: picture[::-1].transpose(1, 0, 2),
    7: lambda picture: picture[::-1, ::-1].transpose(1, 0, 2),
    8: lambda picture: picture[:, ::-1].transpose(1, 0, 2),
}
ON_ITS_SIDE = (5, 6, 7, 8)

NO_HEIC = (
    "HEIC photos cannot be read on this computer; save it as JPEG (on an iPhone: Settings, Camera, "
    "Formats, Most Compatible)"
)

Photo = np.ndarray  # uint8 (height, width, 3), RGB
OpenedPhoto: TypeAlias = "Image.Image | HeifImage"
Reason = Literal["empty", "not_a_photo", "truncated", "too_small", "too_large"]


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

    A JPEG comes at the smallest number of eighths of its size that leaves both sides at least
    `at_least` pixels: the decoder skips what a smaller picture does not need. Other formats come
    at a whole fraction of their size that leaves both sides at least twice `at_least`, and at most
    `MOST_RGB` pixels. Alpha is laid over mid-grey; of an animation or a burst the first or the
    primary picture counts; 10, 12 and 16 bits become 8.

    Raises `UnusablePhoto`. The size that the header claims is checked before a pixel is decoded,
    against what the format's decoder needs (`pixel_limits`).
    """
    image = _open(data)
    turn = TURNS.get(_orientation(image))
    picture = _decode_jpeg(data, image, at_least)
    if picture is None:
        with _broken_is("truncated"):
            picture = _decode_in_strips(image, at_least)
    return picture if turn is None else np.ascontiguousarray(turn(picture))


def header_size(data: bytes) -> tuple[int, int]:
    """Width and height of the upright photo in pixels, from its header. Raises `UnusablePhoto`."""
    image = _open(data)
    width, height = image.size
    return (height, width) if _orientation(image) in ON_ITS_SIDE else (width, height)


def decoding_memory(data: bytes) -> int:
    """About how many bytes decoding the photo takes; 0 if its header is refused."""
    try:
        image = _open(data)
    except UnusablePhoto:
        return 0
    return int(math.prod(image.size) * pixel_limits.kind_of(image, data).bytes_per_pixel)


def fit(photo: Photo, size: int = SIZE) -> Photo:
    """Squeeze a photo to the model's image, `uint8` (size, size, 3), whatever its proportions."""
    # Averaging areas keeps moiré out where a side is more than halved; below that, bilinear does,
    # in a fifth of the time. OpenCV averages only where no side grows, so that one comes after.
    if max(photo.shape[:2]) > 2 * size:
        shrunk = (min(size, photo.shape[1]), min(size, photo.shape[0]))
        photo = cv2.resize(photo, shrunk, interpolation=cv2.INTER_AREA)
    return cv2.resize(photo, (size, size), interpolation=cv2.INTER_LINEAR)


def shrink(photo: Photo, longest: int) -> Photo:
    """The photo with no side above `longest` pixels: only JPEGs come small from `decode`."""
    scale = longest / max(photo.shape[:2])
    if scale >= 1:
        return photo
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)


def encode_png(photo: Photo) -> bytes:
    """The photo as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))[1].tobytes()


def encode_jpeg(photo: Photo, quality: int = 85) -> bytes:
    """The photo as a JPEG file of this quality, 1 to 100."""
    bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def recompress(image: Photo, quality: int) -> Photo:
    """The image, `uint8` (size, size, 3), after a JPEG of this quality, 1 to 100."""
    jpeg = np.frombuffer(encode_jpeg(image, quality), np.uint8)
    again = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert again is not None, "OpenCV cannot read its own JPEG"
    return cv2.cvtColor(again, cv2.COLOR_BGR2RGB)


def _open(data: bytes) -> OpenedPhoto:
    """The photo with its header read and its size checked, and no pixel decoded."""
    if not data:
        raise UnusablePhoto("empty", "the file is empty")
    _silence_pillow()
    brand = heif.brand(data)
    if brand == "HEIF" and not heif.AVAILABLE:
        raise UnusablePhoto("not_a_photo", NO_HEIC)
    begins_like_one = data.startswith(SIGNATURES) or data[8:12] == b"WEBP" or brand
    with _broken_is("truncated" if begins_like_one else "not_a_photo"):
        image = heif.read_header(data) if brand == "HEIF" else _open_with_pillow(data)
        kind = pixel_limits.kind_of(image, data)
    _check_size(*image.size, kind)
    return image


def _open_with_pillow(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


@cache  # once per process: `warnings.catch_warnings` around each photo is not safe in threads
def _silence_pillow() -> None:
    """Keep Pillow quiet about odd EXIF and large sizes: what matters is refused with a reason."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


@contextmanager
def _broken_is(reason: Literal["not_a_photo", "truncated"]) -> Iterator[None]:
    """Turn what the decoders raise on a broken file into `UnusablePhoto`; the rest are bugs."""
    try:
        yield
    except Image.DecompressionBombError as error:
        limit = pixel_limits.MAX_PIXELS // 1_000_000
        raise UnusablePhoto("too_large", f"the photo has more than {limit} megapixels") from error
    except (*BROKEN, *heif.BROKEN) as error:
        message = {
            "not_a_photo": f"the file is not a {NAMES} photo",
            "truncated": "the photo is cut short or damaged",
        }[reason]
        raise UnusablePhoto(reason, message) from error


def _orientation(image: OpenedPhoto) -> int:
    """The EXIF orientation, 1 to 8, from what stands before the pixels.

    EXIF that cannot be read turns nothing and refuses no photo. Pillow's `exif_transpose` fails on
    it, since it writes the rest of the EXIF anew. For an AVIF, Pillow puts what `irot` and `imir`
    say in the place of what EXIF says.
    """
    if not isinstance(image, Image.Image) or image.format == "TIFF":
        return 1  # libheif and Pillow turn them while they decode, and give the upright size before
    try:
        # The base class's method: a PNG's own decodes every pixel to look for EXIF behind them.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except BROKEN:
        return 1
    return orientation if isinstance(orientation, int) else 1  # the tag may hold anything


def _decode_jpeg(data: bytes, image: OpenedPhoto, at_least: int) -> Photo | None:
    """An ordinary JPEG by libjpeg-turbo itself, without Pillow's copies; None where it objects.

    Strict, so that a photo that is cut short is not filled up. What it objects to may still be
    harmless, such as bytes between segments: Pillow decides then, as it does on CMYK.
    """
    if not isinstance(image, Image.Image) or image.format not in ("JPEG", "MPO"):
        return None
    if image.mode not in ("RGB", "L"):
        return None
    try:
        return simplejpeg.decode_jpeg(data, min_height=at_least, min_width=at_least)
    except ValueError:
        return None


def _check_size(width: int, height: int, kind: pixel_limits.Kind) -> None:
    if min(width, height) < MIN_SIDE:
        raise UnusablePhoto(
            "too_small", f"the photo has {width} x {height} pixels; {MIN_SIDE} a side are needed"
        )
    if width * height > kind.pixels:
        has = f"the photo has {width * height / 1e6:,.1f} megapixels"
        most = f"the limit for {kind.name} is {kind.pixels // 1_000_000} megapixels"
        raise UnusablePhoto("too_large", f"{has}; {most}")


def _decode_in_strips(image: OpenedPhoto, at_least: int) -> Photo:
    """The whole picture in RGB, averaged over squares where it is much larger than needed.

    Only the decoder holds all pixels: a strip at a time is turned to RGB and shrunk.
    """
    if isinstance(image, Image.Image):
        image.draft(None, (at_least, at_least))  # size only: a mode would drop CMYK's inversion
    image.load()
    width, height = image.size
    factor = _shrink_factor(width, height, at_least)
    picture = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    rows = factor * max(1, STRIP // (width * factor))
    for top in range(0, height, rows):
        strip = np.asarray(_to_rgb(_rows(image, top, min(top + rows, height))))
        place = picture[top // factor : -(-(top + strip.shape[0]) // factor)]
        size = place.shape[1::-1]
        place[:] = strip if factor == 1 else cv2.resize(strip, size, interpolation=cv2.INTER_AREA)
    return picture


def _shrink_factor(width: int, height: int, at_least: int) -> int:
    wanted = min(width, height) // (2 * at_least)
    return max(1, wanted, math.ceil(math.sqrt(width * height / MOST_RGB)))


def _rows(image: OpenedPhoto, top: int, bottom: int) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.crop((0, top, image.width, bottom))
    return heif.rows(image, top, bottom)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey at 255 where it should divide by 257: all but black turns white.
        image = Image.fromarray(cv2.convertScaleAbs(np.asarray(image.convert("I")), alpha=1 / 257))
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    layer = image.convert("RGBA")
    ground = Image.new("RGB", image.size, (MID_GREY, MID_GREY, MID_GREY))
    ground.paste(layer, mask=layer)
    return ground
