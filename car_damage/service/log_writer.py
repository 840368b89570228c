"""Write log lines to stdout in a separate thread, so that logging never blocks the service."""

import logging
import os
import select
from collections import deque
from threading import Condition, Thread

LIMIT = 2**21  # bytes of lines that may wait in a process (thousands of lines)
PATIENCE = 2  # seconds; how long a process waits at its end until its last lines are written
STDOUT = 1


class LineWriter:
    """Writes lines to a descriptor in order. If there is no room or no reader, lines are lost.

    A forked process starts without lines, because its parent writes the waiting ones.
    """

    def __init__(self, descriptor: int, limit: int = LIMIT):
        self._descriptor = descriptor
        self._limit = limit
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._changed = Condition()
        self._lines: deque[bytes] = deque()  # the first is being written
        self._size = 0  # bytes in `_lines`
        self.lost = 0  # lines since the process started
        self._unsaid = 0  # lost lines that no warning has mentioned yet
        self._flows = True  # whether the last line was written
        self._started = False

    def put(self, line: str) -> None:
        """Queue a line for writing, if there is room for it."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if self._size + len(data) > self._limit or not self._start():
                self._lose()
                return
            self._lines.append(data)
            self._size += len(data)
            self._changed.notify_all()

    def take_unsaid(self) -> int:
        """Return and reset the number of lost lines that no warning has mentioned yet.

        Return 0 while the warning itself might get lost.
        """
        with self._changed:
            if not self._flows or self._size > self._limit / 2:
                return 0
            unsaid, self._unsaid = self._unsaid, 0
            return unsaid

    def flush(self) -> None:
        """Wait until all lines are written, for at most `PATIENCE` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, PATIENCE)

    def _start(self) -> bool:
        """Start the thread if it is not running. Return whether it runs."""
        if not self._started:
            try:
                Thread(target=self._write_all, name="log", daemon=True).start()
            except RuntimeError:  # the system has no more threads, or the process is ending
                return False
            self._started = True
        return True

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines[0]
            written = self._write(line)
            with self._changed:
                self._lines.popleft()
                self._size -= len(line)
                self._flows = written
                if not written:
                    self._lose()
                self._changed.notify_all()

    def _lose(self) -> None:
        self.lost += 1
        self._unsaid += 1

    def _write(self, line: bytes) -> bool:
        """Write a line, waiting as long as needed. Return False if it cannot be written."""
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # another process has made the descriptor non-blocking
                select.select([], [self._descriptor], [])
            except OSError:  # the reader has closed the pipe, or the disk is full
                return False
        return True


class StdoutHandler(logging.Handler):
    """Writes records to stdout without waiting, and later logs how many lines were lost."""

    writer = LineWriter(STDOUT)  # one for the process, because a reload creates a new handler

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if lost := self.writer.take_unsaid():
                self.writer.put(self.format(_lost(lost)))
            self.writer.put(self.format(record))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        self.writer.flush()


def _lost(lines: int) -> logging.LogRecord:
    text = "%d log lines were lost because nobody read them in time or they could not be written"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lines,), None)
