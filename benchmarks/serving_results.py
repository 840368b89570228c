"""The results of `serving.py`: figures of each round, tables of medians, and a plot."""

import json
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks.headlines import Headline
from benchmarks.servers import OURS, SERVERS, Timing

FLOOR = "floor"
MANY = 8  # clients, for the ratios
COLOURS = ("#0a7d55", "#b35c00", "#7a4fb5", "#0b6fb3", "#a3195b")
GREY = "#555555"
LINE = 0.065  # height of a label, as a share of the axis
Label = tuple[str, str]  # name and colour


@dataclass(frozen=True)
class Measurement:
    """What one number of clients measured at a server in one round."""

    server: str
    round: int
    clients: int  # of the floor, processes
    photos_per_second: float
    p50: float  # milliseconds until an answer, and so on
    p95: float
    p99: float
    processor: float  # milliseconds of processor time for a photo, without the load generator
    generator: float  # the load generator's share of one core
    memory: float  # proportional set size of all processes in MB

    @classmethod
    def of(
        cls,
        server: str,
        number: int,
        clients: int,
        timing: Timing,
        processor: float = 0,
        memory: float = 0,
    ) -> Self:
        """Summarise a run in which the server used this many seconds of processor time."""
        p50, p95, p99 = (float(each) * 1000 for each in np.percentile(timing.times, (50, 95, 99)))
        rate = timing.in_time / timing.seconds
        each = processor / len(timing.times) * 1000
        generator = timing.processor / len(timing.times) * rate
        return cls(server, number, clients, rate, p50, p95, p99, each, generator, memory)

    @classmethod
    def of_floor(cls, number: int, processes: int, timing: Timing) -> Self:
        """Summarise a run without a server."""
        idle = timing._replace(processor=0)
        return cls.of(FLOOR, number, processes, idle, processor=timing.processor)


@dataclass
class Results:
    """All results of a run."""

    precision: str
    cores: int
    load_average: float  # before the run: the number of busy or waiting processes
    installed: dict[str, float]  # MB, by server
    ready: dict[str, list[float]]  # seconds until the first answer in each round, by server
    measurements: list[Measurement] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the results as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read results that `write` wrote."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["measurements"] = [Measurement(**each) for each in raw["measurements"]]
        return cls(**raw)

    def of(self, server: str, clients: int) -> list[Measurement]:
        """Return a server's measurements with this number of clients, by round."""
        return [
            each for each in self.measurements if (each.server, each.clients) == (server, clients)
        ]

    @property
    def servers(self) -> list[str]:
        """The names of the measured servers."""
        return [server.name for server in SERVERS if server.name in self.ready]

    @property
    def clients(self) -> list[int]:
        """The numbers of clients."""
        return sorted({each.clients for each in self.measurements if each.server != FLOOR})

    @property
    def floor(self) -> list[Measurement]:
        """The floor with one process per core, by round."""
        return self.of(FLOOR, self.cores)


def middle(values: Iterable[float], digits: int = 1) -> str:
    """Format the median, and the range if there are several values."""
    values = list(values)
    median, low, high = (f"{f(values):.{digits}f}" for f in (statistics.median, min, max))
    return median if len(values) == 1 else f"{median} ({low} to {high})"


def ratios(
    above: list[Measurement], below: list[Measurement], figure: Callable[[Measurement], float]
) -> list[float]:
    """Return the ratios of a figure, round by round."""
    return [figure(one) / figure(other) for one, other in zip(above, below, strict=True)]


def rate(measurement: Measurement) -> float:
    """Return the photos per second."""
    return measurement.photos_per_second


def report(results: Results) -> str:
    """Return all tables as Markdown."""
    return "\n\n".join([throughput(results), latency(results), cost(results)])


def throughput(results: Results) -> str:
    """Return a table of photos per second, and how many times as many this service answers."""
    rows = [
        [name]
        + [middle(map(rate, results.of(name, clients))) for clients in results.clients]
        + [
            middle(ratios(results.of(OURS.name, clients), results.of(name, clients), rate), 2)
            for clients in (1, MANY)
        ]
        for name in results.servers
    ]
    last = [
        "no server",
        middle(map(rate, results.of(FLOOR, 1))),
        "",
        middle(map(rate, results.floor)),
    ]
    head = ["photos/s", *(_counted(clients) for clients in results.clients)]
    return _table([*head, "this service / it, 1 client", f"{MANY} clients"], [*rows, last])


