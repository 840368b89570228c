"""Finding photos in the two class folders, wherever they lie below the raw folders."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from car_damage.dataset.arrays import Row
from car_damage.errors import UserError
from car_damage.files import LITTER
from car_damage.paths import stored
from car_damage.photos import SUFFIXES

LABELS = ("not-damaged", "damaged")  # the position is the label's number
CLASS_FOLDERS = {  # in lower case, without separators; the Kaggle set's own names come last
    **dict.fromkeys(("notdamaged", "undamaged", "nondamaged", "nodamage", "01whole"), LABELS[0]),
    **dict.fromkeys(("damaged", "damage", "00damage"), LABELS[1]),
}


def find_photos(raw_dirs: Sequence[Path]) -> list[Row]:
    """Return path and label of all photos below the class folders of `raw_dirs`, sorted by path.

    A class folder may lie at any depth, and photos at any depth below it. Links to folders are
    followed; each file comes once, or once in each class. Raises `UserError` when a folder is
    missing, or a class has no photo.
    """
    for raw_dir in raw_dirs:
        if not raw_dir.is_dir():
            raise UserError(f"there is no folder {raw_dir}: check --raw-dir")
    files = [file for raw_dir in raw_dirs for file in _files(raw_dir)]
    photos: dict[tuple[Path, str], Row] = {}
    for path, label in sorted(files, key=lambda file: file[0].as_posix()):
        if label and path.suffix.lower() in SUFFIXES and path.is_file():
            photos.setdefault((path.resolve(), label), Row(label=label, path=stored(path)))
    if missing := set(LABELS) - {photo.label for photo in photos.values()}:
        raise _no_photos(sorted(missing), raw_dirs, files)
    return list(photos.values())


def holds_files(raw_dir: Path) -> bool:
    """Whether there is anything but folders and litter; a link to nowhere counts, too."""
    return os.path.lexists(raw_dir) and (not raw_dir.is_dir() or any(_files(raw_dir)))


def folder_label(name: str) -> str | None:
    """The class that a folder of this name holds; None unless it is a class folder."""
    return CLASS_FOLDERS.get(re.sub(r"[\s_-]", "", name).lower())


def _files(
    folder: Path, label: str | None = None, way: tuple[Path, ...] = ()
) -> Iterator[tuple[Path, str | None]]:
    """Each file below `folder` with the class of the outermost class folder on the way to it."""
    real = folder.resolve()
    if any(passed.is_relative_to(real) for passed in way):
        return  # a link back to a folder that we are in
    try:
        for path in folder.iterdir():
            if path.is_dir():
                yield from _files(path, label or folder_label(path.name), (*way, real))
            elif path.name.lower() not in LITTER:
                yield path, label
    except PermissionError as error:
        raise UserError(f"{folder} cannot be read: change its permissions") from error


def _no_photos(
    missing: Sequence[str], raw_dirs: Sequence[Path], files: Sequence[tuple[Path, str | None]]
) -> UserError:
    names = " and ".join(f"'{label}'" for label in missing)
    where = " and ".join(map(str, raw_dirs))
    example = min(files, key=lambda file: file[1] is not None, default=None)  # a stray one first
    found = f" (files there: {len(files)}, such as {example[0]})" if example else ""
    return UserError(
        f"no photos of class {names} in {where}{found}: put some in a folder named {names} there"
    )
