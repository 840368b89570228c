"""Decoding and fitting photos: formats, orientation, colours, and reasons for a refusal."""

import io
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from car_damage import photos
from car_damage.photos import MID_GREY, UnusablePhoto, decode, fit, header_size
from tests.photo_files import heic

WIDTH, HEIGHT = 120, 80
ORIENTATION = 0x0112
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

# photos.py silences Pillow; pytest undoes that.
pytestmark = pytest.mark.filterwarnings(r"ignore::Warning:PIL\.")


def quarters(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture that shows how it is turned: red, green over blue, white."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    picture[height // 2 :, width // 2 :] = (240, 240, 240)
    return picture


def encoded(picture: np.ndarray | Image.Image, file_format: str = "PNG", **options) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def grain(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture that compresses badly, so that a cut file has lost pixels and not only its end."""
    small = np.random.default_rng(7).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return np.kron(small, np.ones((4, 4, 1), np.uint8))


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright picture for an orientation: EXIF 2.32, section 4.6.4."""
    turn = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation]
    return np.ascontiguousarray(turn(picture))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly a pixel."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + png_chunk(b"IEND", b"")


def reason_for(data: bytes) -> str:
    with pytest.raises(UnusablePhoto) as caught:
        decode(data)
    assert str(caught.value), "the reason comes with a sentence"
    return caught.value.reason


def alike(photo: np.ndarray, picture: np.ndarray) -> bool:
    """Whether two pictures differ by no more than lossy compression does, edges left out."""
    if photo.shape != picture.shape:
        return False
    return float(np.median(np.abs(photo.astype(int) - picture))) <= 6


# What comes out


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_comes_out_as_rgb_bytes(file_format):
    photo = decode(encoded(quarters(), file_format))
    assert photo.dtype == np.uint8
    assert photo.flags.c_contiguous
    assert alike(photo, quarters())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_photo_comes_out_upright(file_format, orientation):
    stored = encoded(turned(quarters(), orientation), file_format, exif=exif_with(orientation))
    assert alike(decode(stored), quarters())
    assert header_size(stored) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "exif",
    [*map(exif_with, (0, 9, 255)), b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0"],
)
def test_a_photo_with_broken_exif_is_used_as_it_is(exif):
    stored = encoded(quarters(), "JPEG", exif=exif)
    assert alike(decode(stored), quarters())
    assert header_size(stored) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("width", "height", "decoded"),
    [
        (448, 448, (224, 224)),  # four eighths
        (447, 447, (224, 224)),  # libjpeg rounds up
        (446, 446, (279, 279)),  # five eighths
        (896, 2000, (224, 500)),
        (224, 224, (224, 224)),
        (4032, 3024, (504, 378)),  # one eighth is as small as it gets
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_large_enough(width, height, decoded):
    stored = encoded(np.full((height, width, 3), 90, np.uint8), "JPEG")
    assert decode(stored, at_least=224).shape[:2] == decoded[::-1]
    assert header_size(stored) == (width, height)


@pytest.mark.parametrize(
    ("side", "file_format", "once"),
    [(side, "JPEG", True) for side in (100, 254, 1341, 1784, 2681)]  # at 8, 2 and 1 eighths
    + [(side, "JPEG", False) for side in (255, 1340, 1785, 2680)]
    + [(1000, "PNG", False)],
)
def test_a_photo_decoded_for_two_sizes_has_the_pixels_of_each(side, file_format, once):
    stored = encoded(grain(side + 4, side + 4)[:side, :side], file_format)
    large, small = photos.decode_for_both(stored, large=336, small=224)
    assert np.array_equal(large, decode(stored, at_least=336))
    assert np.array_equal(small, decode(stored, at_least=224))
    assert (large is small) == once


@given(width=st.integers(64, 700), height=st.integers(64, 700), at_least=st.integers(32, 320))
def test_a_jpeg_is_never_decoded_smaller_than_asked(width, height, at_least):
    photo = decode(encoded(np.zeros((height, width, 3), np.uint8), "JPEG"), at_least)
    assert photo.shape[0] >= min(height, at_least)
    assert photo.shape[1] >= min(width, at_least)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_other_formats_are_shrunk_to_at_least_twice_the_requested_size(file_format):
    stored = encoded(quarters(961, 650), file_format)
    assert decode(stored, at_least=224).shape == (650, 961, 3)
    assert alike(decode(stored, at_least=64), quarters(193, 130))  # a fifth, rounded up


def test_a_photo_that_is_shrunk_in_strips_is_the_average_of_its_pixels(monkeypatch):
    picture = np.random.default_rng(3).integers(0, 256, (648, 960, 4), np.uint8)
    expected = photos.shrink(decode(encoded(picture)), 320)
    monkeypatch.setattr(photos, "STRIP", 10_000)
    assert np.abs(decode(encoded(picture), at_least=108).astype(int) - expected).max() <= 1


def test_even_a_narrow_photo_has_at_most_16_megapixels():
    narrow = Image.new("L", (70_000, 500), 90)
    height, width, _ = decode(encoded(narrow)).shape
    assert (width, height) == (35_000, 250)


@pytest.mark.parametrize(("file_format", "scale"), [("JPEG", 1), ("JPEG", 4), ("TIFF", 1)])
def test_cmyk_keeps_its_colours(file_format, scale):  # in JPEGs it is inverted, as Adobe does it
    cmyk = Image.fromarray(quarters(scale * WIDTH, scale * HEIGHT)).convert("CMYK")
    assert alike(decode(encoded(cmyk, file_format), at_least=HEIGHT), quarters())


def test_grey_becomes_rgb():
    grey = quarters()[:, :, 1]
    assert np.array_equal(decode(encoded(grey)), np.repeat(grey[:, :, None], 3, axis=2))


def test_a_palette_keeps_its_colours_and_its_transparent_one_becomes_mid_grey():
    palette, expected = Image.fromarray(quarters()).quantize(8), quarters()
    assert np.array_equal(decode(encoded(palette)), expected)
    expected[: HEIGHT // 2, : WIDTH // 2] = MID_GREY
    transparent = encoded(palette, transparency=palette.getpixel((0, 0)))
    assert np.array_equal(decode(transparent), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_mid_grey(mode):
    image = Image.new("RGB", (WIDTH, HEIGHT), (200, 200, 200)).convert(mode)
    image.putalpha(
        Image.fromarray(np.repeat([[0], [128], [255]], [20, 20, 40], 0).astype(np.uint8)).resize(
            (WIDTH, HEIGHT), Image.Resampling.NEAREST
        )
    )
    rows = decode(encoded(image))[:, 0, 0]
    assert rows[0] == MID_GREY
    assert rows[30] == pytest.approx((MID_GREY + 200) / 2, abs=1)
    assert rows[-1] == 200


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_brightness(file_format):
    steps = np.repeat(np.linspace(0, 65535, HEIGHT).astype(np.uint16)[:, None], WIDTH, axis=1)
    photo = decode(encoded(steps, file_format))
    assert np.abs(photo[:, :, 0] - steps / 257).max() <= 0.5


def test_16_bit_rgb_keeps_its_brightness():
    ok, png = cv2.imencode(".png", quarters()[:, :, ::-1].astype(np.uint16) * 257)
    assert ok
    assert np.array_equal(decode(png.tobytes()), quarters())


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_picture(file_format):
    second = Image.fromarray(255 - quarters())
    options = {"lossless": True} if file_format == "WEBP" else {}
    stored = encoded(quarters(), file_format, save_all=True, append_images=[second], **options)
    assert alike(decode(stored), quarters())


def test_a_phones_mpo_gives_its_first_picture_scaled():
    second = Image.fromarray(255 - quarters(480, 320))
    stored = encoded(quarters(480, 320), "MPO", save_all=True, append_images=[second])
    assert alike(decode(stored, at_least=80), quarters())


# What is refused


@pytest.mark.parametrize(
    "data",
    [
        b"Dear sir, my car was hit.",
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"/>',
        b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(100),
        b"%PDF-1.7\n",
        b"\0",
        bytes(1000),
    ],
    ids=["text", "html", "svg", "zip", "pdf", "one byte", "zeros"],
)
def test_rejects_files_that_are_not_photos(data):
    assert reason_for(data) == "not_a_photo"
    with pytest.raises(UnusablePhoto):
        header_size(data)


def test_an_empty_file_is_refused():
    assert reason_for(b"") == "empty"


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize(
    ("file_format", "options", "scale"),  # a large JPEG is decoded at a reduced scale
    [*((kind, {}, 1) for kind in FORMATS), ("JPEG", {}, 8), ("JPEG", {"progressive": True}, 8)],
)
def test_rejects_a_truncated_photo_and_never_fills_it_up(file_format, options, scale, tenth):
    stored = encoded(grain(scale * WIDTH, scale * HEIGHT), file_format, **options)
    assert reason_for(stored[: len(stored) * tenth // 10]) == "truncated"


def test_a_jpeg_without_its_end_marker_is_refused():
    # All pixels may be there, but nothing in the file says so.
    assert reason_for(encoded(grain(), "JPEG")[:-2]) == "truncated"


def test_a_png_that_lost_only_its_empty_last_chunk_has_all_its_pixels():
    assert np.array_equal(decode(encoded(grain())[:-12]), grain())


@pytest.mark.parametrize(("width", "height"), [(1, 1), (63, 200), (200, 63)])
def test_a_side_below_64_pixels_is_too_small(width, height):
    assert reason_for(encoded(np.zeros((height, width, 3), np.uint8), "JPEG")) == "too_small"
    assert decode(encoded(np.zeros((64, 64, 3), np.uint8), "JPEG")).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("width", "height"), [(60_000, 60_000), (2**31 - 1, 64), (10_000, 5_001), (64, 781_251)]
)
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(width, height):
    assert reason_for(png_header(width, height)) == "too_large"
    with pytest.raises(UnusablePhoto, match="50 megapixels"):
        header_size(png_header(width, height))


def test_accepts_50_megapixels_from_the_header_alone():
    assert header_size(png_header(10_000, 5_000)) == (10_000, 5_000)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_rejects_a_chunk_that_decompresses_to_an_enormous_size(kind):
    bomb = zlib.compress(bytes(64_000_000), 9)
    body = b"x\0\1\0\0\0" + bomb if kind == b"iTXt" else b"x\0\0" + bomb
    whole = encoded(quarters())
    stored = whole[:33] + png_chunk(kind, body) + whole[33:]  # behind IHDR
    assert reason_for(stored) == "truncated"


def test_broken_exif_raises_no_warning_to_the_user(tmp_path):
    broken = encoded(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0")
    (tmp_path / "broken.jpg").write_bytes(broken)
    code = "import sys, pathlib, warnings; from car_damage import photos\n"
    code += "assert 'PIL' not in str(warnings.filters), 'an import changed the filters'\n"
    code += "photos.decode(pathlib.Path(sys.argv[1]).read_bytes())"
    command = [sys.executable, "-c", code, str(tmp_path / "broken.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Whatever comes, it is a photo or refused


def checked(data: bytes) -> None:
    try:
        photo = decode(data, at_least=48)
        width, height = header_size(data)
    except UnusablePhoto:
        return
    assert photo.dtype == np.uint8
    assert photo.shape[2] == 3
    assert width >= photos.MIN_SIDE
    assert height >= photos.MIN_SIDE


BEGINNINGS = (
    *(b"", *photos.SIGNATURES, b"BM", b"RIFF\0\0\0\0WEBPVP8 "),
    *(b"\0\0\0\x10ftypheic\0\0\0\0", b"\0\0\0\x10ftypavif\0\0\0\0"),
)


@given(st.sampled_from(BEGINNINGS), st.binary())
def test_arbitrary_bytes_are_decoded_or_rejected(beginning, rest):
    checked(beginning + rest)


def mutable_photos() -> list[bytes]:
    image = Image.fromarray(grain(80, 64))
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 4\n4578\n", zip=True)
    exif = exif_with(6)
    exif[0x010F] = "a maker"
    with_exif = ("JPEG", "WEBP", "TIFF", "AVIF")
    others = [encoded(image, file_format, exif=exif) for file_format in with_exif]
    return [
        *others,
        encoded(image, "JPEG", progressive=True),
        encoded(image, pnginfo=text),
        encoded(image.quantize(16), transparency=3),
        encoded(image, "GIF"),
        encoded(image, "BMP"),
        encoded(image, "MPO", save_all=True, append_images=[image]),
        heic(image, exif=exif.tobytes()),
        heic(image.quantize(16).convert("RGBA"), tile_size=64),
    ]


@st.composite
def damaged_files(draw) -> bytes:
    """A photo file with a few bytes flipped, cut out or put in, more of them near its beginning."""
    data = bytearray(draw(st.sampled_from(MUTABLE)))
    for _ in range(draw(st.integers(1, 4))):
        reach = draw(st.sampled_from([64, 600, len(data)]))
        at = draw(st.integers(0, max(0, min(reach, len(data)) - 1)))
        length = draw(st.sampled_from([0, 1, 4, 32]))
        data[at : at + length] = draw(st.binary(max_size=32))
    return bytes(data[: draw(st.integers(len(data) // 2, len(data)))])


MUTABLE = mutable_photos()


@settings(max_examples=400)
@given(damaged_files())
def test_a_damaged_file_is_decoded_or_rejected(data):
    checked(data)


# The model's image


@pytest.mark.parametrize(("width", "height"), [(120, 80), (80, 120), (64, 6400), (6400, 64)])
def test_every_photo_becomes_an_image_of_the_models_size(width, height):
    image = fit(quarters(width, height), 96)
    assert image.shape == (96, 96, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable


def test_the_image_shows_the_whole_photo_and_keeps_a_photo_of_its_size():
    assert alike(fit(quarters(), 96), quarters(96, 96))
    assert np.array_equal(fit(quarters(96, 96), 96), quarters(96, 96))


def test_fine_stripes_turn_grey_and_not_into_moire():
    stripes = np.zeros((70, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    middle = fit(stripes, 96)[48, 8:-8, 0].astype(int)
    assert np.abs(middle - 128).max() <= 40
