"""Measure how step 1, predict.py and the service grow with photos, cores and clients.

    python benchmarks/growth.py                    # about 20 minutes, 4 GB of temporary files
    python benchmarks/growth.py --short            # about 2 minutes
    python benchmarks/growth.py step-1 predict     # only these parts

step-1: time and peak memory with more and more photos. They are small (320 x 240 px, and squares
of 64 px with close-ups), so that what does not depend on their size counts most.

predict: predict.py with photos of 1024 x 768 px, on one core, two, and so on. Many of the files are
links to the same photos.

service: more and more clients that send photos of 1024 x 768 px without a pause.

The floor of both decodes the photos, fits them and runs the graph in a process per core, and does
nothing else. Linux only.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import service
from benchmarks.headlines import Headline, print_headlines
from benchmarks.preprocessing import Kind, Setup, make_photos, run
from benchmarks.processes import children_seconds, photos_per_second
from car_damage import model_store, paths, photos
from car_damage.parallel import cores
from car_damage.predictor import Graph


class Effort(NamedTuple):
    """How much is measured."""

    step_1: Sequence[int]  # photos
    predict: int  # photos for each core
    rounds: int  # for each number of clients
    seconds: float  # of each round


FULL = Effort((2_000, 20_000, 100_000), 5_000, 5, 10)
SHORT = Effort((2_000, 6_000), 1_500, 3, 2)
SMALL = Kind(320, 240, 3, 0)
USUAL = Kind(1024, 768, 6, 200)
PREDICT_HEADING = """\
| cores | photos | predict.py, photos/s | times one core | share of the floor | \
processor time a photo, ms: predict.py, floor |
|---|---|---|---|---|---|"""
CLIENTS_PER_CORE = (1, 2, 4, 8)


def step_1(folder: Path, effort: Effort) -> list[Headline]:
    """Print the time and peak memory of step 1 for each number of photos."""
    print("| photos | step 1, photos/s | processor time a photo, ms | peak memory, MB |")
    print("|---|---|---|---|", flush=True)
    spent, peaks = [], []
    for count in effort.step_1:
        with tempfile.TemporaryDirectory(dir=folder) as raw_dir:
            make_photos(Path(raw_dir), SMALL._replace(count=count))
            speed, peak = run("step 1", Path(raw_dir), Setup(stored=64, close_ups=1))
        rate, milliseconds = speed
        print(f"| {count:,} | {rate:.0f} | {milliseconds:.2f} | {peak:.0f} |", flush=True)
        spent.append(milliseconds)
        peaks.append(peak)
    return [
        against_fewest(effort.step_1, "processor ms a photo", spent, "1.0"),
        against_fewest(effort.step_1, "MB", peaks, "at most 300 MB more"),
    ]


def against_fewest(
    counts: Sequence[int], unit: str, values: Sequence[float], goal: str
) -> Headline:
    """Compare step 1 with most photos and step 1 with fewest."""
    most, fewest = values[-1], values[0]
    question = f"step 1, {counts[-1]:,} photos against {counts[0]:,}"
    return Headline(question, f"{most:.4g} {unit}", f"{fewest:.4g}", most / fewest, goal)


def predict(folder: Path, effort: Effort) -> list[Headline]:
    """Print the photos per second of predict.py and of its floor for each number of cores."""
    drawn = usual_photos(folder)
    print(PREDICT_HEADING, flush=True)
    alone = 0.0
    for count in core_counts():
        with only(count), tempfile.TemporaryDirectory(dir=folder) as name:
            linked = [Path(name, f"{number}.jpg") for number in range(effort.predict * count)]
            for number, path in enumerate(linked):
                path.hardlink_to(drawn[number % len(drawn)])
            before = children_seconds()
            rate = len(linked) / predict_seconds(Path(name), folder / "answers.csv")
            between = children_seconds()
            floor = photos_per_second(graph_only, linked, count)
            own, least = between - before, children_seconds() - between
        alone = alone or rate
        each = ", ".join(f"{1000 * spent / len(linked):.2f}" for spent in (own, least))
        row = f"{count} | {len(linked):,} | {rate:.1f} | {rate / alone:.2f} | {rate / floor:.0%}"
        print(f"| {row} | {each} |", flush=True)
    name, ours = f"predict.py on {count} cores", f"{rate:.1f} photos/s"
    return [
        Headline(name, ours, f"one core {alone:.1f}", rate / alone, str(count)),
        Headline(name, ours, f"decode, fit and graph alone {floor:.1f}", rate / floor),
    ]


def usual_photos(folder: Path) -> list[Path]:
    """Draw photos of the usual size."""
    make_photos(folder / "usual", USUAL)
    return sorted((folder / "usual").rglob("*.jpg"))


def core_counts() -> list[int]:
    """The numbers of cores to measure: one, two, four and so on, and all of them."""
    powers = [2**power for power in range(cores().bit_length())]
    return sorted({*powers, cores()})


@contextmanager
def only(count: int) -> Iterator[None]:
    """Let this process and those that it starts use only some of its cores."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def predict_seconds(folder: Path, answers: Path) -> float:
    """Return the seconds that predict.py takes for the photos in a folder, with its start."""
    begun = time.perf_counter()
    command = [sys.executable, service.ROOT / "predict.py", folder, "--csv", answers]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def graph_only() -> Callable[[Path], object]:
    """Load the version in use; return a function that decodes, fits and runs its graph."""
    record = model_store.load_record(paths.MODELS)
    graph, size = Graph(record.graph), record.manifest.size

    def answer(path: Path) -> object:
        return graph.run(photos.fit(photos.decode(path.read_bytes(), size), size))

    return answer


