"""Delay the restart of workers that end while they load the model, longer each time."""

import mmap
from time import monotonic
from typing import Any

# gunicorn's Arbiter and Worker, whose types do not allow our changes.
Server = Any
Worker = Any
LONGEST = 30  # seconds between two starts
NEVER = -1  # an exit code that no worker has


class Restarts:
    """Decides when gunicorn's main process replaces dead workers.

    It replaces a worker at once if the worker had loaded its model or had logged why it could not.
    Otherwise, such as after a crash in LiteRT, it waits 1 second, then 2, 4 and so on, up to
    `LONGEST`.
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
        """Create the shared flag for a loaded model, before the worker is forked."""
        worker.loaded = mmap.mmap(-1, 1)  # visible to both processes

    def note_loaded(self, worker: Worker) -> None:
        """Set the flag in the worker, once it has loaded its model or knows why it cannot."""
        worker.loaded[0] = 1

    def note_end(self, worker: Worker) -> None:
        """Decide when the next worker starts, after one has ended."""
        if worker.loaded[0]:
            self._failures = 0
        else:
            self._wait(f"worker {worker.pid} ended before it had loaded the model")

    def _wait(self, why: str) -> None:
        """Delay the next start, longer each time."""
        self._failures += 1
        delay = min(2 ** (self._failures - 1), LONGEST)
        self._earliest = monotonic() + delay
        self._server.log.error("%s; the next one starts in %d s", why, delay)

    def _start_if_possible(self) -> None:
        """Start a worker. If memory, processes or descriptors are missing, continue without it."""
        try:
            self._start_worker()
        except OSError as error:
            self._wait(f"a worker could not be started ({error})")

    def _start_in_time(self) -> None:
        """Start the missing workers, if the delay is over. gunicorn calls this every second."""
        server = self._server
        if any(worker.loaded[0] for worker in server.WORKERS.values()):
            # gunicorn ends the whole service when a worker ends with one of these codes. That is
            # right at the start, but wrong while other workers are running.
            server.WORKER_BOOT_ERROR = server.APP_LOAD_ERROR = NEVER
        if monotonic() >= self._earliest:
            self._start_workers()
