"""gunicorn's threaded worker, less what keeps the service's promises from holding."""

import json
import socket
import struct
from contextlib import suppress
from time import monotonic
from typing import Any

from gunicorn import util
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from car_damage.service.logs import new_request_id
from car_damage.service.problems import MIME_TYPE, Problem

STALLED = 30  # seconds without a byte after which a client is cut off
SLOWEST = 8_000  # bytes a second that a request must bring, once `STALLED` has passed: 64 kbit/s


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
    """Ends slow connections in the thread that served them, and reports all errors in one way.

    gunicorn 27 waits for a client for ever. It closes connections in the one thread that accepts
    them, and waits there for up to two seconds for the client: 64 clients that are cut off would
    hold up all others for a minute. It answers what is not HTTP with a page of its own.
    """

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
