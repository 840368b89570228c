"""The files below a folder: which are photos, and why the others are not looked at."""

from collections.abc import Iterator
from pathlib import Path

from car_damage.errors import UserError
from car_damage.files import LITTER
from car_damage.photos import SUFFIXES

LITTER_FOLDERS = frozenset({"__macosx"})  # in lower case: macOS puts one into each ZIP file
LITTER_PREFIX = "._"  # of the files in which macOS keeps what other systems' disks cannot


def files_below(folder: Path, way: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Each file below `folder`, and each link to nowhere, but for what systems leave there.

    Links to folders are followed, except back to a folder on the `way`. Raises `UserError` for a
    folder that cannot be read.
    """
    real = folder.resolve()
    if any(passed.is_relative_to(real) for passed in way):
        return
    try:
        for path in folder.iterdir():
            if is_litter(path):
                continue
            if path.is_dir():
                yield from files_below(path, (*way, real))
            else:
                yield path
    except PermissionError as error:
        raise UserError(f"{folder} cannot be read: change its permissions") from error


def is_litter(path: Path) -> bool:
    """Whether an operating system, and no person, put this file or folder there."""
    name = path.name.lower()
    return name in LITTER or name in LITTER_FOLDERS or name.startswith(LITTER_PREFIX)


def why_skipped(path: Path) -> str | None:
    """Why a file is not a photo to look at, as a key for `wording.not_looked_at`; None if it is."""
    if path.suffix.lower() not in SUFFIXES:
        return path.suffix.lower() or "file without an ending"
    return None if path.is_file() else "link to a file that is gone"
