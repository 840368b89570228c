"""The number of busy connections of each worker process, in shared memory."""

import math
import mmap
from time import monotonic

SILENT = 3  # seconds; a worker that reports nothing for so long counts as dead or stuck


class Loads:
    """A row for each worker, found by its slot. Create it before the workers are forked."""

    def __init__(self, workers: int):
        # Includes old workers that finish their requests after a reload.
        self._slots = range(4 * workers)
        memory = mmap.mmap(-1, 2 * 8 * len(self._slots))
        self._rows = memoryview(memory).cast("d")  # the time of the report, and the load

    def report(self, slot: int, load: int) -> None:
        """Report that the worker is alive and has this load. Ignore a worker without a row."""
        if slot in self._slots:
            self._rows[2 * slot + 1] = load
            self._rows[2 * slot] = monotonic()

    def forget(self, slot: int) -> None:
        """Offer the worker no more connections until it reports again."""
        if slot in self._slots:
            self._rows[2 * slot] = -math.inf

    def least_of_others(self, slot: int) -> float:
        """Return the smallest load of the other live workers, or infinity without any."""
        earliest = monotonic() - SILENT
        rows = self._rows
        return min(
            (
                rows[2 * other + 1]
                for other in self._slots
                if other != slot and rows[2 * other] > earliest
            ),
            default=math.inf,
        )
