"""A photo's hash stays the same, because data sets and databases keep it."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from car_damage.perceptual_hash import HASH_BYTES, VIEW_BITS, VIEWS, perceptual_hash
from tests.photo_files import texture

PINNED = (  # the hash of `waves()`, a line for each view
    "fe54f742642342e007861b3c5cf98800fc7b14e03ade8d1f"
    "fe56f74264234eb007871b3f14f9ac18fc7b34603ade8d1f"
    "fe56f74264a34ee107971a3d14f9ac30fc7934e03ade8d1f"
    "fa54f74264334ef187871e3c18fdad10fc7b34e03ade8d1e"
    "fa54f74264b34ee1879a183c30fdac30ec7934e03ade8d1f"
)


def waves(width=300, height=200):
    """A picture with smooth waves in all colours that no random generator has made."""
    down, across = np.mgrid[:height, :width] / 40
    colours = [np.sin(down + 2 * across), np.cos(3 * down - across), np.sin(down * across)]
    return (128 + 100 * np.stack(colours, axis=2)).astype(np.uint8)


@pytest.mark.parametrize("size", [(320, 240), (64, 64), (64, 900), (900, 64)])
def test_small_and_narrow_photos_have_a_hash_too(size):
    hashed = perceptual_hash(texture(0, *size))
    assert (hashed.shape, hashed.dtype) == ((HASH_BYTES,), np.uint8)


def test_the_hash_is_the_same_in_every_version():
    pinned = np.frombuffer(bytes.fromhex(PINNED), np.uint8)

    differing = np.bitwise_count(pinned ^ perceptual_hash(waves())).sum()

    assert differing <= 2  # OpenCV may round a pixel in another way on another processor


def test_a_plain_photo_has_no_waves():
    for grey in (0, 77, 255):
        assert not perceptual_hash(np.full((240, 320, 3), grey, np.uint8)).any()


def test_a_symmetric_photo_has_no_odd_waves_across():
    half = cv2.GaussianBlur(texture(1), None, 2)
    whole = perceptual_hash(np.concatenate([half, half[:, ::-1]], axis=1))

    view = np.unpackbits(whole).reshape(VIEWS, VIEW_BITS)[0]

    assert not view[0]  # the lowest frequency across
    assert view.any()


def test_hashing_needs_no_scipy():
    code = "import sys, car_damage.perceptual_hash; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
