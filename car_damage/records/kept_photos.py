"""The photos that are kept: files in a folder or a bucket, each named by its SHA-256."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from car_damage.buckets import check_protocol, is_local
from car_damage.errors import UserError

ABANDONED = 60.0  # seconds after which nobody writes a partial file any more
UNSET = "Photos were kept, but KEEP_PHOTOS is unset. Set it to their place until they are deleted."


def check(address: str) -> None:
    """Raise `UserError` if photos cannot be kept there. A bucket itself is not asked."""
    check_protocol(address, "KEEP_PHOTOS")
    if is_local(address):
        _check_folder(Path(fsspec.core.split_protocol(address)[1]))


class PhotosUnavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The folder or bucket does not work now."""


class KeptPhotos:
    """The files below an address. All methods raise `PhotosUnavailable` if it does not work."""

    def __init__(self, address: str):
        # Without fsspec's cache of listings, because other processes write and delete too.
        self._system, self._root = fsspec.core.url_to_fs(address, use_listings_cache=False)
        self._is_local = isinstance(self._system, LocalFileSystem)

    def write(self, sha256: str, photo: bytes) -> None:
        """Keep a photo. A bucket shows a file once it is whole; a folder gets it by a rename."""
        path = self._path(sha256)
        with _errors():
            if self._is_local:
                self._write_and_rename(path, photo)
            else:
                self._system.pipe_file(path, photo)

    def has(self, sha256: str) -> bool:
        """Whether the photo is kept."""
        with _errors():
            return bool(self._system.exists(self._path(sha256)))

    def read(self, sha256: str) -> bytes | None:
        """Return a photo's bytes, None if it is not kept or its file is not whole."""
        with _errors():
            try:
                photo: Any = self._system.cat_file(self._path(sha256))
            except FileNotFoundError:
                return None
        return photo if hashlib.sha256(photo).hexdigest() == sha256 else None

    def delete(self, sha256: str) -> None:
        """Delete a photo's file, if there is one, and what killed processes wrote of it."""
        path = self._path(sha256)
        with _errors():
            with suppress(FileNotFoundError):
                self._system.rm_file(path)
            if self._is_local:
                _delete_abandoned(Path(path))

    def _write_and_rename(self, path: str, photo: bytes) -> None:
        partial = f"{path}.{secrets.token_hex(4)}.partial"
        try:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(partial, photo)
            self._system.mv(partial, path)
        except BaseException:
            with suppress(OSError):
                Path(partial).unlink()
            raise

    def _path(self, sha256: str) -> str:
        # Folders of at most a few thousand files, even for a million photos.
        return f"{self._root}/{sha256[:2]}/{sha256}"


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the errors of a folder or a bucket's client, of many kinds, into one.

    A bucket that does not exist is an outage too, although s3fs raises `FileNotFoundError`.
    """
    try:
        yield
    except Exception as error:
        raise PhotosUnavailable(f"KEEP_PHOTOS cannot be reached: {error}") from error


def _delete_abandoned(file: Path) -> None:
    """Delete the partial files of a photo, except new ones, which may belong to a writer."""
    for partial in file.parent.glob(f"{file.name}.*.partial"):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime < time() - ABANDONED:
                partial.unlink()


def _check_folder(folder: Path) -> None:
    test = folder / f"{secrets.token_hex(4)}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        test.write_bytes(b"photos are kept here")
        test.unlink()
    except OSError as error:
        raise UserError(
            f"KEEP_PHOTOS: the service cannot write to {folder} ({error.strerror})"
        ) from error
