"""Read a photo: check, turn, resize and hash it, or reject it with a reason."""

import hashlib
from dataclasses import replace

from car_damage import photos
from car_damage.dataset.arrays import RejectedRow, Row
from car_damage.paths import located
from car_damage.perceptual_hash import perceptual_hash


def scan(found: Row, size: int) -> tuple[Row, photos.Photo] | RejectedRow:
    """Read a photo; return its row with size and hashes, and its image, `uint8` (size, size, 3)."""
    try:
        data = located(found.path).read_bytes()
    except OSError:
        return RejectedRow(found.path, found.label, "unreadable")
    try:
        # Hash the photo as decoded for one fixed size. Then data sets of all sizes have the same
        # groups and splits, and their models can be compared on the same photos.
        photo, hashed = photos.decode_for_both(data, size, photos.SIZE)
        width, height = photos.header_size(data)
    except photos.UnusablePhoto as error:
        return RejectedRow(found.path, found.label, error.reason)
    sha256 = hashlib.sha256(data).hexdigest()
    phash = perceptual_hash(hashed).tobytes().hex()
    scanned = replace(found, width=width, height=height, sha256=sha256, phash=phash)
    return scanned, photos.fit(photo, size)
