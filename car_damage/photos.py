"""Decode photos and fit them to the model's input. Training and serving both use this module.

It handles orientation, colour and size. The first layer of the model scales the pixels as its
backbone needs them, so nobody can forget that, and arrays take a quarter of the space of floats.
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
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
import simplejpeg
from PIL import Image, PngImagePlugin

from car_damage import exif, heif, jpeg, pixel_limits

if TYPE_CHECKING:
    from pillow_heif import HeifImage

SIZE = 224  # pixels: the side of the images that the backbones were pre-trained on
MIN_SIDE = 64  # pixels: in smaller photos, damage cannot be seen
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # Pillow's; JPEG includes MPO
NAMES = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF"  # for messages
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".hif", ".avif"}
)
MID_GREY = 128
STRIP = 1 << 20  # pixels to convert to RGB at a time, which avoids a second copy of the photo
MOST_RGB = 16_000_000  # pixels of a decoded photo of any proportions: 48 MB
MOST_TEXT = 16 << 20  # bytes of a PNG's colour profile, or of one of its texts, decompressed

# The first bytes of photos. A file that begins like this is a photo, even if its header is broken.
SIGNATURES = (jpeg.START, b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*")
# Exceptions that Pillow treats as signs of a broken file while it opens one. Fuzzing has shown that
# it also raises them while it decodes.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, struct.error)
# For each EXIF orientation, the function that turns the picture upright.
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
    "HEIC photos cannot be read on this computer. Save the photo as JPEG (on an iPhone: Settings, "
    "Camera, Formats, Most Compatible)"
)

Photo = np.ndarray  # uint8 (height, width, 3), RGB
Decoder: TypeAlias = "Image.Image | HeifImage"
Reason = Literal["empty", "not_a_photo", "truncated", "too_small", "too_large", "too_complex"]

TOO_COMPLEX = "the photo takes too much time or memory to decode. Save it as an ordinary JPEG"


class UnusablePhoto(Exception):  # noqa: N818 - the project's term
    """A photo that cannot be used: `reason` is a stable word for programs, the text is for people.

    The text begins in lower case and has no full stop at its end.
    """

    def __init__(self, reason: Reason, message: str):
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; it includes its left and top edges, but not the right and bottom."""

    left: float
    top: float
    right: float
    bottom: float


class Header(NamedTuple):
    """A photo's upright size and the memory to decode it, known before it is decoded."""

    width: int  # pixels
    height: int
    memory: int  # bytes, approximately


def decode(data: bytes, at_least: int = SIZE) -> Photo:
    """Decode a photo to upright RGB, `uint8` (height, width, 3).

    A JPEG is decoded at the smallest number of eighths of its size that leaves both sides at least
    `at_least` pixels, because the decoder can skip the detail that a smaller picture does not need.
    Other formats are reduced to a whole fraction of their size that leaves both sides at least
    twice `at_least`, and at most `MOST_RGB` pixels. Transparent pixels are laid over mid-grey. An
    animation gives its first picture, a burst its primary one. 10, 12 and 16 bits become 8.

    Raises `UnusablePhoto`. The size in the header is checked before any pixel is decoded, against
    the memory that the format's decoder needs (`pixel_limits`). So is the work for a JPEG.
    """
    opened = _open(data)
    picture, decoder = None, opened.decoder
    if decoder is None:
        picture = _decode_ordinary_jpeg(data, at_least)
    if picture is None:
        with _broken_is("truncated"):
            picture = _decode_in_strips(decoder or _open_with_pillow(data), at_least)
    return _upright(picture, opened)


def decode_for_both(data: bytes, large: int, small: int) -> tuple[Photo, Photo]:
    """Decode like `decode` for two sizes. A JPEG is decoded once if both need the same scale."""
    photo = decode_ordinary_jpeg(data, large)
    if photo is None:
        return decode(data, large), decode(data, small)
    shorter = min(header_size(data))
    if _eighths(shorter, large) == _eighths(shorter, small):
        return photo, photo
    return photo, decode(data, small)


def decode_ordinary_jpeg(data: bytes, at_least: int = SIZE) -> Photo | None:
    """Decode like `decode`; None if the photo needs another decoder than libjpeg-turbo.

    The checks of `decode` bound time and memory. Raises `UnusablePhoto`.
    """
    if (opened := _open_ordinary_jpeg(data)) is None:
        return None
    picture = _decode_ordinary_jpeg(data, at_least)
    return None if picture is None else _upright(picture, opened)


def read_header(data: bytes) -> Header:
    """Read a photo's header. Raises `UnusablePhoto`."""
    return _header(_open(data))


