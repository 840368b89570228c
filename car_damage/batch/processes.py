"""Do blocks on all cores of this machine, in a process for each core."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
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
            is_whole = _submit(pool, attempts, running)
            finished = wait(running, return_when=FIRST_COMPLETED).done
            if not is_whole or any(_is_lost(future) for future in finished):
                finished = wait(running).done
                pool = _new_pool(worker)
            _repeat([running.pop(future) for future in finished if _is_lost(future)], attempts)
            for future in finished & running.keys():
                attempt = running.pop(future)
                if (error := future.exception()) is None:
                    yield future.result()
                else:
                    attempts.repeat(attempt, error)
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, attempts: Attempts, running: dict[Future[Done], Attempt]
) -> bool:
    """Give each free process a block to do. Return False if the pool has lost a process."""
    while attempts and len(running) < cores():
        attempt = attempts.pop()
        try:
            running[pool.submit(_do, attempt)] = attempt
        except BrokenProcessPool:
            attempts.put_back(attempt)
            return False
    return True


def _is_lost(future: Future[Done]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _repeat(lost: Sequence[Attempt], attempts: Attempts) -> None:
    """Put the blocks of a lost pool back.

    Those that are done one by one have not failed if there are others, because their photos are in
    child processes and cannot kill the pool.
    """
    suspects = [attempt for attempt in lost if not attempt.is_careful] or lost
    for attempt in lost:
        if attempt in suspects:
            attempts.repeat(attempt, BrokenProcessPool("its process died"))
        else:
            attempts.put_back(attempt)


def _new_pool(worker: Worker) -> ProcessPoolExecutor:
    # New programs instead of forks, because a fork copies locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(cores(), context, initializer=_begin, initargs=(worker,))


def _begin(worker: Worker) -> None:
    global _worker
    _worker = worker
    with suppress(ValueError):  # Ctrl-C stops the first process, which then stops these
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process if the first one is killed. It would wait for work for ever otherwise."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _do(attempt: Attempt) -> Done:
    assert _worker is not None
    return _worker.do(attempt)
