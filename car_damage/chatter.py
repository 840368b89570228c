"""Suppress the log lines that TensorFlow and LiteRT write straight to stderr."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# TensorFlow reads this when it is loaded. Its errors also reach us as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Log lines of TensorFlow, which follow that variable only in part, and of LiteRT.
CHATTER = re.compile(
    rb"[IWE]\d{4} .*\.cc:\d+\]|WARNING: All log messages before absl|INFO: Created TensorFlow Lite"
)
_one_at_a_time = threading.Lock()


@contextmanager
def without_chatter() -> Iterator[None]:
    """Drop these log lines while the block runs; write all other lines to stderr afterwards."""
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
    """A temporary file, in memory if the system can do that, because a disk may be read-only."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("chatter"), "w+b")
    return tempfile.TemporaryFile()