def read_ordinary_jpeg_header(data: bytes) -> Header | None:
    """Read the header of a photo that `decode_ordinary_jpeg` can decode; None for others."""
    opened = _open_ordinary_jpeg(data)
    return None if opened is None else _header(opened)


def header_size(data: bytes) -> tuple[int, int]:
    """Width and height of an upright photo in pixels, from its header. Raises `UnusablePhoto`."""
    return read_header(data)[:2]


def fit(photo: Photo, size: int = SIZE) -> Photo:
    """Squeeze a photo of any proportions to the model's image, `uint8` (size, size, 3)."""
    # Averaging avoids moiré if a side shrinks to less than half. Otherwise bilinear is enough, in a
    # fifth of the time. OpenCV averages only if no side grows, so a side that grows comes second.
    if max(photo.shape[:2]) > 2 * size:
        shrunk = (min(size, photo.shape[1]), min(size, photo.shape[0]))
        photo = cv2.resize(photo, shrunk, interpolation=cv2.INTER_AREA)
    return cv2.resize(photo, (size, size), interpolation=cv2.INTER_LINEAR)


def shrink(photo: Photo, longest: int) -> Photo:
    """Shrink a photo so that no side is above `longest` pixels; `decode` shrinks only JPEGs."""
    scale = longest / max(photo.shape[:2])
    if scale >= 1:
        return photo
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)


def encode_png(photo: Photo) -> bytes:
    """Encode a photo as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))[1].tobytes()


def encode_jpeg(photo: Photo, quality: int = 85) -> bytes:
    """Encode a photo as a JPEG file of this quality, 1 to 100."""
    bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def recompress(image: Photo, quality: int) -> Photo:
    """Encode an image, `uint8` (size, size, 3), as a JPEG of quality 1 to 100, and decode it."""
    jpeg = np.frombuffer(encode_jpeg(image, quality), np.uint8)
    again = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert again is not None, "OpenCV cannot read its own JPEG"
    return cv2.cvtColor(again, cv2.COLOR_BGR2RGB)


class _Opened(NamedTuple):
    """A photo whose header was read and whose size was checked, before decoding."""

    size: tuple[int, int]  # width and height as the pixels are stored
    orientation: int
    kind: pixel_limits.Kind
    decoder: "Decoder | None"  # None: an ordinary JPEG, which needs neither Pillow nor libheif


def _open(data: bytes) -> _Opened:
    if not data:
        raise UnusablePhoto("empty", "the file is empty")
    if opened := _open_ordinary_jpeg(data):
        return opened
    _prepare_pillow()
    brand = heif.brand(data)
    if brand == "HEIF" and not heif.AVAILABLE:
        raise UnusablePhoto("not_a_photo", NO_HEIC)
    begins_like_one = data.startswith(SIGNATURES) or data[8:12] == b"WEBP" or brand
    scans = jpeg.scans(data) if data.startswith(jpeg.START) else []
    with _broken_is("truncated" if begins_like_one else "not_a_photo"):
        decoder = heif.read_header(data) if brand == "HEIF" else _open_with_pillow(data)
        opened = _Opened(
            decoder.size, _orientation(decoder), pixel_limits.kind_of(decoder, scans), decoder
        )
    _check_size(*opened.size, opened.kind, pixel_limits.allocated(decoder))
    _check_scans(*opened.size, scans)
    return opened


def _open_ordinary_jpeg(data: bytes) -> _Opened | None:
    """Read an ordinary JPEG's header; None for others. Refuse all JPEGs with too many parts."""
    header = jpeg.read_header(data)
    if header is None:
        return None
    if header.segments > jpeg.MOST_SEGMENTS or len(header.scans) > jpeg.MOST_SCANS:
        raise UnusablePhoto("too_complex", TOO_COMPLEX)
    if header.frame is None:
        return None
    width, height, sampling = header.frame
    kind = pixel_limits.jpeg_kind(sampling, header.scans)
    _check_size(width, height, kind, width * height)
    _check_scans(width, height, header.scans)
    return _Opened((width, height), header.orientation, kind, None)


def _header(opened: _Opened) -> Header:
    width, height = opened.size
    memory = int(width * height * opened.kind.bytes_per_pixel)
    if opened.orientation in ON_ITS_SIDE:
        width, height = height, width
    return Header(width, height, memory)


def _upright(picture: Photo, opened: _Opened) -> Photo:
    turn = TURNS.get(opened.orientation)
    return picture if turn is None else np.ascontiguousarray(turn(picture))


