"""Process many items in parallel and in order, with only a few of them in memory."""

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
AHEAD = 4  # results per worker that may wait: enough to make up for one slow photo


def cores() -> int:
    """The number of cores that this process may use, given its affinity and its CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, int(min(allowed, _quota())))


def _quota() -> float:
    """The smallest CPU quota of this process's control groups, in cores; infinite without one."""
    limits = [file.read_text() for file in CGROUPS.glob("cpu.max")]  # version 2: of its own group
    for file in CGROUPS.glob("cpu/cpu.cfs_quota_us"):  # version 1
        period = file.with_name("cpu.cfs_period_us").read_text()
        limits.append(f"{file.read_text()} {period}")
    pairs = [limit.split() for limit in limits if not limit.startswith(("max", "-"))]
    return min((int(quota) / int(period) for quota, period in pairs), default=math.inf)


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, computed by a thread per core.

    At most a few results per core wait in memory; `ThreadPoolExecutor.map` would keep all of them.
    Threads are enough, because decoding, resizing and hashing release the interpreter's lock.
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
    """Return a function that gives each thread an object of its own, created by `make`."""
    own = threading.local()

    def get() -> Result:
        if not hasattr(own, "made"):
            own.made = make()
        return own.made

    return get
