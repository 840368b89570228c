"""Find the photos in the two class folders, at any depth in the raw folders."""

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
CLASS_FOLDERS = {  # lower case, without separators; the names in the Kaggle set come last
    **dict.fromkeys(("notdamaged", "undamaged", "nondamaged", "nodamage", "01whole"), LABELS[0]),
    **dict.fromkeys(("damaged", "damage", "00damage"), LABELS[1]),
}


def find_photos(raw_dirs: Sequence[Path]) -> list[Row]:
    """Find all photos in the class folders, with path, source and label, sorted by path.

    Class folders may be at any depth in the `raw_dirs`, and photos at any depth in a class folder.
    Links to folders are followed. Each file is listed once, or once in each class. Raises
    `UserError` if a folder is missing, a class has no photos, or a `sources.csv` is wrong.
    """
    for raw_dir in raw_dirs:
        if not raw_dir.is_dir():
            raise UserError(f"There is no folder {raw_dir}. Check --raw-dir.")
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
    """Count the files that `find_photos` skips, by reason, for `wording.not_looked_at`."""
    outside = f"photo outside {LABELS[1]}/ and {LABELS[0]}/"
    reasons: dict[Path, str] = {}
    for raw_dir in raw_dirs:
        for path, class_folder in _files(raw_dir):
            if reason := why_skipped(path) or (None if class_folder else outside):
                reasons[path.resolve()] = reason
    return Counter(reasons.values())


def holds_files(raw_dir: Path) -> bool:
    """Whether the folder contains any file, except system files; a broken link counts."""
    return os.path.lexists(raw_dir) and (not raw_dir.is_dir() or any(_files(raw_dir)))


def folder_label(name: str) -> str | None:
    """The class of the photos in a folder of this name; None if it is not a class folder."""
    return CLASS_FOLDERS.get(re.sub(r"[\s_-]", "", name).lower())


def _files(raw_dir: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield each file in `raw_dir` with its outermost class folder, if any."""
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
    outside = min(files, key=lambda file: file[1] is not None, default=None)  # if there is one
    found = f" ({counted(len(files), 'file')} there, such as {outside[0]})" if outside else ""
    folders = " and ".join(str(raw_dirs[0] / label) for label in missing)
    return UserError(f"No photos of class {names} in {where}{found}. Put some in {folders}.")
