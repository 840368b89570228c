"""The metrics of all worker processes, in shared memory.

prometheus_client keeps them in memory-mapped files. If the disk is full, the counting process dies
(SIGBUS). If the folder was deleted, /metrics fails. This module uses no files. The memory is made
before the workers are forked and has a part for each slot. A worker that replaces a dead one
continues the counts of its slot.
"""

import json
import mmap
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

WORD = 8  # bytes
SIZE = 2**18  # bytes of a table, five times the need; the system allocates only the used part


class Table:
    """The series of one slot with their values. One process writes, and all may read.

    The layout, in words of 8 bytes: the number of used words, then for each series the length of
    its name in bytes, the name, and the value. Words count as used once their series is complete.
    """

    def __init__(self) -> None:
        memory = mmap.mmap(-1, SIZE)
        self._bytes = memoryview(memory)
        self._integers = self._bytes.cast("q")
        self.values = self._bytes.cast("d")
        self.clear()

    def clear(self) -> None:
        """Forget all series."""
        self._integers[0] = 1
        self._known: dict[str, int] = {}  # each series' position, in the writing process

    def position(self, name: str) -> int:
        """Return the index of a series' value in `values`. A new series starts at 0.

        Raises `ValueError` if the table is full.
        """
        if not self._known:  # read the series of the slot's previous worker
            self._known = dict(self._positions())
        if name in self._known:
            return self._known[name]
        encoded = name.encode()
        begin = self._integers[0]
        position = begin + 1 + -(-len(encoded) // WORD)
        first = (begin + 1) * WORD
        self._bytes[first : first + len(encoded)] = encoded
        self._integers[begin] = len(encoded)
        self.values[position] = 0.0
        self._integers[0] = position + 1
        self._known[name] = position
        return position

    def series(self) -> Iterator[tuple[str, float]]:
        """Yield each series with its value."""
        for name, position in self._positions():
            yield name, self.values[position]

    def _positions(self) -> Iterator[tuple[str, int]]:
        word, used = 1, self._integers[0]
        while word < used:
            length = self._integers[word]
            first = (word + 1) * WORD
            position = word + 1 + -(-length // WORD)
            yield bytes(self._bytes[first : first + length]).decode(), position
            word = position + 1


class SharedMetrics(Collector):
    """A table of counts and one of gauges for each slot. Gauges end with their worker."""

    def __init__(self, slots: int):
        self._counts = [Table() for _ in range(slots)]
        self._gauges = [Table() for _ in range(slots)]

    def value_class(self, slot: int) -> type:
        """Return prometheus_client's class for values in the worker with this slot."""
        # A worker above all slots counts on its own. The others' /metrics do not show its counts.
        known = slot < len(self._counts)
        counts = self._counts[slot] if known else Table()
        gauges = self._gauges[slot] if known else Table()

        class Value(SharedValue):
            def __init__(self, typ: str, *arguments: Any, **options: Any):
                super().__init__(gauges if typ == "gauge" else counts, typ, *arguments, **options)

        return Value

    def forget(self, slot: int) -> None:
        """Delete the gauges of a worker that has ended."""
        if slot < len(self._gauges):
            self._gauges[slot].clear()

    def collect(self) -> Iterable[Metric]:
        """Return all metrics, summed over the workers where that makes sense."""
        metrics: dict[str, Metric] = {}
        for tables in (self._counts, self._gauges):
            for slot, table in enumerate(tables):
                for series, value in table.series():
                    _add_sample(metrics, slot, series, value)
        # prometheus_client does the same with files, but has no public function for it.
        summed: Iterable[Metric] = MultiProcessCollector._accumulate_metrics(
            metrics, accumulate=True
        )
        return summed


class SharedValue:
    """A value in a table, with the interface of `prometheus_client.values`."""

    _multiprocess = True
    _lock = Lock()  # for all values in this process

    def __init__(
        self,
        table: Table,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Iterable[str],
        labelvalues: Iterable[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ):
        labels = dict(zip(labelnames, labelvalues, strict=True))
        series = json.dumps([typ, multiprocess_mode, metric_name, help_text, name, labels])
        with self._lock:
            self._values, self._position = table.values, table.position(series)

    def inc(self, amount: float) -> None:
        with self._lock:
            self._values[self._position] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        with self._lock:
            self._values[self._position] = value

    def get(self) -> float:
        return float(self._values[self._position])

    def set_exemplar(self, exemplar: object) -> None:
        """Ignore the exemplar, as prometheus_client does with several processes."""

    def get_exemplar(self) -> None:
        return None


def _add_sample(metrics: dict[str, Metric], slot: int, series: str, value: float) -> None:
    typ, mode, metric_name, help_text, name, labels = json.loads(series)
    metric = metrics.setdefault(metric_name, Metric(metric_name, help_text, typ))
    pairs = tuple(sorted(labels.items()))
    if typ == "gauge":
        metric._multiprocess_mode = mode  # type: ignore[attr-defined]  # the collector reads it
        pairs += (("pid", str(slot)),)
    metric.add_sample(name, pairs, value)  # type: ignore[arg-type]  # the collector makes dicts
