"""gunicorn's worker process with waitress' event loop, which shares clients among the workers."""

import logging
import math
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from gunicorn.workers import base
from waitress.wasyncore import file_dispatcher

from car_damage.service.http_server import Channel, Limits, Server, State, Threads, turn
from car_damage.service.loads import Loads

FIRST_REQUEST = 5  # seconds that a stopping worker waits for the request of a new connection
BUSY = 2  # seconds; a connection counts as busy for so long after its last answer
OFFER = 0.1  # seconds in which a less busy worker can accept a new connection first
STUCK = 1  # exit code


class SpreadingServer(Server):
    """A server that leaves clients to the worker with the fewest busy connections.

    All workers listen on one socket, and any worker may accept a connection. So two clients that
    keep their connections may both have the same worker, while another worker is idle. To avoid
    this, a worker that is busier than another waits `OFFER` seconds before it accepts a connection.
    A worker with at least two more busy connections than another answers with `Connection: close`,
    so that the client connects again. Workers that are dead, stuck or without a model do not count.
    """

    def __init__(self, worker: "Worker", *arguments: Any):
        self._worker = worker
        self.offered_until = -math.inf  # until then, other workers can accept a new connection
        super().__init__(*arguments)

    def readable(self) -> bool:
        """Whether the server accepts connections. False while it leaves one to other workers."""
        return super().readable() and monotonic() >= self.offered_until

    def handle_accept(self) -> None:
        """Accept the waiting connections, or first leave them to a less busy worker."""
        now = monotonic()
        was_offered = self.offered_until <= now < self.offered_until + OFFER
        if self._worker.has_more_than_another(by=1) and not was_offered:
            self.offered_until = now + OFFER
        else:
            super().handle_accept()

    def add_task(self, channel: Channel) -> None:
        """Answer a request. Its client must reconnect if another worker is less busy."""
        worker = self._worker
        channel.is_leaving = not worker.alive or worker.has_more_than_another(by=2)
        super().add_task(channel)


class Worker(base.Worker):
    """Answers requests until gunicorn stops it, then finishes the requests that it has started."""

    # gunicorn.conf.py sets these.
    slot: int
    loads: Loads
    limits: Limits
    has_model: Callable[[], bool]
    is_stuck: Callable[[], bool]

    def run(self) -> None:
        """Answer requests until gunicorn stops this worker."""
        sockets: dict[int, Any] = {}
        threads = Threads(self.cfg.threads)
        listeners = [each.sock for each in self.sockets]  # type: ignore[attr-defined]  # gunicorn's
        self._servers = [
            SpreadingServer(self, self.wsgi, listener, self.limits, threads, sockets)
            for listener in listeners
        ]
        Alarm(self.PIPE[0], sockets)
        while self.alive and os.getppid() == self.ppid:
            self._turn(sockets)
        for server in self._servers:
            server.stop_listening()
        end = monotonic() + self.cfg.graceful_timeout
        while monotonic() < end and any(self._is_in_use(each) for each in self._channels()):
            self._turn(sockets)
        for server in self._servers:
            server.end()

    def _is_in_use(self, channel: Channel) -> bool:
        """Whether a stop must wait for this connection.

        A client that was active recently may send more, and must get `Connection: close` first. The
        first request of one that has just connected may be on its way.
        """
        now = monotonic()
        is_new = channel.state == State.NEW and now - channel.begun < FIRST_REQUEST
        used_lately = (channel.answered_at or -math.inf) > now - BUSY
        return channel.is_at_work or is_new or (used_lately and not channel.is_lingering)

    def _turn(self, sockets: dict[int, Any]) -> None:
        self.notify()
        offered_until = max(server.offered_until for server in self._servers)
        offered = offered_until - monotonic()
        turn(self._servers, sockets, min(1, offered) if offered > 0 else 1)

    def notify(self) -> None:
        """Report to gunicorn and the other workers that this one is alive. End a stuck worker."""
        if self.is_stuck():
            self.log.critical("this worker is stuck on a photo or its model and will be replaced")
            logging.shutdown()  # write the line above, since nothing does after this
            os._exit(STUCK)  # a stuck thread would keep the process alive
        super().notify()
        if self.alive and self.has_model():
            self.loads.report(self.slot, self._load())
        else:
            self.loads.forget(self.slot)

    def wake(self) -> None:
        """Wake the event loop, from any thread."""
        with suppress(OSError):  # the pipe is full, so the loop will wake anyway
            os.write(self.PIPE[1], b"w")

    def has_more_than_another(self, by: int) -> bool:
        """Whether this worker has at least `by` more busy connections than the least busy one."""
        load = self._load() if self.has_model() else sys.maxsize
        return load >= self.loads.least_of_others(self.slot) + by

    def _load(self) -> int:
        """Return the number of busy connections, without those that must reconnect."""
        since = monotonic() - BUSY
        return sum(
            channel.state == State.AT_WORK or (channel.answered_at or -math.inf) > since
            for channel in self._channels()
            if not channel.is_leaving
        )

    def _channels(self) -> list[Channel]:
        return [each for server in self._servers for each in list(server.active_channels.values())]


class Alarm(file_dispatcher):
    """Wakes the event loop when a signal arrives or `Worker.wake` is called."""

    def writable(self) -> bool:
        """Return False, because this is only for reading."""
        return False

    def handle_read(self) -> None:
        """Discard the bytes that woke the loop."""
        with suppress(OSError):
            self.recv(4096)
