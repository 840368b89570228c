"""Workers that end while they load the model come back ever more slowly, and end nothing else."""

import mmap
from time import monotonic
from typing import Any

# gunicorn's Arbiter and Worker, which are changed here as their types do not allow.
Server = Any
Worker = Any
LONGEST = 30  # seconds between two starts
NEVER = -1  # no worker's exit code


class Restarts:
    """When gunicorn's first process starts workers in place of dead ones.

    At once if a worker had loaded its model, or had said why it could not. Otherwise, as after a
    crash in LiteRT, it waits for 1 second, then 2, 4 and so on, up to `LONGEST`.
    """

    def __init__(self, server: Server):
        self._server = server
        self._start_workers = server.spawn_workers
        self._start_worker = server.spawn_worker
        self._failures = 0  # in a row
        self._earliest = 0.0
        server.spawn_workers = self._start_in_time
        server.spawn_worker = self._start_if_possible

    def begin(self, worker: Worker) -> None:
        """Prepare a worker, before it is forked, to say that it has loaded its model."""
        worker.loaded = mmap.mmap(-1, 1)  # which both processes see

    def note_loaded(self, worker: Worker) -> None:
        """Say, in the worker, that it has loaded its model, or knows why it cannot."""
        worker.loaded[0] = 1

    def note_end(self, worker: Worker) -> None:
        """Choose when the next worker starts, now that one has ended."""
        if worker.loaded[0]:
            self._failures = 0
        else:
            self._wait(f"worker {worker.pid} ended before it had loaded the model")

    def _wait(self, why: str) -> None:
        """Start no worker for a while, longer each time."""
        self._failures += 1
        delay = min(2 ** (self._failures - 1), LONGEST)
        self._earliest = monotonic() + delay
        self._server.log.error("%s; the next one starts in %d s", why, delay)

    def _start_if_possible(self) -> None:
        """Start a worker; without memory, processes or descriptors for it, go on without it."""
        try:
            self._start_worker()
        except OSError as error:
            self._wait(f"a worker could not be started ({error})")

    def _start_in_time(self) -> None:
        """Start the workers that are missing, if it is time; gunicorn asks each second."""
        server = self._server
        if any(worker.loaded[0] for worker in server.WORKERS.values()):
            # gunicorn ends the whole service when a worker ends with one of these codes. That is
            # right at the start, and wrong while others answer.
            server.WORKER_BOOT_ERROR = server.APP_LOAD_ERROR = NEVER
        if monotonic() >= self._earliest:
            self._start_workers()
