"""gunicorn's threaded worker, less what keeps the service's promises from holding."""

import json
import socket
from contextlib import suppress
from typing import Any

from gunicorn import util
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

# Nothing that imports metrics.py: gunicorn loads this before it has a folder for them.
from car_damage.service.logs import new_request_id
from car_damage.service.problems import MIME_TYPE, malformed


class Worker(ThreadWorker):
    """Says goodbye to a connection in the thread that served it, and tells every error alike.

    gunicorn 27 says goodbye in the one thread that accepts connections, and waits there for up to
    two seconds for the client to close: 64 clients that are cut off would hold up every other for a
    minute. What is no HTTP it answers with a page of its own.
    """

    def handle(self, conn: TConn) -> Any:
        """Serve a request; False if the connection shall be closed."""
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
        body = json.dumps(malformed().as_dict(request_id))
        head = (
            f"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nX-Request-ID: {request_id}\r\n"
            f"Content-Type: {MIME_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with suppress(OSError):  # the client may be gone
            client.sendall((head + body).encode("ascii"))
