"""An uploaded photo before it is read or checked."""

import shutil
from typing import IO, NamedTuple

from werkzeug.formparser import default_stream_factory

from car_damage.service.problems import Problem


class Upload(NamedTuple):
    """A photo's unread bytes or the problem with it, and the client's file name."""

    content: IO[bytes] | Problem
    name: str | None = None


def spooled(stream: IO[bytes]) -> IO[bytes]:
    """Copy a stream and rewind the copy. Like werkzeug's files, it is on disk above 500 kB."""
    copy = default_stream_factory(None, None, None)
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy
