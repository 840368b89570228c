"""The files in `<class>/feedback/` of the raw folder, named by their run and SHA-256.

A photo keeps the name that it got first, so its split stays the same.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from car_damage import heif, jpeg
from car_damage.dataset.arrays import Row
from car_damage.dataset.find import LABELS
from car_damage.dataset.sources import FEEDBACK, is_feedback
from car_damage.errors import UserError
from car_damage.files import PARTIAL, write_bytes
from car_damage.paths import stored
from car_damage.records.kept_photos import KeptPhotos, PhotosUnavailable
from car_damage.retraining.labels import Labelled

# The ending of a file's name, by the file's first bytes; BMP comes last, because it has only two.
ENDINGS = {
    jpeg.START: ".jpg",
    b"\x89PNG": ".png",
    b"RIFF": ".webp",
    b"GIF8": ".gif",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"BM": ".bmp",
}
Photos = dict[tuple[str, str], Path]  # the file of each SHA-256 and class


def present(folder: Path) -> Photos:
    """Find the files that retraining has put into a raw folder."""
    return {(path.stem.split("-")[1], label): path for label, path in _own_files(folder)}


def delete_others(folder: Path, labelled: Iterable[Labelled]) -> int:
    """Delete the files whose photo was deleted, lost its label or got another one.

    Only files that retraining has made are deleted. Returns how many.
    """
    wanted = {(each.sha256, each.label) for each in labelled}
    gone = [path for key, path in present(folder).items() if key not in wanted]
    for path in gone:
        path.unlink()
    for label in LABELS:
        for half in (folder / label / FEEDBACK).glob(f"*{PARTIAL}"):  # of a killed run
            half.unlink()
    return len(gone)


def fetch(address: str, folder: Path, labelled: Iterable[Labelled]) -> list[Labelled]:
    """Copy kept photos into a raw folder, and return those whose file is missing or not a photo.

    `address` is KEEP_PHOTOS. Raises `UserError` if it cannot be read.
    """
    kept = KeptPhotos(address)
    missing = []
    for each in labelled:
        try:
            photo = kept.read(each.sha256)
        except PhotosUnavailable as error:
            raise UserError(str(error)) from error
        ending = photo and _ending(photo)
        if not (photo and ending):
            missing.append(each)
            continue
        path = folder / each.label / FEEDBACK / f"{each.run}-{each.sha256}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, photo)
    return missing


def add(folder: Path, photos: Photos) -> None:
    """Copy files into their class in a raw folder."""
    for (_, label), path in photos.items():
        target = folder / label / FEEDBACK / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, path.read_bytes())


def rows_of(photos: Photos) -> list[Row]:
    """Make rows like those of `find_photos`."""
    return [
        Row(label=label, path=stored(path), source=FEEDBACK, sha256=sha256)
        for (sha256, label), path in photos.items()
    ]


def _own_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for label in LABELS:
        for path in sorted((folder / label / FEEDBACK).glob("*.*")):
            if is_feedback(path) and path.suffix != PARTIAL:
                yield label, path


def _ending(photo: bytes) -> str | None:
    brand = heif.brand(photo)
    if brand:
        return {"HEIF": ".heic", "AVIF": ".avif"}[brand]
    return next((ending for start, ending in ENDINGS.items() if photo.startswith(start)), None)
