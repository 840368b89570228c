"""What several benchmarks need: work in a process per core, processor time and peak memory."""

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from car_damage.parallel import cores

SLOWEST_START = 120  # seconds; a process that failed would otherwise keep the others waiting


def photos_per_second(
    make: Callable[[], Callable[[Path], object]], photos: Sequence[Path], processes: int = cores()
) -> float:
    """Return how many photos this many processes work on in a second.

    Each process calls `make` before the clock starts, and the result with each of its photos.
    """
    context = multiprocessing.get_context("fork")  # so nothing is imported again
    ready = context.Barrier(processes + 1)

    def share(number: int) -> None:
        work = make()
        ready.wait(timeout=SLOWEST_START)
        for photo in photos[number::processes]:
            work(photo)

    started = [context.Process(target=share, args=(number,)) for number in range(processes)]
    for process in started:
        process.start()
    ready.wait(timeout=SLOWEST_START)
    begun = time.perf_counter()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise SystemExit("A process of the benchmark failed.")
    return len(photos) / (time.perf_counter() - begun)


def children_seconds() -> float:
    """Return the processor time of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_memory() -> float:
    """Return the peak memory of this process in MB. Linux only.

    `getrusage` would also count the memory of the process that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000
