"""Limits on the pixels of each kind of photo, and the memory that decoding takes."""

import io
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from car_damage import photos, pixel_limits
from car_damage.photos import UnusablePhoto, decode, read_header
from car_damage.pixel_limits import KINDS, MAX_PIXELS, MOST_MEMORY
from tests.photo_files import heic
from tests.test_photos import encoded

ROOT = Path(__file__).parents[1]

# photos.py silences Pillow; pytest undoes that.
pytestmark = pytest.mark.filterwarnings(r"ignore::Warning:PIL\.")


def kind_of(data: bytes) -> pixel_limits.Kind:
    return photos._open(data).kind


def flat(mode: str = "RGB", size: tuple[int, int] = (100, 80)) -> Image.Image:
    return Image.new(mode, size)


def without_interleaving(data: bytes) -> bytes:
    """A baseline JPEG whose first scan claims to hold one of its three components."""
    at = data.index(b"\xff\xda")
    return data[:at] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + data[at + 14 :]


@pytest.mark.parametrize(
    ("mode", "options", "megapixels"),
    [
        ("RGB", {}, 50),
        ("RGB", {"subsampling": 0}, 50),
        ("CMYK", {}, 50),
        ("L", {"progressive": True}, 50),
        ("RGB", {"progressive": True}, 50),  # 4:2:0
        ("RGB", {"progressive": True, "subsampling": 0}, 40),
        ("CMYK", {"progressive": True}, 30),
    ],
)
def test_a_jpeg_in_several_scans_has_the_limit_that_its_coefficients_leave(
    mode, options, megapixels
):
    assert kind_of(encoded(flat(mode), "JPEG", **options)).pixels // 10**6 == megapixels


def test_recognises_a_baseline_jpeg_in_several_scans():
    data = without_interleaving(encoded(flat(), "JPEG", subsampling=0))
    assert kind_of(data).pixels // 10**6 == 40


@pytest.mark.parametrize(
    ("picture", "options", "megapixels"),
    [
        (flat(), {}, 50),
        (flat("L"), {}, 50),
        (flat("RGBA"), {}, 31),
        (flat(), {"chroma": 444}, 15),
    ],
)
def test_a_heic_has_the_limit_of_its_kind(picture, options, megapixels):
    assert kind_of(heic(picture, **options)).pixels // 10**6 == megapixels


def test_a_photo_above_its_format_s_limit_is_refused_with_the_limit():
    with pytest.raises(UnusablePhoto) as caught:
        decode(encoded(flat("L", (5_000, 4_000)), "WEBP", quality=1, method=0))
    assert caught.value.reason == "too_large"
    assert str(caught.value) == "the photo has 20.0 megapixels; the limit for WebP is 15 megapixels"


def test_the_document_lists_every_limit():
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    kinds = [*KINDS.values(), pixel_limits.DEEP_HEIC, pixel_limits.FULL_CHROMA_HEIC]
    kinds.append(pixel_limits.RUN_LENGTH_BMP)
    for kind in kinds:
        if kind.pixels < MAX_PIXELS:
            assert f"| {kind.name} | {kind.pixels // 10**6} |" in text


def peak_memory(data: bytes, folder: Path) -> int:
    """Bytes that a new process needs on top to decode the photo."""
    code = """
import re
import sys
from pathlib import Path
from car_damage import photos
from tests.photo_files import jpeg, texture
data = Path(sys.argv[1]).read_bytes()
photos.decode(jpeg(texture(0)))
photos.Image.init()
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
photos.decode(data)
print(peak() - before)
"""
    file = folder / "photo"
    file.write_bytes(data)
    command = [sys.executable, "-c", code, str(file)]
    return int(subprocess.check_output(command, cwd=ROOT, text=True)) * 1024


def largest(kind: str, mode: str, **options) -> bytes:
    """A photo in one colour with as many pixels as its format may have."""
    side = math.isqrt(KINDS[kind].pixels)
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGBA", {"compress_level": 1}),
        ("PNG", "I;16", {"compress_level": 1}),
        ("GIF", "P", {"transparency": 0}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGBA", {"compression": "tiff_deflate", "strip_size": 10**9}),
        ("WEBP", "RGBA", {"lossless": True, "method": 0}),
        ("AVIF", "RGBA", {"speed": 10}),
    ],
)
def test_no_photo_within_the_limits_takes_more_than_the_documented_memory(
    kind, mode, options, tmp_path
):
    data = largest(kind, mode, **options)
    assert peak_memory(data, tmp_path) < MOST_MEMORY
    assert read_header(data).memory <= MOST_MEMORY


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory")
def test_a_heic_of_48_megapixels_takes_no_more_than_the_documented_memory(tmp_path):
    picture = np.full((6048, 8064, 3), 90, np.uint8)
    data = heic(picture, tile_size=512, enc_params={"preset": "ultrafast"})
    assert peak_memory(data, tmp_path) < MOST_MEMORY
