"""An HTTP server with waitress' event loop, and limits on everything that clients can occupy.

One thread reads and writes all connections. A request gets a thread only when it is complete, and
gives it back once its answer is ready. So clients that are slow or silent do not delay others. They
can only occupy descriptors and disk space, which have limits too. At a limit, the server closes the
connection with the lowest priority.

An answer without a Content-Length, such as a long list, is streamed. It gets a thread for each of
its blocks, and the next one only after the system has taken all of the last one for the client.
So however long it is and however slowly it is read, it occupies no more than a short one.
"""

import logging
import select
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from time import monotonic
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask
from waitress.utilities import RequestEntityTooLarge
from werkzeug.wsgi import ClosingIterator

from car_damage.service.problems import REFUSED

KEPT = 100  # seconds; longer than load balancers keep a connection (Heroku's router 90, AWS's 60)
HEAD_TIME = 10  # seconds in which a request's head must arrive
STALLED = 30  # seconds; a client that sends or receives nothing for so long is disconnected
SLOWEST = 8_000  # bytes per second that a client must reach after `STALLED` seconds: 64 kbit/s
IN_MEMORY = 65_536  # bytes of a request or an answer; larger ones are stored on disk
YOUNG = 1  # seconds; a connection younger than this is not closed to make room
ACCEPTED_AT_ONCE = 64  # new connections before the others get their turn
ANSWER = "car_damage.answer"  # the key of the `Answer` in WSGI's environment

poll = wasyncore.poll2 if hasattr(select, "poll") else wasyncore.poll  # Windows has no poll()
logger = logging.getLogger(__name__)
Application = Callable[..., Iterable[bytes]]  # WSGI's


@dataclass(frozen=True)
class Limits:
    """The limits for the clients of one process."""

    connections: int
    per_address: int
    upload: int  # bytes of one request's body
    on_disk: int  # bytes of all requests, and the same for all answers


class State(IntEnum):
    """A connection's state; a higher number means a higher priority."""

    LINGERING = 0  # after the last answer, until the client closes it
    NEW = 1  # before its first request
    IN_HEAD = 2  # receives a request's head
    KEPT = 3  # between two requests
    IN_BODY = 4  # receives a request's body
    SENDING = 5  # sends an answer
    YOUNG = 6  # in one of the states above, but only for a short time so far
    AT_WORK = 7  # waits for the application; it cannot be closed


class Request(HTTPRequestParser):
    """A request; `refused` is the kind of problem that the server found, or None."""

    # For the application's log, if the head could not be read.
    command = request_uri = path = "-"
    query = fragment = ""
    url_scheme = "http"
    error: Any = None
    refused: str | None = None
    is_unread = False  # the body is too large; the application returns the error

    def received(self, data: bytes) -> int:
        """Parse the next bytes and return how many of them belong to this request."""
        used = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self.drop_body()
            self.is_unread = True
            self.headers["CONTENT_LENGTH"] = str(max(self.content_length, self.body_bytes_received))
            self.error = None
        elif self.error is not None:
            self.refused = "bad_request"
        if self.completed:  # otherwise waitress waits for a body that never comes
            self.expect_continue = False
        return int(used)

    def close(self) -> None:
        """Remove the body's file."""
        with suppress(OSError):  # the disk may be full when the last bytes are written
            super().close()

    def drop_body(self) -> None:
        """Delete the received part of the body."""
        self.close()
        self.body_rcv = None


