"""Photos that need far more time or memory than their pixels suggest, and harmless ones."""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from car_damage import jpeg as jpeg_file
from car_damage.photos import UnusablePhoto, decode, header_size
from tests import odd_photos
from tests.photo_files import jpeg, texture
from tests.test_photos import encoded, grain, png_chunk, quarters, reason_for

ROOT = Path(__file__).parents[1]


def test_a_jpeg_has_at_most_64_scans():
    assert decode(odd_photos.jpeg_with_scans(64)).shape[2] == 3
    assert reason_for(odd_photos.jpeg_with_scans(65)) == "too_complex"


def test_a_large_jpeg_has_fewer_scans():
    side = 7_000
    most = jpeg_file.MOST_SCANNED // side**2
    assert header_size(odd_photos.jpeg_with_scans(most, side)) == (side, side)
    with pytest.raises(UnusablePhoto, match="too much time"):
        header_size(odd_photos.jpeg_with_scans(most + 1, side))


def test_scans_are_also_counted_behind_bytes_that_belong_to_no_segment():
    many = odd_photos.jpeg_with_scans(65)
    assert reason_for(many[:2] + b"\xff\xff" + many[2:]) == "too_complex"


def test_an_ordinary_progressive_photo_is_accepted():
    picture = texture(1, 400, 300)
    assert np.abs(decode(jpeg(picture, progressive=True), 300).astype(int) - picture).mean() < 10


def test_a_jpeg_has_at_most_1000_segments():
    assert decode(odd_photos.jpeg_with_segments(900)).shape == (120, 160, 3)
    assert reason_for(odd_photos.jpeg_with_segments(1_001)) == "too_complex"


@pytest.mark.parametrize("bits", [8, 32])
def test_a_tile_that_is_far_larger_than_its_picture_is_refused(bits):
    assert reason_for(odd_photos.tiff_with_tile(23_168, bits)) == "too_large"
    assert reason_for(odd_photos.tiff_with_tile(64)) == "truncated"


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1_500_000))),
        png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1_500_000))),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 1_500_000)),
    ],
    ids=["profile", "text", "xmp"],
)
def test_a_png_with_much_text_or_a_large_profile_is_accepted(chunk):
    whole = encoded(grain())
    assert np.array_equal(decode(whole[:33] + chunk + whole[33:]), grain())


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_with_many_references_to_itself_takes_no_memory(file_format, tmp_path):
    picture = tmp_path / "photo"
    picture.write_bytes(encoded(quarters(), file_format, exif=odd_photos.exif_with_copies()))
    code = "import sys, pathlib; from car_damage import photos\n"
    code += "photos.decode(pathlib.Path(sys.argv[1]).read_bytes())\n"
    code += "print(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    command = [sys.executable, "-c", code, str(picture)]
    peak = int(subprocess.check_output(command, cwd=ROOT, text=True))
    assert peak < 200_000  # kB; the program itself has 60,000


def test_a_run_length_coded_bitmap_has_at_most_10_megapixels():
    assert header_size(odd_photos.bitmap_with_line_ends(3_100, 1)) == (3_100, 3_100)
    assert reason_for(odd_photos.bitmap_with_line_ends(3_200, 1)) == "too_large"
