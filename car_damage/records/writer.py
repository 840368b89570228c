"""Write entries to the database in batches, in one thread per process.

A slow or missing database delays nobody: entries wait in a bounded queue, and are lost and counted
once it is full.
"""

import atexit
import logging
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from time import monotonic, sleep

from car_damage.records.entry import Entry
from car_damage.records.metrics import RecordMetrics

MOST_WAITING = 5000  # entries
MOST_BYTES = 16 * 2**20  # of waiting entries, mostly photos
BATCH = 100  # entries
GATHERING = 0.2  # seconds that the first entry of a batch waits for others
AGAIN_AFTER = 1.0  # seconds between tries while the database is gone
REPORT_EVERY = 60.0  # seconds between log lines about what is not written
AT_THE_END = 5.0  # seconds that a process waits for its last entries

logger = logging.getLogger(__name__)


class Writer:
    """A queue of entries and the thread that writes them.

    `write` stores a batch, without the entries that are stored already. `outage_in` returns the
    reason if an exception of it means that the database or the bucket is gone. Other exceptions
    mean entries that can never be stored.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Entry]], None],
        outage_in: Callable[[Exception], str | None],
        metrics: RecordMetrics,
    ):
        self._write, self._outage_in = write, outage_in
        self._metrics = metrics
        self._entries: deque[Entry] = deque()
        self._size = 0  # bytes of `_entries`
        self._unsaid = 0  # entries that found no room since the last log line
        self._failing: str | None = None  # why the last batch could not be written
        self._report_at = 0.0
        self._changed = Condition()
        Thread(target=self._run, name="records", daemon=True).start()
        atexit.register(self.close)

    def put(self, entry: Entry) -> bool:
        """Add an entry to the queue. Return False, and count the entry as lost, if it is full."""
        with self._changed:
            too_large = self._entries and self._size + entry.size > MOST_BYTES
            full = too_large or len(self._entries) >= MOST_WAITING
            if full:
                self._metrics.lost.inc()
                self._unsaid += 1
            else:
                self._entries.append(entry)
                self._size += entry.size
                self._show_waiting()
                if len(self._entries) == 1:  # otherwise the thread is awake
                    self._changed.notify_all()
        return not full

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits any more. Return whether that was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._entries, seconds)

    def close(self) -> None:
        """Wait for the last entries as the process ends. Count and log those that are lost."""
        if self.flush(AT_THE_END):
            return
        with self._changed:
            lost = len(self._entries)
        self._metrics.lost.inc(lost)
        logger.error(
            "answers are not recorded, and this process ends: %s (%d lost)", self._why(), lost
        )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries)
            sleep(GATHERING)
            self._write_batch()
            self._report()

    def _write_batch(self) -> None:
        with self._changed:
            batch = [self._entries[at] for at in range(min(BATCH, len(self._entries)))]
        try:
            written = self._written(batch)
        except Exception as error:
            self._failing = self._outage_in(error)
            self._report()
            sleep(AGAIN_AFTER)
            return
        if self._failing is not None:
            logger.info("the records are written again")
            self._failing = None
        self._metrics.written.inc(written)
        with self._changed:
            for entry in batch:
                self._entries.popleft()
                self._size -= entry.size
            self._show_waiting()
            self._changed.notify_all()

    def _written(self, batch: Sequence[Entry]) -> int:
        """Write a batch, one by one if it cannot be written as a whole. Return how many were.

        Raises an exception if the database is gone, so that the batch is tried again.
        """
        try:
            self._write(batch)
        except Exception as error:
            if self._outage_in(error):
                raise
        else:
            return len(batch)
        return sum(self._written_alone(entry) for entry in batch)

    def _written_alone(self, entry: Entry) -> bool:
        try:
            self._write([entry])
        except Exception as error:
            if self._outage_in(error):
                raise
            logger.exception("an answer cannot be recorded")
            self._metrics.lost.inc()
            return False
        return True

    def _show_waiting(self) -> None:
        self._metrics.waiting.set(len(self._entries))
        oldest = self._entries[0].row["time"].timestamp() if self._entries else 0
        self._metrics.waiting_since.set(oldest)

    def _why(self) -> str:
        return self._failing or "the database is too slow"

    def _report(self) -> None:
        """Log what is not written, at most once a minute."""
        if (self._failing is None and not self._unsaid) or monotonic() < self._report_at:
            return
        with self._changed:
            lost, self._unsaid = self._unsaid, 0
            waiting = len(self._entries)
        self._report_at = monotonic() + REPORT_EVERY
        logger.error("answers are not recorded: %s (%d wait, %d lost)", self._why(), waiting, lost)
