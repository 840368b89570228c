"""gunicorn's worker process: waitress' event loop, with clients spread over the processes."""

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

BUSY = 2  # seconds after its last answer for which a connection counts as busy
OFFER = 0.1  # seconds that a worker with fewer busy connections gets to accept a new one
STUCK = 1  # exit code


class SpreadingServer(Server):
    """A server that leaves clients to the worker that has the fewest.

    All workers listen on one socket, and whichever is awake accepts. So two clients that keep their
    connections can end at one worker, while the other has nothing to do. Here a worker that has
    more busy connections than another first leaves a new one to that one, for `OFFER` seconds. One
    that has two more than another answers a request with `Connection: close`: the client connects
    again. A worker that is dead, stuck or without a model is offered nothing.
    """

    def __init__(self, worker: "Worker", *arguments: Any):
        self._worker = worker
        self.offered_until = -math.inf  # a new connection to the other workers
        super().__init__(*arguments)

    def readable(self) -> bool:
        """Whether a new connection may come: not while it is offered to the others."""
        return super().readable() and monotonic() >= self.offered_until

    def handle_accept(self) -> None:
        """Accept the connections that wait, unless they are offered to a worker that has fewer."""
        now = monotonic()
        was_offered = self.offered_until <= now < self.offered_until + OFFER
        if self._worker.has_more_than_another(by=1) and not was_offered:
            self.offered_until = now + OFFER
        else:
            super().handle_accept()

    def add_task(self, channel: Channel) -> None:
        """Have a request answered. Its client must connect again if another worker has fewer."""
        worker = self._worker
        channel.is_leaving = not worker.alive or worker.has_more_than_another(by=2)
        super().add_task(channel)


class Worker(base.Worker):
    """Answers requests until gunicorn ends it; then finishes those that it has begun."""

    # gunicorn.conf.py sets these.
    slot: int
    loads: Loads
    limits: Limits
    has_model: Callable[[], bool]
    is_stuck: Callable[[], bool]

    def run(self) -> None:
        """Answer requests until a stop is asked for."""
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
        """Whether a stop must wait for it; clients that ask on must be told to go elsewhere."""
        used_lately = (channel.answered_at or -math.inf) > monotonic() - BUSY
        return channel.is_at_work or (used_lately and not channel.is_lingering)

    def _turn(self, sockets: dict[int, Any]) -> None:
        self.notify()
        offered_until = max(server.offered_until for server in self._servers)
        offered = offered_until - monotonic()
        turn(self._servers, sockets, min(1, offered) if offered > 0 else 1)

    def notify(self) -> None:
        """Tell gunicorn and the other workers that this one lives; end it if it is stuck."""
        if self.is_stuck():
            self.log.critical("stuck at a photo: this worker is replaced")
            os._exit(STUCK)  # what is stuck would not end otherwise
        super().notify()
        if self.alive and self.has_model():
            self.loads.report(self.slot, self._load())
        else:
            self.loads.forget(self.slot)

    def wake(self) -> None:
        """Have the event loop take another turn, from any thread."""
        with suppress(OSError):  # it is full: the loop will wake
            os.write(self.PIPE[1], b"w")

    def has_more_than_another(self, by: int) -> bool:
        """Whether this worker has so many more busy connections than the least busy of others."""
        load = self._load() if self.has_model() else sys.maxsize
        return load >= self.loads.least_of_others(self.slot) + by

    def _load(self) -> int:
        """How many connections are busy, without those that must leave."""
        since = monotonic() - BUSY
        return sum(
            channel.state == State.AT_WORK or (channel.answered_at or -math.inf) > since
            for channel in self._channels()
            if not channel.is_leaving
        )

    def _channels(self) -> list[Channel]:
        return [each for server in self._servers for each in list(server.active_channels.values())]


class Alarm(file_dispatcher):
    """Ends the event loop's wait when a signal comes, or `Worker.wake` is called."""

    def writable(self) -> bool:
        """Never: it is read only."""
        return False

    def handle_read(self) -> None:
        """Forget what woke us."""
        with suppress(OSError):
            self.recv(4096)
