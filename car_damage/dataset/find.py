"""Finding photos in the two class folders, wherever they lie below the raw folders."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from car_damage.dataset.arrays import Row
from car_damage.dataset.sources import SOURCES, read_sources, source_of
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
    """Return path, source and label of all photos below the class folders, sorted by path.

    A class folder may lie at any depth below one of the `raw_dirs`, and photos at any depth below
    it. Links to folders are followed; each file comes once, or once in each class. Raises
    `UserError` when a folder is missing, a class has no photo, or a `sources.csv` is wrong.
    """
    for raw_dir in raw_dirs:
        if not raw_dir.is_dir():
            raise UserError(f"there is no folder {raw_dir}: check --raw-dir")
    files = [(*file, raw_dir) for raw_dir in raw_dirs for file in _files(raw_dir)]
    named = {folder: name for raw_dir in raw_dirs for folder, name in read_sources(raw_dir).items()}
    photos: dict[tuple[Path, str], Row] = {}
    for path, class_folder, raw_dir in sorted(files, key=lambda file: file[0].as_posix()):
        if class_folder and path.suffix.lower() in SUFFIXES and path.is_file():
            label = folder_label(class_folder.name) or ""
            row = Row(
                label=label, path=stored(path), source=source_of(path, class_folder, raw_dir, named)
            )
            photos.setdefault((path.resolve(), label), row)
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
    folder: Path, class_folder: Path | None = None, way: tuple[Path, ...] = ()
) -> Iterator[tuple[Path, Path | None]]:
    """Each file below `folder` with the outermost class folder on the way to it."""
    real = folder.resolve()
    if any(passed.is_relative_to(real) for passed in way):
        return  # a link back to a folder that we are in
    try:
        for path in folder.iterdir():
            if path.is_dir():
                found = path if folder_label(path.name) else None
                yield from _files(path, class_folder or found, (*way, real))
            elif path.name.lower() not in LITTER and path.name != SOURCES:
                yield path, class_folder
    except PermissionError as error:
        raise UserError(f"{folder} cannot be read: change its permissions") from error


def _no_photos(
    missing: Sequence[str],
    raw_dirs: Sequence[Path],
    files: Sequence[tuple[Path, Path | None, Path]],
) -> UserError:
    names = " and ".join(f"'{label}'" for label in missing)
    where = " and ".join(map(str, raw_dirs))
    example = min(files, key=lambda file: file[1] is not None, default=None)  # a stray one first
    found = f" (files there: {len(files)}, such as {example[0]})" if example else ""
    return UserError(
        f"no photos of class {names} in {where}{found}: put some in a folder named {names} there"
    )
