"""What TensorFlow and LiteRT write to stderr past Python, held back where it helps nobody."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# Read when TensorFlow is loaded. Its errors reach us as exceptions anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Lines of its log, which obeys that variable only in part, and of LiteRT's.
CHATTER = re.compile(
    rb"[IWE]\d{4} .*\.cc:\d+\]|WARNING: All log messages before absl|INFO: Created TensorFlow Lite"
)
_one_at_a_time = threading.Lock()


@contextmanager
def without_chatter() -> Iterator[None]:
    """Drop the chatter that is written while the block runs; all other lines come after it."""
    with _one_at_a_time, _file_in_memory() as log:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            log.seek(0)
            os.write(stderr, b"".join(line for line in log if not CHATTER.match(line)))
            os.close(stderr)


def _file_in_memory() -> IO[bytes]:
    """A file without a name: in memory where the system can, as a disk may be read-only."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("chatter"), "w+b")
    return tempfile.TemporaryFile()