def _open_with_pillow(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


@cache  # once per process, because `warnings.catch_warnings` is not safe in threads
def _prepare_pillow() -> None:
    """Silence Pillow's warnings about odd EXIF and large sizes, and raise its limit for PNG texts.

    The functions here refuse unusable photos with a reason. Some editors write PNGs with megabytes
    of profiles and text, which Pillow would refuse by default.
    """
    PngImagePlugin.MAX_TEXT_CHUNK = MOST_TEXT
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


@contextmanager
def _broken_is(reason: Literal["not_a_photo", "truncated"]) -> Iterator[None]:
    """Turn the decoders' exceptions for broken files into `UnusablePhoto`; others are bugs."""
    try:
        yield
    except Image.DecompressionBombError as error:
        limit = pixel_limits.MAX_PIXELS // 1_000_000
        raise UnusablePhoto("too_large", f"the photo has more than {limit} megapixels") from error
    except MemoryError as error:
        raise UnusablePhoto("too_complex", TOO_COMPLEX) from error
    except (*BROKEN, *heif.BROKEN) as error:
        message = {
            "not_a_photo": f"the file is not a {NAMES} photo",
            "truncated": "the photo is incomplete or corrupt",
        }[reason]
        raise UnusablePhoto(reason, message) from error


def _orientation(decoder: Decoder) -> int:
    """The EXIF orientation, 1 to 8, from the metadata before the pixels.

    If EXIF cannot be read, the photo is used as it is. For an AVIF, Pillow replaces the value in
    EXIF with the one from `irot` and `imir`.
    """
    if not isinstance(decoder, Image.Image) or decoder.format == "TIFF":
        return 1  # libheif and Pillow turn these while decoding, and already give the upright size
    info = decoder.info
    stored = info.get("exif")
    if stored is None:
        stored = _hexadecimal(str(info.get("Raw profile type exif", "")))
    xmp = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
    return exif.orientation(stored, xmp.encode() if isinstance(xmp, str) else xmp)


def _hexadecimal(profile: str) -> bytes:
    """Parse a profile that ImageMagick wrote into a PNG: three lines, then hexadecimal digits."""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return b""


def _decode_ordinary_jpeg(data: bytes, at_least: int) -> Photo | None:
    """Decode a JPEG with libjpeg-turbo, without Pillow's copies; None if it reports a problem.

    It is strict, so that it does not fill up a truncated photo. The problem may still be harmless,
    such as bytes between segments. In that case Pillow decides.
    """
    try:
        return simplejpeg.decode_jpeg(data, min_height=at_least, min_width=at_least)
    except ValueError:
        return None


def _eighths(shorter: int, at_least: int) -> int:
    """The scale of `_decode_ordinary_jpeg`, from the shorter side in pixels; libjpeg rounds up."""
    return next((n for n in range(1, 8) if math.ceil(shorter * n / 8) >= at_least), 8)


def _check_scans(width: int, height: int, scans: list[int]) -> None:
    many = len(scans) > jpeg.MOST_SCANS or len(scans) * width * height > jpeg.MOST_SCANNED
    if many:
        raise UnusablePhoto("too_complex", TOO_COMPLEX)


def _check_size(width: int, height: int, kind: pixel_limits.Kind, allocated: int) -> None:
    if min(width, height) < MIN_SIDE:
        has = f"the photo has {width} x {height} pixels"
        raise UnusablePhoto("too_small", f"{has}; each side needs at least {MIN_SIDE}")
    most = f"the limit for {kind.name} is {kind.pixels // 1_000_000} megapixels"
    if width * height > kind.pixels:
        has = f"the photo has {width * height / 1e6:,.1f} megapixels"
        raise UnusablePhoto("too_large", f"{has}; {most}")
    if allocated > kind.pixels:
        has = f"the photo is stored in tiles of {allocated / 1e6:,.1f} megapixels"
        raise UnusablePhoto("too_large", f"{has}; {most}")


def _decode_in_strips(image: Decoder, at_least: int) -> Photo:
    """Decode a whole picture to RGB, and average it over squares if it is much too large.

    Only the decoder holds all pixels. One strip at a time is converted to RGB and shrunk.
    """
    if isinstance(image, Image.Image):
        image.draft(None, (at_least, at_least))  # size only; a mode would lose CMYK's inversion
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


def _rows(image: Decoder, top: int, bottom: int) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.crop((0, top, image.width, bottom))
    return heif.rows(image, top, bottom)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey at 255 instead of dividing by 257, which turns nearly all white.
        image = Image.fromarray(cv2.convertScaleAbs(np.asarray(image.convert("I")), alpha=1 / 257))
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    layer = image.convert("RGBA")
    ground = Image.new("RGB", image.size, (MID_GREY, MID_GREY, MID_GREY))
    ground.paste(layer, mask=layer)
    return ground
