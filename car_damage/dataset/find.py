"""Finding photos in the two class folders, wherever they lie below the raw folders."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from car_damage.dataset.arrays import Row
from car_damage.errors import UserError
from car_damage.photos import SUFFIXES

LABELS = ("not-damaged", "damaged")  # the position is the label's number
CLASS_FOLDERS = {
    "not-damaged": "not-damaged",
    "damaged": "damaged",
    "01-whole": "not-damaged",  # the Kaggle set's own names
    "00-damage": "damaged",
}


def find_photos(raw_dirs: Sequence[Path]) -> list[Row]:
    """All photos below the class folders of `raw_dirs`, each file once, sorted by path.

    A class folder may lie at any depth, and photos at any depth below it. Raises `UserError` when
    a folder is missing, or a class has no folder or no photo.
    """
    for raw_dir in raw_dirs:
        if not raw_dir.is_dir():
            raise UserError(f"there is no folder {raw_dir}: check --raw-dir")
    found = sorted(_unique(_all_photos(raw_dirs)), key=lambda photo: photo.path)
    for label in LABELS:
        if not any(photo.label == label for photo in found):
            raise _no_photos(label, raw_dirs)
    return found


def has_photos(raw_dir: Path) -> bool:
    """Whether any photo lies in a class folder of `raw_dir`, of either class."""
    return raw_dir.is_dir() and next(iter(_all_photos([raw_dir])), None) is not None


def _all_photos(raw_dirs: Sequence[Path]) -> Iterable[Row]:
    for raw_dir in raw_dirs:
        for path in raw_dir.rglob("*"):
            label = _label(path.relative_to(raw_dir).parts[:-1])
            if label and path.suffix.lower() in SUFFIXES and path.is_file():
                yield Row(label=label, path=path.as_posix())


def _label(folders: Sequence[str]) -> str | None:
    """The class of the outermost class folder on the way to a photo."""
    return next((CLASS_FOLDERS[name] for name in folders if name in CLASS_FOLDERS), None)


def _unique(photos: Iterable[Row]) -> Iterable[Row]:
    """Each file once, also where raw folders overlap or link to one another."""
    seen: set[Path] = set()
    for photo in photos:
        real = Path(photo.path).resolve()
        if real not in seen:
            seen.add(real)
            yield photo


def _no_photos(label: str, raw_dirs: Sequence[Path]) -> UserError:
    where = " and ".join(map(str, raw_dirs))
    return UserError(
        f"no photo of the class '{label}' in {where}: put some into a folder named '{label}' there"
    )
