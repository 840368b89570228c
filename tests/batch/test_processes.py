"""What happens if a process of the pool dies, or the one that started the pool."""

import os
import signal
import subprocess
import sys
from concurrent.futures import Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from threading import Timer

import pytest

from car_damage import paths
from car_damage.batch import processes
from car_damage.batch.photo_list import Block
from car_damage.batch.worker import GIVE_UP_AFTER, Attempt, Attempts, Done
from car_damage.errors import UserError

BLOCKS = [Block(number, (f"{number}.jpg",)) for number in range(4)]


class Pool:
    """A pool whose every block kills its process, unless each photo has a child process."""

    def __init__(self) -> None:
        self.futures: list[Future[Done]] = []
        self.is_broken = False

    def submit(self, do: object, attempt: Attempt) -> Future[Done]:
        if self.is_broken:
            raise BrokenProcessPool
        self.futures.append(Future())
        if attempt.is_careful:
            Timer(0.1, self.finish, [self.futures[-1]]).start()
        else:
            self.die()
        return self.futures[-1]

    def finish(self, future: Future[Done]) -> None:
        with suppress(InvalidStateError):
            future.set_result(Done("0.parquet", 1, 0))

    def die(self) -> None:
        self.is_broken = True
        for future in self.futures:
            with suppress(InvalidStateError):
                future.set_exception(BrokenProcessPool())

    def shutdown(self, cancel_futures: bool) -> None:
        pass


def do_blocks(pool: type[Pool], monkeypatch: pytest.MonkeyPatch) -> list[Done]:
    monkeypatch.setattr(processes, "cores", lambda: 2)
    monkeypatch.setattr(processes, "_new_pool", lambda worker: pool())
    return list(processes.do_blocks(BLOCKS, None))


def test_blocks_are_done_photo_by_photo_after_processes_have_died_at_any_moment(monkeypatch):
    assert do_blocks(Pool, monkeypatch) == [Done("0.parquet", 1, 0)] * len(BLOCKS)


@pytest.mark.parametrize(("before", "after"), [([2, 0], [2, 1]), ([2, 2], [3, 3])])
def test_a_block_done_photo_by_photo_is_not_blamed_if_another_may_have_killed_the_process(
    before, after
):
    attempts = Attempts([])
    lost = [Attempt(block, failures) for block, failures in zip(BLOCKS, before, strict=False)]
    processes._repeat(lost, attempts)
    assert [attempts.pop().failures for _ in lost] == after


def test_a_pool_that_always_dies_stops_the_run(monkeypatch):
    monkeypatch.setattr(Pool, "finish", lambda pool, future: pool.die())
    with pytest.raises(UserError, match=f"failed {GIVE_UP_AFTER} times: its process died. Run"):
        do_blocks(Pool, monkeypatch)


def test_the_processes_of_a_pool_end_if_the_first_process_is_killed():
    code = """
import os, time
from car_damage.batch import processes

if __name__ == "__main__":
    pool = processes._new_pool(None)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True) as first:
        worker = int(first.stdout.readline())
        first.kill()
        try:
            first.communicate(timeout=20)  # until no process has this pipe
        except subprocess.TimeoutExpired:
            os.kill(worker, signal.SIGTERM)
            raise
