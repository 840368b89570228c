"""Files and folders that are whole or absent: written beside, flushed, then renamed into place."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from car_damage.errors import UserError

PARTIAL = ".partial"  # what a killed run may leave; the next run over the same target clears it
REPLACED = ".replaced"


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step: a reader sees the old file or the new one."""
    partial = path.with_name(path.name + PARTIAL)
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block ends well.

    When the block raises, the folder is removed and `target` stays as it was. A full disk becomes
    a `UserError`.
    """
    partial = target.with_name(target.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        swap_in(partial, target)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"the disk is full: {target} was not written; free some space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def swap_in(folder: Path, target: Path) -> None:
    """Rename `folder` to `target`; what stood there is removed only once the new one is in place.

    No system renames onto a folder that is not empty, so for an instant `target` is absent: never
    half old and half new.
    """
    for file in folder.rglob("*"):
        if file.is_file():
            flush_to_disk(file)
    replaced = target.with_name(target.name + REPLACED)
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        os.rename(target, replaced)
    os.rename(folder, target)
    shutil.rmtree(replaced, ignore_errors=True)


def flush_to_disk(path: Path) -> None:
    """Have the system write the file out now, so that a rename never outlives its content."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
