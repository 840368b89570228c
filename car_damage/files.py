"""Files and folders that are whole or absent: written beside, flushed, then renamed into place."""

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from car_damage.errors import UserError

if sys.platform != "win32":
    import fcntl

PARTIAL = ".partial"  # what a killed run may leave; the next run over the same target clears it
REPLACED = ".replaced"  # the old folder, for the instant of the swap
# In lower case: what keeps an empty folder in git, and what systems leave in any folder.
LITTER = frozenset({".gitkeep", ".ds_store", "thumbs.db", "desktop.ini"})
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step, as `staged_file` does."""
    with staged_file(path) as file:
        file.write(text)


@contextmanager
def staged_file(path: Path) -> Iterator[TextIO]:
    """Yield a text file (UTF-8) that takes the place of `path` when the block ends well.

    A reader sees the old file or the whole new one. When the block raises, `path` stays as it was.
    A full disk becomes a `UserError`.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with _space_for(path):
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                yield file
            flush_to_disk(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    _flush_names(path.parent)


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block ends well.

    When the block raises, the folder is removed and `target` stays as it was. A full disk becomes
    a `UserError`.
    """
    target = target.resolve()  # a link to a folder on another disk stays a link to it
    partial = target.with_name(target.name + PARTIAL)
    _put_back(target)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with _space_for(target):
            partial.mkdir(parents=True)
            yield partial
            swap_in(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def sharing_writers(folder: Path, clear: Callable[[], None]) -> Iterator[None]:
    """Hold the lock that writers of `folder` share; call `clear` first if no other writer has it.

    The system drops the lock of a process that ends, however it ends. Where it has no such locks,
    as on Windows and on some network file systems, `clear` never runs.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            clear()
        _lock(descriptor, fcntl.LOCK_SH)  # waits at most while another writer clears
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    """Whether the system gave this lock (`flock`)."""
    with suppress(OSError):
        fcntl.flock(descriptor, kind)
        return True
    return False


def swap_in(folder: Path, target: Path) -> None:
    """Rename `folder` to `target`; what stood there is removed only once the new one is in place.

    No system renames onto a folder that is not empty, so for an instant `target` is absent: never
    half old and half new. A run killed in that instant leaves the old folder beside it, and
    `staged_folder` puts it back.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            flush_to_disk(path)
    replaced = target.with_name(target.name + REPLACED)
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        os.rename(target, replaced)
    try:
        os.rename(folder, target)
    except OSError:
        _put_back(target)
        raise
    _flush_names(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def flush_to_disk(path: Path) -> None:
    """Have the system write the file out now, so that a rename never outlives its content."""
    with path.open("r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def _flush_names(folder: Path) -> None:
    """Have the system write out what the folder's files are called, so that renames last."""
    if os.name == "nt":
        return  # Windows opens no folders, and its file system keeps a journal of renames
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems know no such thing
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_back(target: Path) -> None:
    replaced = target.with_name(target.name + REPLACED)
    if replaced.exists() and not target.exists():
        os.rename(replaced, target)


@contextmanager
def _space_for(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_IS_FULL:
            raise
        raise UserError(f"the disk is full: {target} was not written; free some space") from error
