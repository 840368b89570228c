"""The metrics of all worker processes, in memory that they share.

prometheus_client keeps them in memory-mapped files. A full disk then kills the process that counts
(SIGBUS), and a folder that was deleted makes /metrics fail. Here is no file. The memory is made
before the workers are forked, a part for each slot. The worker that replaces a dead one continues
to count in its slot.
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
SIZE = 2**18  # bytes of a table, five times what it needs; the system gives only what is written


class Table:
    """The series of one slot, each with its value; one process writes, and any may read.

    In words of 8 bytes: how many are used, and then for each series the length of its name in
    bytes, the name, and the value. A series is counted as used once it is whole.
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
        self._known: dict[str, int] = {}  # to the process that writes: each series' position

    def position(self, name: str) -> int:
        """Where in `values` a series has its value; it begins at 0. Raises `ValueError` if full."""
        if not self._known:  # what the worker that had the slot before has left
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
        """Each series with its value."""
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
    """A table of counts and one of gauges for each slot; gauges end with their worker."""

    def __init__(self, slots: int):
        self._counts = [Table() for _ in range(slots)]
        self._gauges = [Table() for _ in range(slots)]

    def value_class(self, slot: int) -> type:
        """What prometheus_client should keep values in, in the worker that has this slot."""
        # One above all slots counts for itself: /metrics of the others do not show it.
        known = slot < len(self._counts)
        counts = self._counts[slot] if known else Table()
        gauges = self._gauges[slot] if known else Table()

        class Value(SharedValue):
            def __init__(self, typ: str, *arguments: Any, **options: Any):
                super().__init__(gauges if typ == "gauge" else counts, typ, *arguments, **options)

        return Value

    def forget(self, slot: int) -> None:
        """Forget the gauges of a worker that ended."""
        if slot < len(self._gauges):
            self._gauges[slot].clear()

    def collect(self) -> Iterable[Metric]:
        """All metrics, summed over the workers where that makes sense."""
        metrics: dict[str, Metric] = {}
        for tables in (self._counts, self._gauges):
            for slot, table in enumerate(tables):
                for series, value in table.series():
                    _add_sample(metrics, slot, series, value)
        # As prometheus_client does with files; it has no public name for it.
        summed: Iterable[Metric] = MultiProcessCollector._accumulate_metrics(
            metrics, accumulate=True
        )
        return summed


class SharedValue:
    """A number in a table, as prometheus_client uses it; see `prometheus_client.values`."""

    _multiprocess = True
    _lock = Lock()  # of all values in this process

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
        """Ignore it, as prometheus_client does with several processes."""

    def get_exemplar(self) -> None:
        return None


def _add_sample(metrics: dict[str, Metric], slot: int, series: str, value: float) -> None:
    typ, mode, metric_name, help_text, name, labels = json.loads(series)
    metric = metrics.setdefault(metric_name, Metric(metric_name, help_text, typ))
    pairs = tuple(sorted(labels.items()))
    if typ == "gauge":
        metric._multiprocess_mode = mode  # type: ignore[attr-defined]  # where it looks for it
        pairs += (("pid", str(slot)),)
    metric.add_sample(name, pairs, value)  # type: ignore[arg-type]  # it makes dicts of them