def latency(results: Results) -> str:
    """Return a table of the milliseconds until an answer."""

    def cell(name: str, clients: int) -> str:
        rounds = results.of(name, clients)
        figures = ([each.p50, each.p95, each.p99] for each in rounds)
        return " / ".join(f"{statistics.median(each):.0f}" for each in zip(*figures, strict=True))

    rows = [
        [name, *(cell(name, clients) for clients in results.clients)] for name in results.servers
    ]
    return _table(["ms: 50 / 95 / 99 % below", *map(_counted, results.clients)], rows)


def cost(results: Results) -> str:
    """Return a table of memory, processor time, start and size."""
    rows = []
    for name in results.servers:
        last = results.of(name, max(results.clients))
        generator = [each.generator for each in results.measurements if each.server == name]
        rows.append(
            [
                name,
                middle((each.memory for each in last), 0),
                middle(each.processor for each in results.of(name, MANY)),
                middle(results.ready[name]),
                f"{results.installed[name]:,.0f}",
                f"{max(generator):.0%}",
            ]
        )
    rows.append(["no server", "", middle(each.processor for each in results.floor)])
    processor = f"processor time for a photo, {MANY} clients, ms"
    memory = f"memory after {max(results.clients)} clients, MB"
    head = ["", memory, processor, "first answer after, s", "installed, MB"]
    return _table([*head, "load generator, of a core"], rows)


def headlines(results: Results) -> list[Headline]:
    """Return the ratios to the other servers, and to the floor."""
    many, one = results.of(OURS.name, MANY), results.of(OURS.name, 1)
    found = [
        compared(f"{MANY} clients", "photos/s", many, name, results.of(name, MANY), rate)
        for name in results.servers
        if name != OURS.name
    ]
    alone = "no server"
    share = compared(f"{MANY} clients", "photos/s", many, alone, results.floor, rate)
    time = "processor time for a photo"
    spent = compared(time, "ms", many, alone, results.floor, lambda each: each.processor)
    waits = compared("1 client", "ms", one, alone, results.of(FLOOR, 1), lambda each: each.p50)
    return [*found, share._replace(goal="0.94"), spent, waits._replace(goal="at most 1.35")]


def compared(
    what: str,
    unit: str,
    ours: list[Measurement],
    name: str,
    other: list[Measurement],
    figure: Callable[[Measurement], float],
) -> Headline:
    """Compare the medians of a figure; the ratio is the median of the rounds' ratios."""
    own, theirs = (statistics.median(map(figure, each)) for each in (ours, other))
    ratio = statistics.median(ratios(ours, other, figure))
    return Headline(f"serving, {what}", f"{own:.1f} {unit}", f"{name} {theirs:.1f}", ratio)


def plot(results: Results, path: Path) -> None:
    """Draw the throughput against the number of clients."""
    from matplotlib.figure import Figure  # takes a second, and only the plot needs it

    figure = Figure((7, 4), layout="constrained", facecolor="white")  # also on a dark page
    axes = figure.add_subplot()
    highest = statistics.median(map(rate, results.floor))
    fewest, most = results.clients[0], results.clients[-1]
    axes.hlines(highest, fewest, most, color=GREY, linestyle="--")
    axes.text(fewest, highest, "no server: decoding and the graph alone", va="bottom")
    ends = {}
    for name, colour in zip(results.servers, COLOURS, strict=False):
        rates = [statistics.median(map(rate, results.of(name, each))) for each in results.clients]
        axes.plot(results.clients, rates, "o-", color=colour, linewidth=2)
        ends[name, colour] = rates[-1]
    top = 1.15 * max(highest, *ends.values())
    for (name, colour), at in apart(ends, LINE * top).items():
        axes.text(1.08 * most, at, name, color=colour, va="center")
    axes.set_xscale("log", base=2)
    axes.set_xticks(results.clients, map(str, results.clients))
    axes.set_ylim(0, top)
    axes.set_xlabel("clients")
    axes.set_ylabel("photos per second")
    axes.grid(axis="y", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=200)


def apart(places: dict[Label, float], distance: float) -> dict[Label, float]:
    """Move labels up so that each is at least this far above the next lower one."""
    moved: dict[Label, float] = {}
    lowest = -math.inf
    for label, place in sorted(places.items(), key=lambda item: item[1]):
        moved[label] = lowest = max(place, lowest + distance)
    return moved


def _counted(clients: int) -> str:
    return f"{clients} client{'s' * (clients > 1)}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *(row + [""] * (len(head) - len(row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
