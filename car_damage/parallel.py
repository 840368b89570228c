"""Work on many things at once, in order, with only a few of them in memory."""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CGROUPS = Path("/sys/fs/cgroup")
AHEAD = 4  # results waiting per worker: enough to ride out one slow photo


def cores() -> int:
    """How many cores this process may really use: what a container's quota and affinity leave."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, int(min(allowed, _quota())))


def _quota() -> float:
    """The least CPU quota of this process's control groups, in cores; infinite without any."""
    limits = [file.read_text() for file in CGROUPS.glob("cpu.max")]  # version 2: of its own group
    for file in CGROUPS.glob("cpu/cpu.cfs_quota_us"):  # version 1
        period = file.with_name("cpu.cfs_period_us").read_text()
        limits.append(f"{file.read_text()} {period}")
    pairs = [limit.split() for limit in limits if not limit.startswith(("max", "-"))]
    return min((int(quota) / int(period) for quota, period in pairs), default=math.inf)


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, computed by a thread per core.

    `ThreadPoolExecutor.map` would hold every result that is not asked for yet; here at most a few
    per core wait. Threads do: decoding, resizing and hashing all release the interpreter's lock.
    """
    workers = cores()
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def per_thread(make: Callable[[], Result]) -> Callable[[], Result]:
    """A function that returns the calling thread's own object, made by `make` the first time."""
    own = threading.local()

    def get() -> Result:
        if not hasattr(own, "made"):
            own.made = make()
        return own.made

    return get
