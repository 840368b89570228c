"""Allow only one large photo at a time in all worker processes together.

A small container has enough memory for one large photo, but not for one in each worker.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows, where the service has one process
    fcntl = None  # type: ignore[assignment]

LARGE = 50_000_000  # bytes; if decoding takes less, every worker may have a photo at once


@contextmanager
def turn(decoding_memory: int) -> Iterator[None]:
    """Wait until no other process decodes a large photo, if this photo is large.

    `decoding_memory` is the number of bytes that decoding it takes.
    """
    if fcntl is None or decoding_memory < LARGE:
        yield
        return
    # The lock is on this source file, so it needs no writable folder. It ends with its process.
    with open(__file__, "rb") as file:
        with suppress(OSError):  # without file locks, photos are decoded at the same time
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            _give_memory_back()


def _give_memory_back() -> None:
    """Return freed memory to the system. The C library keeps up to 200 MB in each process."""
    if sys.platform == "linux":
        with suppress(AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
