"""Atomic writes: write next to the target, flush to disk, then rename into place."""

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

PARTIAL = ".partial"  # a killed run may leave one; the next run with the same target deletes it
REPLACED = ".replaced"  # the old folder during the swap
# Lower case: the file that keeps an empty folder in git, and files that systems leave in folders.
LITTER = frozenset({".gitkeep", ".ds_store", "thumbs.db", "desktop.ini"})
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` with `text` (UTF-8) in one step, like `staged_file`."""
    with staged_file(path) as file:
        file.write(text)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the content of `path` with `content` in one step, like `staged_file`."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        with _space_for(path):
            partial.write_bytes(content)
            flush_to_disk(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    _flush_names(path.parent)


@contextmanager
def staged_file(path: Path) -> Iterator[TextIO]:
    """Yield a text file (UTF-8) that replaces `path` when the block succeeds.

    Readers see either the old file or the complete new one. If the block raises, `path` does not
    change. Raises `UserError` if the disk is full.
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
    """Yield an empty folder next to `target` that replaces it when the block succeeds.

    If the block raises, the new folder is deleted and `target` does not change. Raises `UserError`
    if the disk is full.
    """
    target = target.resolve()  # keeps a link to a folder on another disk
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
    """Hold a lock that all writers of `folder` share; first call `clear` if no other one holds it.

    The system releases the lock when the process ends, even if it is killed. Windows and some
    network file systems have no such locks; `clear` never runs there.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            clear()
        _lock(descriptor, fcntl.LOCK_SH)  # waits only while another writer clears
        yield
    finally:
        os.close(descriptor)


@contextmanager
def only_one(folder: Path, busy: str) -> Iterator[None]:
    """Hold a lock on `folder`. Raises `UserError` with `busy` if another process has it.

    The system releases the lock when the process ends, even if it is killed. Windows and some
    network file systems have no such locks; there, the user must start one process at a time.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(busy) from error
        except OSError:
            pass  # this file system has no locks
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
    """Rename `folder` to `target`, then delete the old `target`.

    Systems cannot rename onto a folder that is not empty, so `target` is missing for an instant,
    but never a mix of old and new. If a run is killed in that instant, the old folder is still
    next to it, and the next `staged_folder` puts it back.
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
    """Write the file to disk now, so that after a crash no renamed file lacks its content."""
    with path.open("r+b") as file:  # Windows can only flush files that are open for writing
        os.fsync(file.fileno())


def _flush_names(folder: Path) -> None:
    """Write the folder's file names to disk now, so that renames survive a crash."""
    if os.name == "nt":
        return  # Windows cannot open folders, and its file system journals renames
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems do not support it
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
        raise UserError(
            f"The disk is full, so {target} was not written. Free some space and run this again."
        ) from error
