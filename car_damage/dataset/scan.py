"""Reading every photo once: checked, upright, sized and hashed, or left out with a reason."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from car_damage import photos
from car_damage.dataset.copies import perceptual_hash
from car_damage.dataset.find import Found
from car_damage.parallel import map_in_order


@dataclass(frozen=True)
class Scanned:
    """A photo that can be used."""

    found: Found
    width: int  # pixels of the upright photo
    height: int
    sha256: str
    phash: np.ndarray  # uint8 (HASH_BYTES,)


@dataclass(frozen=True)
class Rejected:
    """A photo that was left out; `reason` is a stable word."""

    found: Found
    reason: str


def scan(found: Sequence[Found], size: int) -> Iterator[tuple[Scanned, photos.Photo] | Rejected]:
    """Yield each photo with its image, `uint8` (size, size, 3), or why it was left out; in order.

    Runs on all cores; only a few images are in memory at a time.
    """
    return map_in_order(lambda photo: _scan_one(photo, size), found)


def _scan_one(found: Found, size: int) -> tuple[Scanned, photos.Photo] | Rejected:
    try:
        data = found.path.read_bytes()
    except OSError:
        return Rejected(found, "unreadable")
    try:
        photo = photos.decode(data, at_least=size)
        width, height = photos.header_size(data)
        # Always hashed as decoded for one size: groups, and with them the splits, are then the same
        # for data sets of any size, whose models can be compared on the same photos.
        hashed = photo if size == photos.SIZE else photos.decode(data, at_least=photos.SIZE)
    except photos.UnusablePhoto as error:
        return Rejected(found, error.reason)
    sha256 = hashlib.sha256(data).hexdigest()
    scanned = Scanned(found, width, height, sha256, perceptual_hash(hashed))
    return scanned, photos.fit(photo, size)
