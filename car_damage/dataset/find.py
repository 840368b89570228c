"""Finding photos in the two class folders, wherever they lie below the raw folders."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from car_damage.dataset.arrays import Row
from car_damage.dataset.sources import SOURCES, read_sources, source_of
from car_damage.errors import UserError
from car_damage.folders import files_below, why_skipped
from car_damage.paths import stored
from car_damage.wording import counted

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
        if class_folder and not why_skipped(path):
            label = folder_label(class_folder.name) or ""
            row = Row(
                label=label, path=stored(path), source=source_of(path, class_folder, raw_dir, named)
            )
            photos.setdefault((path.resolve(), label), row)
    if missing := set(LABELS) - {photo.label for photo in photos.values()}:
        raise _no_photos(sorted(missing), raw_dirs, files)
    return list(photos.values())


def skipped_files(raw_dirs: Sequence[Path]) -> Counter[str]:
    """How many files `find_photos` passes over, by why, as `wording.not_looked_at` takes them."""
    outside = f"photo outside {LABELS[1]}/ and {LABELS[0]}/"
    reasons: dict[Path, str] = {}
    for raw_dir in raw_dirs:
        for path, class_folder in _files(raw_dir):
            if reason := why_skipped(path) or (None if class_folder else outside):
                reasons[path.resolve()] = reason
    return Counter(reasons.values())


def holds_files(raw_dir: Path) -> bool:
    """Whether there is anything but folders and litter; a link to nowhere counts, too."""
    return os.path.lexists(raw_dir) and (not raw_dir.is_dir() or any(_files(raw_dir)))


def folder_label(name: str) -> str | None:
    """The class that a folder of this name holds; None unless it is a class folder."""
    return CLASS_FOLDERS.get(re.sub(r"[\s_-]", "", name).lower())


def _files(raw_dir: Path) -> Iterator[tuple[Path, Path | None]]:
    """Each file below `raw_dir` with the outermost class folder on the way to it."""
    for path in files_below(raw_dir):
        if path.name != SOURCES:
            yield path, _class_folder(path, raw_dir)


def _class_folder(path: Path, raw_dir: Path) -> Path | None:
    between = [folder for folder in path.parents if folder.is_relative_to(raw_dir)][:-1]
    return next((folder for folder in reversed(between) if folder_label(folder.name)), None)


def _no_photos(
    missing: Sequence[str],
    raw_dirs: Sequence[Path],
    files: Sequence[tuple[Path, Path | None, Path]],
) -> UserError:
    names = " and ".join(f"'{label}'" for label in missing)
    where = " and ".join(map(str, raw_dirs))
    example = min(files, key=lambda file: file[1] is not None, default=None)  # a stray one first
    found = f" ({counted(len(files), 'file')} there, such as {example[0]})" if example else ""
    return UserError(
        f"no photos of class {names} in {where}{found}: put some in a folder named {names} there"
    )
