"""List the files in a folder, and tell photos from files to skip."""

from collections.abc import Iterator
from pathlib import Path

from car_damage.errors import UserError
from car_damage.files import LITTER
from car_damage.photos import SUFFIXES

LITTER_FOLDERS = frozenset({"__macosx"})  # lower case: macOS puts one into each ZIP file
LITTER_PREFIX = "._"  # of the files in which macOS keeps metadata on other systems' disks


def files_below(folder: Path, way: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield each file in `folder` at any depth, broken links included, without system files.

    They come in the order of their paths, and only the names of one folder are in memory. Links to
    folders are followed, unless they lead back to a folder in `way`. Raises `UserError` for a
    folder that cannot be read.
    """
    real = folder.resolve()
    if any(passed.is_relative_to(real) for passed in way):
        return
    try:
        for path in sorted(folder.iterdir()):
            if is_litter(path):
                continue
            if path.is_dir():
                yield from files_below(path, (*way, real))
            else:
                yield path
    except PermissionError as error:
        raise UserError(f"Cannot read the folder {folder}. Change its permissions.") from error


def is_litter(path: Path) -> bool:
    """Whether an operating system put this file or folder there."""
    name = path.name.lower()
    return name in LITTER or name in LITTER_FOLDERS or name.startswith(LITTER_PREFIX)


def why_skipped(path: Path) -> str | None:
    """The reason to skip a file, as a key for `wording.not_looked_at`, or None for a photo."""
    if path.suffix.lower() not in SUFFIXES:
        return path.suffix.lower() or "file without an ending"
    return None if path.is_file() else "link to a missing file"