def serve(folder: Path, effort: Effort) -> list[Headline]:
    """Print the throughput and latency of the service for each number of clients."""
    drawn = usual_photos(folder)
    data = [path.read_bytes() for path in drawn[:16]]
    counts = sorted({1, *(cores() * many for many in CLIENTS_PER_CORE)})
    rounds: dict[int, list[tuple[list[float], float]]] = {count: [] for count in counts}
    floors = []
    with service.gunicorn():
        while service.loaded_workers() < cores():
            time.sleep(0.02)
        for _ in range(effort.rounds):
            for count, measured in rounds.items():
                own = time.process_time()
                times = service.load(data, effort.seconds, count)
                measured.append((times, time.process_time() - own))
            floors.append(photos_per_second(graph_only, drawn * 2))
    print("| clients | photos/s | share of the floor | median, ms | p95, ms | clients' cores |")
    print("|---|---|---|---|---|---|")
    floor, best = statistics.median(floors), 0.0
    for count, measured in rounds.items():
        rate = statistics.median(len(times) for times, _ in measured) / effort.seconds
        used = statistics.median(own for _, own in measured) / effort.seconds
        every = statistics.quantiles([one for times, _ in measured for one in times], n=20)
        latency = f"{1000 * every[9]:.1f} | {1000 * every[18]:.1f}"
        print(f"| {count} | {rate:.1f} | {rate / floor:.0%} | {latency} | {used:.2f} |")
        best = max(best, rate)
    other = f"decode, fit and graph alone {floor:.1f}"
    return [
        Headline("the service, best number of clients", f"{best:.1f} photos/s", other, best / floor)
    ]


PARTS: dict[str, Callable[[Path, Effort], list[Headline]]] = {
    "step-1": step_1,
    "predict": predict,
    "service": serve,
}


def main() -> None:
    """Parse the options, then measure part by part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all"
    )
    parser.add_argument("--short", action="store_true", help="less of everything, about 2 minutes")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}. Choose from {', '.join(PARTS)}.")
    print(f"{cores()} cores, model {model_store.current(paths.MODELS)}", flush=True)
    headlines = []
    for name in args.parts or PARTS:
        print(f"\n{name}:\n", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            headlines += PARTS[name](Path(folder), SHORT if args.short else FULL)
    print_headlines(headlines)


if __name__ == "__main__":
    main()