def in_blocks(application: Application) -> Application:
    """Wrap a WSGI application so that each `Answer` can take a streamed body block by block.

    The application must call `start_response` before it returns.
    """

    def begin(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Answer = environment.pop(ANSWER)
        return answer.first_of(application(environment, start_response))

    return begin


def _closed_after(body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a body's blocks. Close it at the end, or when the client has left."""
    with closing(ClosingIterator(body)) as blocks:
        yield from blocks


class Answer(WSGITask):
    """Passes a request to the application, even a refused one, which must be logged and counted.

    If its body is streamed, each call of `service` writes one block.
    """

    channel: "Channel"
    request: Request

    def __init__(self, channel: "Channel", request: Request):
        super().__init__(channel, request)
        self._blocks: Iterator[bytes] | None = None  # of a streamed body, from the next one on
        if request.refused:
            self.version = "1.1"

    def start(self) -> None:
        """Decide whether to close the connection, before the application starts its answer."""
        super().start()
        if self.request.refused or self.request.is_unread or self.channel.is_leaving:
            self.set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        """Return WSGI's environment, with the kind of problem of a refused request."""
        environment: dict[str, Any] = super().get_environment()
        environment[ANSWER] = self
        if self.request.refused:
            environment[REFUSED] = self.request.refused
        return environment

    def first_of(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return the part of the application's body to write now: the first block of a stream."""
        if self.content_length is not None or not self.has_body:
            return body
        self._blocks = _closed_after(body)
        return islice(self._blocks, 1)

    def execute(self) -> None:
        """Write the answer, or only one block of a streamed one."""
        if self._blocks is None:
            super().execute()
            self.write(b"")  # the head, even if there is no block
        elif (block := next(self._blocks, None)) is not None:
            self.write(block)
        else:
            self._blocks = None
        # Not after an exception: an answer that lacks a block must not go on.
        self.channel.unfinished = self if self._blocks else None

    def finish(self) -> None:
        """Write the end of the answer, unless there may be more blocks."""
        if self.channel.unfinished is None:
            super().finish()


class Channel(HTTPChannel):
    """A client's connection. Only `service` and `send` run outside the event loop's thread.

    After its last answer the connection lingers. A client that is still sending gets time to read
    the answer, which would be lost in a closed connection (RFC 9112, 9.6).
    """

    error_task_class = Answer
    parser_class = Request
    server: "Server"
    request: Request | None
    close_when_flushed: bool = False

    def __init__(self, server: "Server", connection: socket.socket, *rest: Any, **options: Any):
        self.is_leaving = False  # its client must reconnect, to reach another process
        self.is_lingering = False
        self.answered_at: float | None = None
        self.unfinished: Answer | None = None  # a streamed answer that may have more blocks
        self._upload = 0  # bytes of its request on disk
        self._restart()
        super().__init__(server, connection, *rest, **options)

    def _restart(self) -> None:
        """Reset the time and the byte count, because another state starts."""
        self.begun = self._moved_at = monotonic()
        self._moved = 0

    def _count(self, size: int) -> None:
        self._moved += size
        self._moved_at = monotonic()

    def readable(self) -> bool:
        """Whether the server reads from this connection."""
        return self.is_lingering or bool(super().readable())

    def handle_read(self) -> None:
        """Read from the connection. Refuse an upload that ends too early, to inform the client."""
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            self.handle_close()
            return
        if not data and (self.is_lingering or self.request is None):
            self.handle_close()
        elif not data:
            self.refuse("upload_stopped")
        elif not self.is_lingering:
            self.received(data)

    def received(self, data: bytes) -> None:
        """Process the next bytes of a request."""
        if self.request is None:
            self._restart()
        self._count(len(data))
        self._hold(self._moved)
        try:
            super().received(data)
        except OSError as error:  # the disk is full
            logger.error("an upload cannot be stored: %s", error)
            self.refuse("busy")
        else:
            self.server.limit_uploads()

    def _hold(self, size: int) -> None:
        """Count the bytes of its request on disk."""
        self.server.held += size - self._upload
        self._upload = size

    def refuse(self, kind: str) -> None:
        """Answer the incomplete request with this kind of problem and close the connection."""
        with self.requests_lock:
            request = self.request or Request(self.adj)
            request.drop_body()
            request.refused, request.completed = kind, True
            self.request = None
            self.requests = [request]
        self._hold(0)
        self.server.add_task(self)

    def task_class(self, _: "Channel", request: Request) -> Answer:
        """Return the answer to begin, or to go on with."""
        answer, self.unfinished = self.unfinished, None
        return answer or Answer(self, request)

    def service(self) -> None:
        """Answer a request, or write the next block of its answer, in its own thread."""
        super().service()
        if not self.connected:
            self.unfinished = None
        self.answered_at = monotonic()
        self._restart()
        self.server.call_soon(lambda: self._hold(0))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send as much as the client accepts at once and return the number of bytes."""
        sent = int(super().send(data, do_close=do_close))
        self._count(sent)
        return sent

    def handle_write(self) -> None:
        """Send more of the answer. After the last answer, linger."""
        self._flush_exception(self._flush_some_if_lockable if self.requests else self._flush_some)
        if self.socket is None:  # the client has left, and flushing has closed the socket
            return
        if self.will_close:
            self.handle_close()
        elif self.close_when_flushed and not self.total_outbufs_len:
            self.close_when_flushed = False
            if self.unfinished is None:
                self._linger()
            else:
                self._continue(self.unfinished.request)

    def _linger(self) -> None:
        self.is_lingering = True
        self._restart()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client has left
            self.handle_close()

    def _continue(self, request: Request) -> None:
        """Write the next block of a streamed answer to this request."""
        # A new buffer, because waitress deletes what it has sent only with the whole buffer.
        self.current_outbuf_count = self.adj.outbuf_high_watermark
        with self.requests_lock:  # the thread of the last block may still be removing the request
            self.requests = [request]
        self.server.add_task(self)

    def handle_close(self) -> None:
        """Close the connection and delete its incomplete request."""
        self._hold(0)
        if self.request is not None:
            self.request.drop_body()
        super().handle_close()
        self.unfinished = None

    @property
    def is_at_work(self) -> bool:
        """Whether it has a request or an answer that closing would lose."""
        return bool(self.requests or self.request or self._is_sending)

    @property
    def _is_sending(self) -> bool:
        return bool(self.total_outbufs_len or self.unfinished)

    @property
    def state(self) -> State:
        """The connection's state, without `YOUNG`."""
        if self.requests:
            return State.AT_WORK
        if self.is_lingering:
            return State.LINGERING
        if self._is_sending:
            return State.SENDING
        if self.request is not None:
            return State.IN_BODY if self.request.headers_finished else State.IN_HEAD
        return State.NEW if self.answered_at is None else State.KEPT

    @property
    def claim(self) -> tuple[State, float]:
        """Its priority; the connection with the smallest value is closed to make room."""
        is_young = monotonic() - self.begun < YOUNG and self.state != State.AT_WORK
        return State.YOUNG if is_young else self.state, self.begun

    def end_if_overdue(self, now: float) -> None:
        """Disconnect the client if it has stalled or is too slow."""
        state, waited = self.state, now - self.begun
        stalls = now - self._moved_at > STALLED or waited > STALLED + self._moved / SLOWEST
        if state in (State.NEW, State.KEPT):
            is_overdue = waited > KEPT
        elif state == State.IN_HEAD:
            is_overdue = waited > HEAD_TIME
        else:
            is_overdue = stalls and state != State.AT_WORK
        if is_overdue and state in (State.IN_HEAD, State.IN_BODY):
            self.refuse("upload_stopped")
        elif is_overdue:
            self.handle_close()


class Threads:
    """A dispatcher for waitress that starts threads when they are needed."""

    def __init__(self, count: int):
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="request")

    def add_task(self, channel: Channel) -> None:
        """Answer the channel's next request in a thread."""
        self._pool.submit(channel.service)

    def shutdown(self) -> None:
        """Wait for the requests at work."""
        self._pool.shutdown()


class Server(TcpWSGIServer):
    """Accepts the connections of a listening socket and enforces `limits`.

    `turn` runs the event loop. The servers of a process share `sockets`, which waitress fills.
    """

    channel_class = Channel
    active_channels: dict[int, Channel]

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        limits: Limits,
        threads: Threads,
        sockets: dict[int, Any],
    ):
        self.limits = limits
        self.held = 0  # bytes of request bodies
        self._closed_for_room = 0
        self._next_check = 0.0
        adjustments = Adjustments(
            backlog=2048,
            recv_bytes=262_144,
            inbuf_overflow=IN_MEMORY,
            outbuf_overflow=IN_MEMORY,
            outbuf_high_watermark=2**40,  # so high that no thread waits for a client
            max_request_header_size=32_768,
            max_request_body_size=limits.upload + 1,  # waitress refuses bodies of this size
            clear_untrusted_proxy_headers=False,  # the application decides which to trust
            log_socket_errors=False,
            ident=None,
        )
        where = listener.family, listener.type, listener.proto, listener.getsockname()
        super().__init__(
            in_blocks(application),
            sockets,
            _sock=listener,
            dispatcher=threads,
            adj=adjustments,
            sockinfo=where,
            bind_socket=False,
        )

    def getsockname(self) -> tuple[str, str]:
        """Return host and port. A Unix socket has none and gets a placeholder."""
        name = self.socket.getsockname()
        if isinstance(name, tuple):
            return name[0], str(name[1])
        return "localhost", "80"

    def fix_addr(self, address: Any) -> tuple[str, int]:
        """Return the client's address. Clients of a Unix socket get a placeholder."""
        return address[:2] if isinstance(address, tuple) else ("localhost", 0)

    def readable(self) -> bool:
        """Whether the server accepts connections."""
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Accept the waiting connections."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, address = self.socket.accept()
            except OSError:  # no connection is waiting, or no descriptor is left
                return
            if isinstance(address, tuple):
                self.set_socket_options(connection)  # send data without delay
            address = self.fix_addr(address)
            if self._make_room(address[0]):
                self.channel_class(self, connection, address, self.adj, map=self._map)
            else:
                connection.close()

    def _make_room(self, address: str) -> bool:
        """Close a connection if there are too many. Return False if none can be closed."""
        channels = list(self.active_channels.values())
        same = [channel for channel in channels if channel.addr[0] == address]
        if len(same) >= self.limits.per_address:
            channels = same
        elif len(channels) < self.limits.connections:
            return True
        victim = min(channels, key=lambda channel: channel.claim)
        self._closed_for_room += 1
        if victim.state == State.AT_WORK:
            return False
        victim.handle_close()
        return True

    def limit_uploads(self) -> None:
        """Refuse the oldest incomplete uploads if all requests take too much disk space."""
        for channel in self._oldest(State.IN_BODY) if self.held > self.limits.on_disk else ():
            channel.refuse("busy")
            if self.held <= self.limits.on_disk:
                return

    def _limit_answers(self) -> None:
        """Disconnect the slowest readers if all answers take too much disk space."""
        waiting = self._oldest(State.SENDING)
        held = sum(channel.total_outbufs_len for channel in waiting)
        for channel in waiting:
            if held <= self.limits.on_disk:
                return
            held -= channel.total_outbufs_len
            channel.handle_close()

    def _oldest(self, state: State) -> list[Channel]:
        channels = [each for each in self.active_channels.values() if each.state == state]
        return sorted(channels, key=lambda channel: channel.begun)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call a function in the event loop's thread, from any thread."""
        self.trigger.pull_trigger(function)

    def check(self) -> None:
        """Disconnect overdue clients and log closed connections, at most once a second."""
        now = monotonic()
        if now < self._next_check:
            return
        self._next_check = now + 1
        for channel in list(self.active_channels.values()):
            channel.end_if_overdue(now)
        self._limit_answers()
        if self._closed_for_room:
            logger.warning(
                "closed %d connections to make room: too many in total or from one address",
                self._closed_for_room,
            )
            self._closed_for_room = 0

    def stop_listening(self) -> None:
        """Accept no more connections. Open connections continue."""
        self.accepting = False
        self.del_channel()
        self.socket.close()

    def end(self) -> None:
        """Close all connections."""
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        with suppress(OSError):
            self.trigger.close()


def turn(servers: Iterable[Server], sockets: dict[int, Any], seconds: float) -> None:
    """Run one round of the event loop, which waits for at most this many seconds."""
    poll(seconds, sockets)
    for server in servers:
        server.check()
