"""How many busy connections each worker process has, in memory that all of them share."""

import math
import mmap
from time import monotonic

SILENT = 3  # seconds after which a worker that reports nothing counts as dead or stuck


class Loads:
    """A row for each worker, by its slot; make it before the workers are forked."""

    def __init__(self, workers: int):
        # Room for those that a reload replaces, and that still finish what they accepted.
        self._slots = range(4 * workers)
        memory = mmap.mmap(-1, 2 * 8 * len(self._slots))
        self._rows = memoryview(memory).cast("d")  # when it reported, and its load

    def report(self, slot: int, load: int) -> None:
        """Say that the worker lives and has this load. One without a row is not balanced."""
        if slot in self._slots:
            self._rows[2 * slot + 1] = load
            self._rows[2 * slot] = monotonic()

    def forget(self, slot: int) -> None:
        """Offer the worker no more connections until it reports again."""
        if slot in self._slots:
            self._rows[2 * slot] = -math.inf

    def least_of_others(self, slot: int) -> float:
        """The smallest load of the other workers that reported lately; infinite without any."""
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
