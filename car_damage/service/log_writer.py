"""Log lines to stdout from a thread of their own: nobody who logs waits for whoever reads them."""

import logging
import os
import select
from collections import deque
from threading import Condition, Thread

LIMIT = 2**21  # bytes of lines that may wait in a process: thousands
PATIENCE = 2  # seconds that a process waits at its end for its last lines to be read
STDOUT = 1


class LineWriter:
    """Writes lines to a descriptor in order. Lines that find no room, or no reader, are lost.

    A forked process starts with no lines of its own: its parent writes those that wait.
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
        self.lost = 0  # lines, since the process began
        self._unsaid = 0  # lost lines
        self._flows = True  # the last line was written
        self._started = False

    def put(self, line: str) -> None:
        """Have a line written, if there is room for it."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if self._size + len(data) > self._limit or not self._start():
                self._lose()
                return
            self._lines.append(data)
            self._size += len(data)
            self._changed.notify_all()

    def take_unsaid(self) -> int:
        """How many lines were lost that nobody was told of; 0 while a line on them may get lost."""
        with self._changed:
            if not self._flows or self._size > self._limit / 2:
                return 0
            unsaid, self._unsaid = self._unsaid, 0
            return unsaid

    def flush(self) -> None:
        """Wait until all lines are written, but not for longer than `PATIENCE`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, PATIENCE)

    def _start(self) -> bool:
        """Start the thread unless it runs; whether it does."""
        if not self._started:
            try:
                Thread(target=self._write_all, name="log", daemon=True).start()
            except RuntimeError:  # the system has no thread left, or the process is ending
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
        """Write a line, however long that takes; False if it cannot be written."""
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # someone else has made the descriptor so
                select.select([], [self._descriptor], [])
            except OSError:  # the reader is gone, or the disk is full
                return False
        return True


class StdoutHandler(logging.Handler):
    """Writes records to stdout without waiting, and says how many were lost when it goes on."""

    writer = LineWriter(STDOUT)  # of the process: a reload makes a new handler

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
    text = "%d log lines were lost, because they were not read in time or could not be written"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lines,), None)
