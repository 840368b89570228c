"""Decoding in a process with limits gives the same pixels, and no photo can crash the worker."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from car_damage import photos
from car_damage.photos import UnusablePhoto
from car_damage.plain_files import is_plain
from car_damage.service import decoding
from tests.odd_photos import (
    bitmap_with_line_ends,
    jpeg_with_scans,
    jpeg_with_segments,
    tiff_with_tile,
)
from tests.photo_files import heic, jpeg, texture

pytestmark = pytest.mark.skipif(not decoding.CAN_FORK, reason="Windows decodes in the worker")


def encoded(file_format: str, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(texture(1, 640, 480)).convert(mode).save(file, file_format, **options)
    return file.getvalue()


def refusal(data: bytes, **options) -> str:
    with pytest.raises(UnusablePhoto) as caught:
        decoding.decode(data, 224, **options)
    return caught.value.reason


def process_id() -> int:
    decoding.decode(KINDS["GIF"], 224)
    return decoding._process._process.pid


KINDS = {
    "ordinary jpeg": jpeg(texture(1, 640, 480)),
    "progressive jpeg": jpeg(texture(1, 640, 480), progressive=True),
    "cmyk jpeg": encoded("JPEG", "CMYK"),
    **{kind: encoded(kind) for kind in ("PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")},
    "heic": heic(texture(1, 640, 480)),
}


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_a_photo_has_the_same_pixels_in_the_service_and_in_the_commands(data):
    expected = photos.decode(data, 100)
    header, photo = decoding.begin(data, 100, 10**9)
    assert header == photos.read_header(data)
    assert photo is None or np.array_equal(photo, expected)
    decoded = decoding.decode(data, 100)
    assert np.array_equal(decoded, expected)
    assert decoded.flags.writeable


def test_a_photo_over_the_memory_limit_is_not_decoded_at_once():
    header, photo = decoding.begin(KINDS["GIF"], 100, 1_000)
    assert header.memory > 1_000
    assert photo is None


def test_ordinary_photos_need_no_extra_process(monkeypatch):
    monkeypatch.setattr(decoding, "_process", decoding._Process())
    for kind in ("ordinary jpeg", "progressive jpeg", "PNG", "WEBP"):
        decoding.begin(KINDS[kind], 224, 10**9)
        decoding.decode(KINDS[kind], 224)
    assert decoding._process._process is None


ANOTHER = [Image.fromarray(texture(2, 640, 480))]
TEXTS = PngImagePlugin.PngInfo()
for number in range(5):
    TEXTS.add_text(f"comment {number}", "a" * 1000, zip=True)
UNUSUAL = {
    "animated PNG": encoded("PNG", save_all=True, append_images=ANOTHER),
    "animated WebP": encoded("WEBP", save_all=True, append_images=ANOTHER),
    "PNG with many texts": encoded("PNG", pnginfo=TEXTS),
    "PNG with a long profile": encoded("PNG", icc_profile=os.urandom(100_000)),
    "interlaced PNG": KINDS["PNG"][:28] + b"\1" + KINDS["PNG"][29:],
    "PNG in many chunks": KINDS["PNG"][:33] + bytes(12) * 5000 + KINDS["PNG"][33:],
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_pngs_and_webps_are_not_decoded_in_the_worker(data):
    assert not is_plain(data)
    assert is_plain(KINDS["PNG"])
    assert is_plain(KINDS["WEBP"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"Dear sir", "not_a_photo"),
        (KINDS["PNG"][:5_000], "truncated"),
        (KINDS["ordinary jpeg"][:5_000], "truncated"),
        (jpeg_with_scans(65), "too_complex"),
        (jpeg_with_segments(1_001), "too_complex"),
        (tiff_with_tile(23_168), "too_large"),
    ],
)
def test_the_service_refuses_a_photo_with_the_same_reason_as_the_commands(data, reason):
    assert refusal(data) == reason
    with pytest.raises(UnusablePhoto) as caught:
        photos.decode(data)
    assert caught.value.reason == reason


def test_a_photo_that_takes_too_long_is_refused_and_the_next_one_is_decoded():
    slow = bitmap_with_line_ends(3_100, 3_000)
    begun = time.monotonic()
    assert refusal(slow, seconds=0.01) == "too_complex"
    assert time.monotonic() - begun < decoding.MOST_SECONDS
    assert np.array_equal(decoding.decode(KINDS["GIF"], 224), photos.decode(KINDS["GIF"], 224))


def test_a_killed_process_is_replaced():
    first = process_id()
    os.kill(first, signal.SIGKILL)
    decoding._process._process.wait(10)
    assert process_id() != first


def test_a_photo_after_an_idle_period_is_decoded_by_a_new_process():
    first = process_id()
    # This closes the connection, so the process ends as it does after an idle period.
    decoding._process._socket.shutdown(2)
    assert process_id() != first


def test_the_process_ends_with_the_service():
    code = "import sys; from car_damage.service import decoding as d\n"
    code += "d.decode(sys.stdin.buffer.read(), 64); print(d._process._process.pid, flush=True)\n"
    code += "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, input=KINDS["GIF"], stdout=subprocess.PIPE, cwd=decoding.ROOT, check=False
    )
    while is_alive(int(done.stdout)):
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in subprocess.getoutput(f"ps -o stat= -p {process}")


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("_limit(0.1)\nwhile True: pass", -signal.SIGALRM),
        ("_limit_processor(1)\nwhile True: pass", -signal.SIGXCPU),
        pytest.param(
            "_limit(60)\ntry: bytearray(2 * MOST_ADDRESSES)\nexcept MemoryError: sys.exit(7)",
            7,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="macOS limits no memory"),
        ),
    ],
)
def test_the_system_limits_time_and_memory_for_a_photo(code, ending):
    names = "MOST_ADDRESSES, _limit, _limit_processor"
    code = f"import sys; from car_damage.service.decoder import {names}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=decoding.ROOT, check=False)
    assert done.returncode == ending
