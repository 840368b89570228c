"""The list of a run's photos, kept in a temporary file, and its blocks of 500 photos."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO

SIZE = 500  # photos in a block: a few seconds of work on a core, and a file of 10 kB


@dataclass(frozen=True)
class Block:
    """Consecutive photos of a list."""

    number: int  # from 0
    photos: tuple[str, ...]  # paths and URLs

    @property
    def name(self) -> str:
        """The name of the file with the answers, which changes with each photo's name and order."""
        text = "\0".join(self.photos).encode("utf-8", "surrogateescape")
        return f"{self.number:08}-{hashlib.sha256(text).hexdigest()[:16]}.parquet"


class PhotoList:
    """Names of photos in a file. It can be read again and again, without holding all in memory."""

    def __init__(self, file: IO[str], names: Iterable[str]):
        self._file = file
        self.count = 0
        for name in names:
            file.write(json.dumps(name) + "\n")  # a name may contain a line break
            self.count += 1
        file.flush()

    def __iter__(self) -> Iterator[str]:
        at = 0
        while True:
            self._file.seek(at)  # another iteration may have moved it
            lines = list(islice(iter(self._file.readline, ""), SIZE))
            if not lines:
                return
            at = self._file.tell()
            yield from map(json.loads, lines)

    def blocks(self) -> Iterator[Block]:
        """The list in blocks of `SIZE` photos; the last one may be smaller."""
        names = iter(self)
        number = 0
        while photos := tuple(islice(names, SIZE)):
            yield Block(number, photos)
            number += 1


@contextmanager
def listed(names: Iterable[str]) -> Iterator[PhotoList]:
    """Write the names into a temporary file, about 80 bytes each, which is deleted at the end."""
    with tempfile.TemporaryFile("w+", encoding="ascii") as file:
        yield PhotoList(file, names)
