"""Measure batch prediction: all cores of one machine, against Ray clusters on the same machine.

    python benchmarks/cluster.py            # about 25 minutes on two cores
    python benchmarks/cluster.py --short    # 4 minutes, with fewer photos

- One node: the photos per second of `predict.py --out` with `--cluster local`, against without.
- Two nodes: a cluster of two nodes of one core each, against a cluster of one such node. The head
  has no core. All are on this machine, so their own work takes time from the same cores.
- Memory: the peak of the first process, with few and with many photos.

The photos are drawn. Both sides take turns, and times are of the whole command, with its start. It
also shows what share of the processor time Ray's own processes took. Linux only.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.headlines import Headline, print_headlines
from benchmarks.service import ROOT, photo
from car_damage.parallel import cores

DRAWN = 100  # different photos; a list names them again and again
TICKS = os.sysconf("SC_CLK_TCK")
OWN_PROCESSES = ("gcs_server", "raylet", "ray/dashboard", "ray/_private", "ray-dashboard")


@dataclass(frozen=True)
class Sizes:
    """How many photos each measurement has, and how often it is repeated."""

    one_node: int
    two_nodes: int
    memory: tuple[int, int]
    rounds: int


FULL = Sizes(20_000, 8_000, (10_000, 100_000), 2)
SHORT = Sizes(2_000, 1_000, (1_000, 5_000), 1)


@dataclass(frozen=True)
class Run:
    """One run of predict.py."""

    rate: float  # photos per second, with the start
    peak: float  # MB of the first process
    own_share: float  # of the cluster's processor time, what Ray's own processes took


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="fewer photos")
    sizes = SHORT if parser.parse_args().short else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print_headlines(
            [_one_node(folder, sizes), _two_nodes(folder, sizes), _memory(folder, sizes)]
        )


def _one_node(folder: Path, sizes: Sizes) -> Headline:
    photos = _listed(folder, sizes.one_node, 1024, 768)
    pairs = [(_run(photos, "local"), _run(photos)) for _ in range(sizes.rounds)]
    return _headline(sizes.one_node, "A cluster of one node", "no cluster", pairs, "0.85")


def _two_nodes(folder: Path, sizes: Sizes) -> Headline:
    photos = _listed(folder, sizes.two_nodes, 1024, 768)
    pairs = [(_on_nodes(photos, 2), _on_nodes(photos, 1)) for _ in range(sizes.rounds)]
    return _headline(sizes.two_nodes, "Two nodes of one core", "one such node", pairs, "1.6")


def _memory(folder: Path, sizes: Sizes) -> Headline:
    few, many = (_run(_listed(folder, count, 96, 64), "local").peak for count in sizes.memory)
    question = "Peak memory of the first process"
    counts = [f"{count:,} photos" for count in sizes.memory]
    return Headline(
        question, f"{counts[1]}: {many:.0f} MB", f"{counts[0]}: {few:.0f} MB", many / few, "1"
    )


def _headline(
    photos: int, one: str, other: str, pairs: list[tuple[Run, Run]], goal: str
) -> Headline:
    ratio = statistics.median(a.rate / b.rate for a, b in pairs)
    ours, others = (
        statistics.median(run.rate for run in side) for side in zip(*pairs, strict=True)
    )
    own = statistics.median(a.own_share for a, _ in pairs)
    question = f"{one}, {photos:,} photos; Ray's own processes took {own:.0%} of the processor time"
    return Headline(
        question, f"{ours:.0f} photos/s", f"{other}: {others:.0f} photos/s", ratio, goal
    )


def _listed(folder: Path, count: int, width: int, height: int) -> Path:
    """A list of photos of this size, which are drawn first."""
    drawn = []
    for number in range(DRAWN):
        path = folder / f"{width}-{number}.jpg"
        if not path.exists():
            path.write_bytes(photo(number, width, height))
        drawn.append(str(path))
    file = folder / f"{width}-{count}.txt"
    file.write_text("\n".join(islice(cycle(drawn), count)), encoding="utf-8")
    return file


def _run(photos: Path, cluster: str | None = None) -> Run:
    """Run predict.py over the list."""
    before = _seconds_by_pid(OWN_PROCESSES)
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "predict.py", "--list", str(photos), "--out", out]
        command += ["--cluster", cluster] if cluster else []
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        peak, own, workers = 0.0, 0.0, 0.0
        while process.poll() is None:
            peak = max(peak, _peak_memory(process.pid))
            own = max(own, _used(OWN_PROCESSES, before))
            workers = max(workers, _used(("ray::BlockActor",), {}))
            time.sleep(0.2)
        seconds = time.monotonic() - begun
    if process.returncode:
        raise SystemExit(f"predict.py failed with exit code {process.returncode}")
    count = photos.read_text(encoding="utf-8").count("\n") + 1
    return Run(count / seconds, peak, own / (own + workers) if cluster else 0.0)


def _on_nodes(photos: Path, count: int) -> Run:
    with _nodes(count) as address:
        return _run(photos, address)


@contextmanager
def _nodes(count: int) -> Iterator[str]:
    """Run a cluster of nodes of one core each, and yield its address."""
    from ray.cluster_utils import Cluster

    same_priority = {"worker_niceness": 0}  # as without a cluster
    head = {"num_cpus": 0, "_system_config": same_priority}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


def _peak_memory(pid: int) -> float:
    """The peak memory of a process so far, in MB; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1e3 for line in status.splitlines() if "VmHWM" in line)


def _used(names: tuple[str, ...], before: dict[str, float]) -> float:
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in _seconds_by_pid(names).items())


def _seconds_by_pid(names: tuple[str, ...]) -> dict[str, float]:
    """The processor time of each process whose command contains one of these names."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if any(name in command for name in names):
            found[folder.name] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        raise SystemExit("This benchmark reads /proc, which only Linux has.")
    print(f"{cores()} cores", file=sys.stderr)
    main()
