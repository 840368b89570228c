"""HTTP through waitress' event loop, with a limit for all that a client can make the service hold.

One thread reads and writes all connections. A request costs a thread only once it is here whole,
and an answer none once it is made. So clients that send nothing, or slowly, or that do not take
their answers hold nobody up. What they can hold are descriptors and room on the disk, and these
have limits, too: at a limit the connection that deserves its place least is closed.
"""

import logging
import select
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from time import monotonic
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask
from waitress.utilities import RequestEntityTooLarge

from car_damage.service.problems import REFUSED

KEPT = 100  # seconds; longer than load balancers keep a connection (Heroku's router 90, AWS's 60)
HEAD_TIME = 10  # seconds in which a request's head must arrive
STALLED = 30  # seconds without a byte, in or out, after which a client is cut off
SLOWEST = 8_000  # bytes a second that must pass, once `STALLED` seconds have: 64 kbit/s
IN_MEMORY = 65_536  # bytes of a request or an answer; what is beyond lies on the disk
YOUNG = 1  # seconds in which a connection shows what it wants, before it may have to make room
ACCEPTED_AT_ONCE = 64  # connections, before those that are there get their turn

poll = wasyncore.poll2 if hasattr(select, "poll") else wasyncore.poll  # Windows has none
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What the clients of one process may hold."""

    connections: int
    per_address: int
    upload: int  # bytes of one request's body
    on_disk: int  # bytes of all requests, and as many of all answers


class State(IntEnum):
    """What a connection waits for; a higher one deserves its place more."""

    LINGERING = 0  # for the client to close it, after the last answer
    NEW = 1  # for its first request
    IN_HEAD = 2
    KEPT = 3  # for another request
    IN_BODY = 4
    SENDING = 5
    YOUNG = 6  # for anything of these, but not for long
    AT_WORK = 7  # for the application; it cannot be closed


class Request(HTTPRequestParser):
    """A request; `refused` is the kind of problem that ends it before the application sees it."""

    # Of a request whose head could not be read; the application logs them.
    command = request_uri = path = "-"
    query = fragment = ""
    url_scheme = "http"
    error: Any = None
    refused: str | None = None
    is_unread = False  # a body that is too large: the application says so

    def received(self, data: bytes) -> int:
        """Take what comes next of the request; returns how many bytes are its own."""
        used = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self.drop_body()
            self.is_unread = True
            self.headers["CONTENT_LENGTH"] = str(max(self.content_length, self.body_bytes_received))
            self.error = None
        elif self.error is not None:
            self.refused = "bad_request"
        if self.completed:  # waitress would wait for a body that never comes
            self.expect_continue = False
        return int(used)

    def close(self) -> None:
        """Remove the body's file."""
        with suppress(OSError):  # what was not yet written finds the disk full
            super().close()

    def drop_body(self) -> None:
        """Forget what came of the body."""
        self.close()
        self.body_rcv = None


class Answer(WSGITask):
    """Has the application answer a request, also one that is refused: it logs and counts both."""

    channel: "Channel"
    request: Request

    def __init__(self, channel: "Channel", request: Request):
        super().__init__(channel, request)
        if request.refused:
            self.version = "1.1"

    def start(self) -> None:
        """Note what ends the connection, before the application begins its answer."""
        super().start()
        if self.request.refused or self.request.is_unread or self.channel.is_leaving:
            self.set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        """WSGI's environment, with the kind of problem for which the request is refused."""
        environment: dict[str, Any] = super().get_environment()
        if self.request.refused:
            environment[REFUSED] = self.request.refused
        return environment


