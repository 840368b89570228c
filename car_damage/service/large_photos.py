"""One large photo at a time, in all worker processes of the service together.

Each photo within the limits fits into a small container, but not one in each worker at once.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows, where the service has one process
    fcntl = None  # type: ignore[assignment]

LARGE = 50_000_000  # bytes that decoding takes: below, as many as there are workers do no harm


@contextmanager
def turn(decoding_memory: int) -> Iterator[None]:
    """Wait until no other process decodes a large photo, if this one is `decoding_memory` large."""
    if fcntl is None or decoding_memory < LARGE:
        yield
        return
    # A lock on a file that is there already needs no place to write. It ends with its process.
    with open(__file__, "rb") as file:
        with suppress(OSError):  # a file system without locks must not refuse photos
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            _give_memory_back()


def _give_memory_back() -> None:
    """Have the C library return freed memory; otherwise it keeps up to 200 MB in each process."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
