"""The folder or bucket with a run's answers: a Parquet file for each finished block."""

import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from car_damage.buckets import (
    NO_BUCKET,
    check_protocol,
    is_local,
    is_url,
    opened,
    refusal,
    unreachable,
)
from car_damage.errors import UserError
from car_damage.files import PARTIAL

SETTINGS = "_run.json"  # readers of Parquet folders skip names that begin with an underscore
BLOCK = re.compile(r"(\d{8})-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True)
class Settings:
    """What all blocks of a folder have in common."""

    model_version: str
    embeddings: bool


@dataclass(frozen=True)
class Output:
    """A folder or bucket. All methods raise `UserError` if it does not work."""

    address: str

    def names(self) -> set[str]:
        """The names of the files."""
        with self._opened() as (system, root):
            try:
                found = system.ls(root, detail=False)
            except FileNotFoundError as error:
                if refusal(error) == NO_BUCKET:
                    raise
                return set()
        paths = {path.rstrip("/") for path in found}
        # S3's console makes an object that stands for the folder.
        return {path.rpartition("/")[2] for path in paths if path != root}

    def read(self, name: str) -> bytes:
        with self._opened() as (system, root):
            content: bytes = system.cat_file(f"{root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file. Two processes may write the same one at the same time."""
        with self._opened() as (system, root):
            if is_local(self.address):
                _write_file(Path(root), name, content)
            else:
                system.pipe_file(f"{root}/{name}", content)  # it appears once it is complete

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        """Yield the file system and the path in it; turn errors into a `UserError`."""
        try:
            yield opened(self.address)
        except OSError as error:
            if not is_local(self.address):
                raise unreachable(self.address, error) from error
            reason = error.strerror or error
            message = f"Cannot write {self.address} ({reason}). Choose another place."
            raise UserError(message) from error
        except Exception as error:  # each client has its own kinds
            raise unreachable(self.address, error) from error


def prepare(address: str, settings: Settings) -> Output:
    """Open the place for answers and create it if needed.

    Raises `UserError` if it cannot be used, has other files, or answers with other settings.
    """
    if is_url(address):
        check_protocol(address, f"--out {address}")
    output = Output(address if is_url(address) else os.path.abspath(address))
    names = output.names()
    if SETTINGS in names:
        _check_same(output, settings)
    elif any(not name.endswith(PARTIAL) for name in names):
        raise UserError(f"--out {address} has other files. Choose an empty or new folder.")
    else:
        output.write(SETTINGS, json.dumps(asdict(settings)).encode())
    return output


def finished(output: Output, expected: Sequence[str]) -> set[str]:
    """The names of `expected`, one for each block in order, that have a file.

    Raises `UserError` if the output has the answers of another list.
    """
    names = {name for name in output.names() if BLOCK.fullmatch(name)}
    if strange := names.difference(expected):
        number = min(int(name.partition("-")[0]) for name in strange)
        raise UserError(
            f"The list of photos has changed since {output.address} was begun (block {number:,}). "
            "Use the list of then, or choose another --out."
        )
    return names


def _check_same(output: Output, settings: Settings) -> None:
    before = Settings(**json.loads(output.read(SETTINGS)))
    if before.model_version != settings.model_version:
        raise UserError(
            f"{output.address} has answers of version {before.model_version}. Choose another "
            f"--out, or go on with --model {before.model_version}."
        )
    if before != settings:
        has = "has" if before.embeddings else "has no"
        raise UserError(
            f"{output.address} {has} embeddings. Choose another --out, or "
            f"{'add' if before.embeddings else 'leave out'} --embeddings."
        )


def _write_file(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Readers of Parquet folders also skip this name.
    partial = folder / f"_{name}.{secrets.token_hex(4)}{PARTIAL}"
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, folder / name)
    finally:
        partial.unlink(missing_ok=True)