class Channel(HTTPChannel):
    """A client's connection. All methods but `service` and `send` run in the event loop's thread.

    After its last answer it lingers: a client that still sends gets time to read the answer, which
    a closed connection would take from it (RFC 9112, 9.6).
    """

    task_class = Answer
    error_task_class = Answer
    parser_class = Request
    server: "Server"
    request: Request | None
    close_when_flushed: bool = False

    def __init__(self, server: "Server", connection: socket.socket, *rest: Any, **options: Any):
        self.is_leaving = False  # told to connect again, so that another process serves it
        self.is_lingering = False
        self.answered_at: float | None = None
        self._upload = 0  # bytes of its body on the disk
        self._restart()
        super().__init__(server, connection, *rest, **options)

    def _restart(self) -> None:
        """Count time and bytes from zero: another state begins."""
        self.begun = self._moved_at = monotonic()
        self._moved = 0

    def _count(self, size: int) -> None:
        self._moved += size
        self._moved_at = monotonic()

    def readable(self) -> bool:
        """Whether something may come."""
        return self.is_lingering or bool(super().readable())

    def handle_read(self) -> None:
        """Take what came. An upload that ends too soon is refused, so that its client learns it."""
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
        """Take the next bytes of a request."""
        if self.request is None:
            self._restart()
        self._count(len(data))
        self._hold(self._moved)
        try:
            super().received(data)
        except OSError as error:  # the disk is full
            logger.error("an upload cannot be kept: %s", error)
            self.refuse("busy")
        else:
            self.server.limit_uploads()

    def _hold(self, size: int) -> None:
        """Count what its request takes on the disk."""
        self.server.held += size - self._upload
        self._upload = size

    def refuse(self, kind: str) -> None:
        """Answer the unfinished request with this kind of problem, and close the connection."""
        with self.requests_lock:
            request = self.request or Request(self.adj)
            request.drop_body()
            request.refused, request.completed = kind, True
            self.request = None
            self.requests = [request]
        self._hold(0)
        self.server.add_task(self)

    def service(self) -> None:
        """Answer a request, in a thread of its own."""
        super().service()
        self.answered_at = monotonic()
        self._restart()
        self.server.call_soon(lambda: self._hold(0))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send what the client takes at once; returns how many bytes these were."""
        sent = int(super().send(data, do_close=do_close))
        self._count(sent)
        return sent

    def handle_write(self) -> None:
        """Send more of the answer; after the last one, linger."""
        self._flush_exception(self._flush_some_if_lockable if self.requests else self._flush_some)
        if self.socket is None:  # the client was gone, and flushing has closed it
            return
        if self.will_close:
            self.handle_close()
        elif self.close_when_flushed and not self.total_outbufs_len:
            self.close_when_flushed = False
            self.is_lingering = True
            self._restart()
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:  # the client is gone
                self.handle_close()

    def handle_close(self) -> None:
        """Close the connection, and drop what came through it."""
        self._hold(0)
        if self.request is not None:
            self.request.drop_body()
        super().handle_close()

    @property
    def is_at_work(self) -> bool:
        """Whether closing it would lose a request: one that comes, is answered or is sent."""
        return bool(self.requests or self.request or self.total_outbufs_len)

    @property
    def state(self) -> State:
        """What it waits for."""
        if self.requests:
            return State.AT_WORK
        if self.is_lingering:
            return State.LINGERING
        if self.total_outbufs_len:
            return State.SENDING
        if self.request is not None:
            return State.IN_BODY if self.request.headers_finished else State.IN_HEAD
        return State.NEW if self.answered_at is None else State.KEPT

    @property
    def claim(self) -> tuple[State, float]:
        """Where there is no room for all: the one with the smallest claim is closed."""
        is_young = monotonic() - self.begun < YOUNG and self.state != State.AT_WORK
        return State.YOUNG if is_young else self.state, self.begun

    def end_if_overdue(self, now: float) -> None:
        """Cut the client off if it has stalled or drips."""
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
    """waitress' dispatcher of requests: threads that are started when they are needed."""

    def __init__(self, count: int):
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="request")

    def add_task(self, channel: Channel) -> None:
        """Answer the channel's next request in a thread."""
        self._pool.submit(channel.service)

    def shutdown(self) -> None:
        """Wait for the requests that are being answered."""
        self._pool.shutdown()


class Server(TcpWSGIServer):
    """Accepts a listening socket's connections, and keeps all of them within `limits`.

    `turn` does what is to be done. The servers of a process share `sockets`, which waitress fills.
    """

    channel_class = Channel
    active_channels: dict[int, Channel]

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
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
            outbuf_high_watermark=2**40,  # no thread waits for a client
            max_request_header_size=32_768,
            max_request_body_size=limits.upload + 1,  # waitress refuses what reaches it
            clear_untrusted_proxy_headers=False,  # the application knows which to trust
            log_socket_errors=False,
            ident=None,
        )
        where = listener.family, listener.type, listener.proto, listener.getsockname()
        super().__init__(
            application,
            sockets,
            _sock=listener,
            dispatcher=threads,
            adj=adjustments,
            sockinfo=where,
            bind_socket=False,
        )

    def getsockname(self) -> tuple[str, str]:
        """Where it listens; of a Unix socket, whose requests come from a proxy, something alike."""
        name = self.socket.getsockname()
        if isinstance(name, tuple):
            return name[0], str(name[1])
        return "localhost", "80"

    def fix_addr(self, address: Any) -> tuple[str, int]:
        """The client's address; those behind a Unix socket have none."""
        return address[:2] if isinstance(address, tuple) else ("localhost", 0)

    def readable(self) -> bool:
        """Whether a new connection may come."""
        return bool(self.accepting)

    def handle_accept(self) -> None:
        """Accept the connections that wait."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, address = self.socket.accept()
            except OSError:  # nobody waits any more, or there is no descriptor left
                return
            if isinstance(address, tuple):
                self.set_socket_options(connection)  # send at once what there is
            address = self.fix_addr(address)
            if self._make_room(address[0]):
                self.channel_class(self, connection, address, self.adj, map=self._map)
            else:
                connection.close()

    def _make_room(self, address: str) -> bool:
        """Close a connection if there are too many; False if none can be closed."""
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
        """Refuse the oldest unfinished uploads if all requests take too much of the disk."""
        for channel in self._oldest(State.IN_BODY) if self.held > self.limits.on_disk else ():
            channel.refuse("busy")
            if self.held <= self.limits.on_disk:
                return

    def _limit_answers(self) -> None:
        """Cut off the slowest readers if their answers take too much of the disk."""
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
        """Once a second: cut off clients that are overdue, and log what was closed for room."""
        now = monotonic()
        if now < self._next_check:
            return
        self._next_check = now + 1
        for channel in list(self.active_channels.values()):
            channel.end_if_overdue(now)
        self._limit_answers()
        if self._closed_for_room:
            logger.warning(
                "%d connections closed: there were too many, in all or of one address",
                self._closed_for_room,
            )
            self._closed_for_room = 0

    def stop_listening(self) -> None:
        """Accept no more connections; those that there are go on."""
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
    """Do what there is to do, or wait for it for so many seconds."""
    poll(seconds, sockets)
    for server in servers:
        server.check()
