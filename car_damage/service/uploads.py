"""A photo as it came, before anyone looked at it."""

import shutil
from typing import IO, NamedTuple

from werkzeug.formparser import default_stream_factory

from car_damage.service.problems import Problem


class Upload(NamedTuple):
    """The bytes of a photo, unread and unchecked, or why there are none; the client's file name."""

    content: IO[bytes] | Problem
    name: str | None = None


def spooled(stream: IO[bytes]) -> IO[bytes]:
    """A copy of a stream, to read from its start; on disk above 500 kB, as werkzeug keeps files."""
    copy = default_stream_factory(None, None, None)
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy
