"""Small photos and heatmaps for the page: JPEGs as `data:` URIs."""

import io
from dataclasses import dataclass

from PIL import Image

from car_damage import heatmap, photos
from car_damage.data_uri import data_uri
from car_damage.paths import located
from car_damage.predictor import Predictor

SHORT_SIDE = 240  # pixels; the minimum when a photo is decoded
LONG_SIDE = 360  # pixels; the maximum when it is shown
QUALITY = 80


@dataclass(frozen=True)
class Pair:
    """A photo, and the photo with its heatmap drawn over it, as `data:` URIs."""

    photo: str
    heatmap: str


def picture(path: str) -> str | None:
    """The photo as a `data:` URI, or None if it is missing or cannot be used."""
    photo = _read(path, SHORT_SIDE)
    return None if photo is None else _data_address(photo)


def with_heatmap(path: str, predictor: Predictor) -> Pair | None:
    """The photo and its heatmap, or None if it is missing or cannot be used."""
    photo = _read(path, max(SHORT_SIDE, predictor.record.manifest.size))
    if photo is None:
        return None
    drawn = heatmap.overlay(photo, predictor.predict(photo).heatmap)
    return Pair(_data_address(photo), _data_address(drawn))


def _read(path: str, at_least: int) -> photos.Photo | None:
    try:
        return photos.decode(located(path).read_bytes(), at_least)
    except (OSError, photos.UnusablePhoto):
        return None


def _data_address(photo: photos.Photo) -> str:
    small = Image.fromarray(photo)
    small.thumbnail((LONG_SIDE, LONG_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, optimize=True)
    return data_uri(file.getvalue(), "image/jpeg")
