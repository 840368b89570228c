"""Do blocks on all cores of this machine, in a process for each core."""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from car_damage.batch.photo_list import Block
from car_damage.batch.worker import Attempt, Attempts, Done, Worker
from car_damage.parallel import cores

_worker: Worker | None = None  # of a process of the pool


def do_blocks(blocks: Iterable[Block], worker: Worker) -> Iterator[Done]:
    """Do the blocks and yield each result, in any order.

    If a process dies, the blocks that all processes were working on have failed once, because
    nobody knows which of them killed it. Raises `UserError` if a block fails too often.
    """
    attempts = Attempts(blocks)
    running: dict[Future[Done], Attempt] = {}
    pool = _new_pool(worker)
    try:
        while attempts or running:
            while attempts and len(running) < cores():
                attempt = attempts.pop()
                running[pool.submit(_do, attempt)] = attempt
            finished = wait(running, return_when=FIRST_COMPLETED).done
            if any(isinstance(each.exception(), BrokenProcessPool) for each in finished):
                finished = wait(running).done
                pool = _new_pool(worker)
            for future in finished:
                attempt = running.pop(future)
                if (error := future.exception()) is None:
                    yield future.result()
                else:
                    attempts.repeat(attempt, error)
    finally:
        pool.shutdown(cancel_futures=True)


def _new_pool(worker: Worker) -> ProcessPoolExecutor:
    # New programs instead of forks, because a fork copies locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(cores(), context, initializer=_begin, initargs=(worker,))


def _begin(worker: Worker) -> None:
    global _worker
    _worker = worker
    with suppress(ValueError):  # Ctrl-C stops the first process, which then stops these
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(attempt: Attempt) -> Done:
    assert _worker is not None
    return _worker.do(attempt)
