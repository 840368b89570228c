"""HEIC and AVIF photos from phones: the primary picture, upright, in 8 bits."""

import io
import struct

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from car_damage import heif, photos
from car_damage.batch.sources import photo_names
from car_damage.photos import MID_GREY, UnusablePhoto, decode, header_size
from tests.photo_files import avif, heic
from tests.test_photos import HEIGHT, WIDTH, alike, exif_with, grain, quarters, turned

# photos.py silences Pillow; pytest undoes that.
pytestmark = pytest.mark.filterwarnings(r"ignore::Warning:PIL\.")

POSITIONING = 0x0213  # a harmless EXIF tag with a number, like the orientation's


def stored(write, turns: int, exif_says: int) -> bytes:
    """A photo that `irot` and `imir` turn upright, and whose EXIF has an orientation, too.

    The encoders turn the orientation into `irot` and `imir` and take it out of EXIF. So another tag
    goes in, and becomes the orientation afterwards.
    """
    exif = exif_with(turns)
    exif[POSITIONING] = exif_says
    data = write(turned(quarters(), turns), exif=exif.tobytes())
    entry = struct.pack(">HHI", POSITIONING, 3, 1)
    assert data.count(entry) == 1
    return data.replace(entry, struct.pack(">HHI", 0x0112, 3, 1))


@pytest.mark.parametrize("exif_says", [1, 3, 6])
@pytest.mark.parametrize("turns", range(1, 9))
@pytest.mark.parametrize("write", [heic, avif])
def test_irot_and_imir_turn_a_photo_and_exif_does_not(write, turns, exif_says):
    data = stored(write, turns, exif_says)
    assert (b"irot" in data or b"imir" in data) is (turns > 1)
    assert alike(decode(data), quarters())
    assert header_size(data) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("brand", [b"mif1", b"msf1", b"heix"])
def test_a_heic_may_name_the_container_first(brand):
    data = heic(quarters())
    assert alike(decode(data[:8] + brand + data[12:]), quarters())


def test_an_avif_may_name_the_container_first():
    data = avif(quarters())
    assert alike(decode(data[:8] + b"mif1" + data[12:]), quarters())


def test_10_bits_become_8():
    raw = (quarters().astype(np.uint16) * 257).tobytes()
    deep = pillow_heif.from_bytes(mode="RGB;16", size=(WIDTH, HEIGHT), data=raw)
    file = io.BytesIO()
    deep.save(file, quality=90)
    assert heif.read_header(file.getvalue()).info["bit_depth"] == 10
    assert alike(decode(file.getvalue()), quarters())


def test_an_avif_with_10_bits_becomes_one_with_8():
    bgr = quarters()[:, :, ::-1].astype(np.uint16) << 2
    depth, quality = cv2.IMWRITE_AVIF_DEPTH, cv2.IMWRITE_AVIF_QUALITY
    written, data = cv2.imencode(".avif", bgr, [depth, 10, quality, 90])
    assert written
    assert alike(decode(data.tobytes()), quarters())


def test_a_burst_gives_its_primary_picture():
    burst = pillow_heif.from_pillow(Image.fromarray(255 - quarters()))
    burst.add_from_pillow(Image.fromarray(quarters()))
    burst.add_from_pillow(Image.fromarray(255 - quarters()))
    file = io.BytesIO()
    burst.save(file, primary_index=1)
    assert alike(decode(file.getvalue()), quarters())


def test_a_photo_in_tiles_comes_out_whole():
    picture = quarters(400, 300)
    assert alike(decode(heic(picture, tile_size=128)), picture)


def test_thumbnails_and_depth_maps_are_not_read():
    picture = pillow_heif.from_pillow(Image.fromarray(quarters(400, 300)))
    file = io.BytesIO()
    picture.save(file)
    image = heif.read_header(file.getvalue())
    assert (image.info["thumbnails"], image.info["depth_images"]) == ([], [])
    assert "aux" not in image.info


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA"])
def test_alpha_of_a_heic_is_laid_over_mid_grey(mode):
    image = Image.new("RGBA", (WIDTH, HEIGHT), (200, 200, 200, 255))
    image.paste((200, 200, 200, 0), (0, 0, WIDTH, HEIGHT // 2))
    rows = decode(heic(image.convert(mode), quality=90))[:, 60, 0].astype(int)
    assert abs(rows[10] - MID_GREY) <= 3
    assert abs(rows[-10] - 200) <= 3


def test_grey_stays_grey():
    grey = Image.fromarray(quarters()).convert("L")
    assert alike(decode(heic(grey)), np.asarray(grey.convert("RGB")))


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("write", [heic, avif])
def test_a_photo_cut_short_is_refused(write, tenth):
    data = write(grain())
    with pytest.raises(UnusablePhoto) as caught:
        decode(data[: len(data) * tenth // 10])
    assert caught.value.reason == "truncated"


def claiming(data: bytes, width: int, height: int) -> bytes:
    """The file with another size in its header (`ispe`)."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


@pytest.mark.parametrize("write", [heic, avif])
def test_the_size_in_the_header_is_checked_before_a_pixel_is_decoded(write):
    for width, height, reason in ((10_000, 10_000, "too_large"), (32, 200, "too_small")):
        with pytest.raises(UnusablePhoto) as caught:
            decode(claiming(write(quarters()), width, height))
        assert caught.value.reason == reason


def test_without_its_decoder_a_heic_is_refused_and_other_formats_work(monkeypatch):
    monkeypatch.setattr(heif, "AVAILABLE", False)
    with pytest.raises(UnusablePhoto, match=r"Save the photo as JPEG .*iPhone.*Most Compatible"):
        decode(heic(quarters()))
    assert alike(decode(avif(quarters())), quarters())


@pytest.mark.parametrize("brand", [b"qt  ", b"isom", b"mp42", b"crx ", b"M4A "])
def test_rejects_films_and_raw_photos_in_the_same_container(brand):
    data = struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + brand + b"isom" + bytes(200)
    with pytest.raises(UnusablePhoto) as caught:
        decode(data)
    assert caught.value.reason == "not_a_photo"
    assert photos.NAMES in str(caught.value)


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "a.heif", "b.hif", "c.avif"])
def test_step_1_and_predict_find_a_phone_s_photos_by_their_names(name, tmp_path):
    (tmp_path / name).write_bytes(heic(quarters()))
    assert list(photo_names([str(tmp_path)])) == [str(tmp_path / name)]
