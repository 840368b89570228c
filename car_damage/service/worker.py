"""gunicorn's threaded worker, except that a slow client's goodbye holds up nobody else."""

import socket
from contextlib import suppress
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker


class Worker(ThreadWorker):
    """Says goodbye to a connection in the thread that served it.

    gunicorn 27 does so in the one thread that accepts connections, and waits there for up to two
    seconds for the client to close: 64 clients that are cut off would hold up every other for a
    minute.
    """

    def handle(self, conn: TConn) -> Any:
        """Serve a request; False if the connection shall be closed."""
        outcome = super().handle(conn)
        if outcome is False:
            with suppress(OSError):  # the client may be gone
                util.close_graceful(conn.sock.dup())  # closes the copy only
                conn.sock.shutdown(socket.SHUT_RD)  # nothing is left to wait for
        return outcome
