"""gunicorn's threaded worker, with what keeps the service's promises from holding fixed."""

import json
import math
import socket
import struct
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Any

from gunicorn import util
from gunicorn.http import Request
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from car_damage.service.loads import Loads
from car_damage.service.logs import new_request_id
from car_damage.service.problems import MIME_TYPE, Problem

STALLED = 30  # seconds without a byte after which a client is cut off
SLOWEST = 8_000  # bytes a second that a request must bring, once `STALLED` has passed: 64 kbit/s
BUSY = 2  # seconds after its last answer for which a connection counts as busy
OFFER = 0.1  # seconds that a worker with fewer busy connections gets to accept a new one


class Connection(socket.socket):
    """A client's connection, which ends for one that stalls or drips.

    A request has `STALLED` seconds, and another for each `SLOWEST` bytes that came of it.
    """

    def __init__(self, *arguments: int, **options: Any):
        super().__init__(*arguments, **options)
        # The system ends what waits for longer. gunicorn resets a timeout of Python's own.
        patience = struct.pack("ll", STALLED, 0)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self.begin_request()

    def begin_request(self) -> None:
        """Count time and bytes from zero again."""
        self._begun = monotonic()
        self._received = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive at most `size` bytes. Raises `NoMoreData` when the client was too slow."""
        if monotonic() - self._begun > STALLED + self._received / SLOWEST:
            raise NoMoreData()
        try:
            data = super().recv(size, flags)
        except BlockingIOError as error:  # nothing came for `STALLED` seconds
            raise NoMoreData() from error
        self._received += len(data)
        return data

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of `data`. Raises `NoMoreData` when the client takes no more of it."""
        try:
            super().sendall(data, flags)
        except BlockingIOError as error:
            raise NoMoreData() from error


class Worker(ThreadWorker):
    """gunicorn's threaded worker with four problems fixed.

    gunicorn 27 waits for a client for ever: here the thread that serves a slow client cuts it off.
    gunicorn closes connections in the one thread that accepts them, and waits there for up to two
    seconds for the client: 64 clients that are cut off would hold up all others for a minute. It
    answers what is not HTTP with a page of its own.

    The fourth: all workers listen on one socket, and whichever is awake accepts. So two clients
    that keep their connections can end at one worker, while the other has nothing to do. Here
    a worker that has more busy connections than another first leaves a new one to that one, for
    `OFFER` seconds. One that has two more than another answers a request with `Connection: close`:
    the client connects again. A worker that is dead, stuck or without a model is offered nothing.
    """

    # gunicorn.conf.py sets these.
    slot: int
    loads: Loads
    has_model: Callable[[], bool]

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._busy: dict[TConn, float] = {}  # when the last answer ended; infinite: not yet
        self._lock = Lock()  # of `_busy`, which threads that serve requests change, too
        self._offered_until = -math.inf  # a new connection to the other workers

    def notify(self) -> None:
        """Tell gunicorn and the other workers that this one lives; about once a second or more."""
        super().notify()
        with self._lock:
            idle_since = monotonic() - BUSY
            self._busy = {conn: end for conn, end in self._busy.items() if end > idle_since}
        if self.alive and self.has_model():
            self.loads.report(self.slot, len(self._busy))
        else:
            self.loads.forget(self.slot)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, unless it is offered to a worker that has fewer."""
        now = monotonic()
        was_offered = self._offered_until <= now < self._offered_until + OFFER
        if self._has_more_than_another(by=1) and not was_offered:
            self._offered_until = now + OFFER
            self.set_accept_enabled(False)
        else:
            super().accept(listener)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Listen or not: not while a connection is offered to the others."""
        super().set_accept_enabled(bool(enabled) and monotonic() >= self._offered_until)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Handle what comes within `timeout` seconds, or until an offer ends."""
        offer = self._offered_until - monotonic()
        if offer > 0 and self.alive and timeout is not None:
            timeout = min(timeout, offer)
        super().wait_for_and_dispatch_events(timeout)

    def enqueue_req(self, conn: TConn) -> None:
        """Have a thread serve the connection's next request."""
        with self._lock:
            self._busy[conn] = math.inf
        super().enqueue_req(conn)

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Wait for the connection's next request, or close it."""
        with self._lock:
            self._busy[conn] = monotonic()
        super().finish_request(conn, fs)
        if conn.sock.fileno() == -1:  # closed
            with self._lock:
                self._busy.pop(conn, None)

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Answer a request. Its client must connect again if another worker has two fewer."""
        if self._has_more_than_another(by=2):
            with self._lock:
                self._busy.pop(conn, None)  # at once, so that not all of them leave
            req.force_close()
        return super().handle_request(req, conn)

    def _has_more_than_another(self, by: int) -> bool:
        load = len(self._busy) if self.has_model() else sys.maxsize
        return load >= self.loads.least_of_others(self.slot) + by

    def handle(self, conn: TConn) -> Any:
        """Serve a request; False if the connection shall be closed."""
        if type(conn.sock) is socket.socket:  # a new one
            conn.sock = Connection(fileno=conn.sock.detach())
        if isinstance(conn.sock, Connection):  # and not gunicorn's own TLS
            conn.sock.begin_request()
        outcome = super().handle(conn)
        if outcome is False:
            with suppress(OSError):  # the client may be gone
                util.close_graceful(conn.sock.dup())  # closes the copy only
                conn.sock.shutdown(socket.SHUT_RD)  # nothing is left to wait for
        return outcome

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what could not be read as a request."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = new_request_id()
        self.log.warning("no HTTP: %s", exc, extra={"request_id": request_id, "client": addr[0]})
        body = json.dumps(Problem("bad_request").as_dict(request_id))
        head = (
            f"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nX-Request-ID: {request_id}\r\n"
            f"Content-Type: {MIME_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with suppress(OSError):  # the client may be gone
            client.sendall((head + body).encode("ascii"))
