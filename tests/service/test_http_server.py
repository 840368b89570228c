"""The limits on what a client can occupy in the service, and for how long."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.client import HTTPResponse, IncompleteRead
from types import SimpleNamespace
from typing import ClassVar

import pytest

from car_damage.errors import UserError
from car_damage.service import http_server, listening
from car_damage.service.http_server import Limits, Server, State, Threads, turn
from car_damage.service.problems import REFUSED
from car_damage.service.settings import Settings

LARGE = 20_000_000  # bytes; more than the system buffers of an answer that nobody reads
BLOCK = 200_000  # bytes of each block of a streamed answer
STREAM = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Stream:
    """The body of a long answer; the last ones that were begun are in `begun`."""

    begun: ClassVar[list["Stream"]] = []

    def __init__(self):
        self.written = 0  # bytes
        self.is_closed = False
        self.begun.append(self)

    def __iter__(self):
        for number in range(LARGE // BLOCK):
            self.written += BLOCK
            yield b"%c" % number * BLOCK

    def close(self):
        self.is_closed = True


def application(environment, start_response):
    """Return the number of received bytes, the kind of problem or, on two paths, many bytes."""
    if environment["PATH_INFO"] == "/stream":
        start_response("200 OK", [])
        return Stream()
    body = environment.get(REFUSED, "") or str(len(environment["wsgi.input"].read()))
    answer = bytes(LARGE) if environment["PATH_INFO"] == "/large" else body.encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


@contextmanager
def served(**limits: int) -> Iterator[Server]:
    """Run a server with these limits, with its event loop in a thread."""
    defaults = {"connections": 50, "per_address": 50, "upload": 1_000_000, "on_disk": 2_000_000}
    allowed = Limits(**defaults | limits)
    sockets = {}
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(application, listener, allowed, Threads(2), sockets)
    is_over = threading.Event()

    def loop() -> None:
        while not is_over.is_set():
            turn([server], sockets, 0.05)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield server
    finally:
        is_over.set()
        thread.join()
        server.stop_listening()
        server.end()


@pytest.fixture(autouse=True)
def _no_streams():
    Stream.begun.clear()


@pytest.fixture
def server():
    with served() as server:
        yield server


@pytest.fixture
def clients():
    """An exit stack that closes the connections of a test."""
    with ExitStack() as stack:
        yield stack


def connect(server: Server, clients: ExitStack, sent: bytes = b"") -> socket.socket:
    client = clients.enter_context(socket.create_connection(server.socket.getsockname(), 20))
    client.sendall(sent)
    return client


def body_of(client: socket.socket) -> bytes:
    """The body of the next answer."""
    response = HTTPResponse(client)
    response.begin()
    return response.read()


def all_from(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(1_000_000), b""))


def file_size(buffer) -> int:
    """The bytes that a buffer of waitress has on disk."""
    try:
        return os.fstat(buffer.getfile().fileno()).st_size
    except (OSError, ValueError):  # it is in memory, or was just closed
        return 0


def wait_for(condition) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 10 seconds")


@pytest.mark.parametrize("sent", [b"", GET[:10], GET])
def test_idle_connections_are_closed_to_make_room_for_a_client_with_a_request(monkeypatch, sent):
    monkeypatch.setattr(http_server, "YOUNG", 0)
    with served(connections=20) as server, ExitStack() as clients:
        for _ in range(60):
            connect(server, clients, sent)
            wait_for(lambda: server.active_channels)
        assert len(server.active_channels) <= 20
        assert body_of(connect(server, clients, GET)) == b"0"


def test_one_address_can_have_only_its_share_of_connections(monkeypatch, clients):
    monkeypatch.setattr(http_server, "YOUNG", 0)
    with served(per_address=5) as server:
        for _ in range(20):
            connect(server, clients)
        wait_for(lambda: len(server.active_channels) == 5)
        assert body_of(connect(server, clients, GET)) == b"0"


def test_a_new_connection_is_not_closed_at_once_to_make_room(clients):
    with served(connections=3) as server:
        first = connect(server, clients)
        for _ in range(2):
            connect(server, clients)
        wait_for(lambda: len(server.active_channels) == 3)
        first.sendall(GET)
        assert body_of(first) == b"0"


def test_an_answer_that_nobody_reads_does_not_block_a_thread(server, clients):
    for _ in range(10):
        connect(server, clients, GET.replace(b"/", b"/large", 1))
    assert body_of(connect(server, clients, GET)) == b"0"


def test_a_client_that_does_not_read_its_answer_is_disconnected(monkeypatch, server, clients):
    monkeypatch.setattr(http_server, "STALLED", 0.2)
    server.limits = replace(server.limits, on_disk=2 * LARGE)
    client = connect(server, clients, GET.replace(b"/", b"/large", 1))
    wait_for(lambda: [c.state for c in server.active_channels.values()] == [State.SENDING])
    wait_for(lambda: not server.active_channels)
    assert len(all_from(client)) < LARGE


def test_a_long_list_waits_for_a_slow_client_and_reaches_it_whole(server, clients):
    client = connect(server, clients, STREAM)
    response = HTTPResponse(client)
    response.begin()
    wait_for(lambda: [c.state for c in server.active_channels.values()] == [State.SENDING])
    (stream,), (channel,) = Stream.begun, server.active_channels.values()
    read, ahead, on_disk = b"", [], []
    while part := response.read(500_000):
        read += part
        time.sleep(0.01)
        ahead.append(stream.written - len(read))
        on_disk.append(sum(file_size(buffer) for buffer in list(channel.outbufs)))
    assert read == b"".join(b"%c" % number * BLOCK for number in range(LARGE // BLOCK))
    assert max(ahead) < LARGE / 2  # the system buffers a few MB
    assert max(on_disk) <= 2 * BLOCK + 1000
    assert stream.is_closed


def test_clients_that_do_not_read_their_long_lists_keep_no_thread_and_little_disk(server, clients):
    for _ in range(9):
        connect(server, clients, STREAM)
    assert body_of(connect(server, clients, GET)) == b"0"
    wait_for(lambda: len(Stream.begun) == 9)
    assert body_of(connect(server, clients, GET)) == b"0"
    assert sum(c.total_outbufs_len for c in server.active_channels.values()) < 9 * 2 * BLOCK


def test_a_client_that_stops_reading_a_long_list_is_disconnected_and_its_list_ends(
    monkeypatch, server, clients
):
    monkeypatch.setattr(http_server, "STALLED", 0.2)
    client = connect(server, clients, STREAM)
    wait_for(lambda: Stream.begun and not server.active_channels)
    (stream,) = Stream.begun
    assert stream.is_closed
    assert stream.written < LARGE / 2
    assert not all_from(client).endswith(b"0\r\n\r\n")


def test_a_client_that_leaves_during_a_long_list_ends_it(server, clients):
    client = connect(server, clients, STREAM)
    client.recv(1000)
    client.close()
    wait_for(lambda: Stream.begun[0].is_closed)
    assert Stream.begun[0].written < LARGE / 2


def test_a_list_that_fails_in_the_middle_is_not_taken_for_a_whole_one(monkeypatch, server, clients):
    def failing(_):
        yield b"x" * BLOCK
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(Stream, "__iter__", failing)
    with pytest.raises(IncompleteRead):
        body_of(connect(server, clients, STREAM))
    assert Stream.begun[0].is_closed


@pytest.mark.parametrize(("version", "end"), [(b"1.1", b"0\r\n\r\n"), (b"1.0", b"")])
def test_an_empty_list_has_a_head_and_an_end(monkeypatch, server, clients, version, end):
    monkeypatch.setattr(Stream, "__iter__", lambda _: iter(()))
    answer = all_from(connect(server, clients, STREAM.replace(b"1.1", version)))
    assert answer.startswith(b"HTTP/%s 200 OK\r\n" % version)
    assert answer.endswith(b"\r\n\r\n" + end)


@pytest.mark.parametrize("sent", [GET[:10], POST % 9000, POST % 9000 + b"x"])
def test_a_request_that_stalls_is_refused(monkeypatch, server, clients, sent):
    monkeypatch.setattr(http_server, "STALLED", 0.2)
    monkeypatch.setattr(http_server, "HEAD_TIME", 0.2)
    assert all_from(connect(server, clients, sent)).endswith(b"\r\n\r\nupload_stopped")


def test_a_request_that_is_too_slow_is_refused(monkeypatch, server, clients):
    monkeypatch.setattr(http_server, "STALLED", 1)
    client = connect(server, clients, POST % 9000)
    client.settimeout(0.1)
    said = b""
    while not said:
        client.sendall(b"x")
        with suppress(TimeoutError):
            said = client.recv(1000)
    assert (said + all_from(client)).endswith(b"upload_stopped")


def test_a_slow_but_steady_upload_gets_the_time_that_it_needs():
    channel = SimpleNamespace(state=State.IN_BODY, begun=0.0, _moved_at=999.0, refuse=None)
    end_if_overdue = http_server.Channel.end_if_overdue
    channel._moved = http_server.SLOWEST * 1000
    end_if_overdue(channel, now=1000.0)  # a refusal would raise an error
    refused = []
    channel._moved, channel.refuse = 10_000, refused.append
    end_if_overdue(channel, now=1000.0)
    assert refused == ["upload_stopped"]


def test_the_client_of_an_upload_that_ends_too_early_gets_an_error(server, clients):
    client = connect(server, clients, POST % 9000 + b"half")
    client.shutdown(socket.SHUT_WR)
    assert all_from(client).endswith(b"\r\n\r\nupload_stopped")


def test_a_client_that_sends_everything_before_it_reads_gets_the_error(server, clients):
    client = connect(server, clients, POST % 30_000_000)
    for _ in range(30):
        client.sendall(bytes(1_000_000))
    assert all_from(client).startswith(
        b"HTTP/1.1 200 "
    )  # this test's application does not refuse it


def test_large_uploads_are_stored_on_disk(server, clients):
    connect(server, clients, POST % 900_000 + bytes(800_000))
    wait_for(lambda: server.held > 800_000)
    (channel,) = server.active_channels.values()
    assert channel.request.body_rcv.getbuf().overflowed


def test_the_oldest_incomplete_upload_is_refused_if_all_take_too_much_disk_space(server, clients):
    uploads = []
    for number in range(4):
        uploads.append(connect(server, clients, POST % 900_000 + bytes(800_000)))
        wait_for(lambda number=number: server.held > min(number + 1, 2) * 800_000)
    assert all_from(uploads[0]).endswith(b"\r\n\r\nbusy")
    wait_for(lambda: server.held <= server.limits.on_disk)  # it counts bytes before it refuses
    uploads[3].sendall(bytes(100_000))
    assert body_of(uploads[3]) == b"900000"
    wait_for(lambda: server.held < 1_000_000)


def test_the_slowest_readers_are_disconnected_if_answers_take_too_much_disk_space(server, clients):
    readers = [connect(server, clients, GET.replace(b"/", b"/large", 1)) for _ in range(3)]
    assert all(reader.recv(1) for reader in readers)
    wait_for(lambda: not server.active_channels)
    assert all(len(all_from(reader)) < LARGE for reader in readers)


def test_a_full_disk_affects_only_the_upload_that_does_not_fit(monkeypatch, server, clients):
    def full(_: bytes) -> None:
        raise OSError("No space left on device")

    client = connect(server, clients, POST % 900_000)
    wait_for(lambda: [c.state for c in server.active_channels.values()] == [State.IN_BODY])
    (channel,) = server.active_channels.values()
    monkeypatch.setattr(channel.request, "received", full)
    client.sendall(b"x")
    assert all_from(client).endswith(b"\r\n\r\nbusy")
    assert body_of(connect(server, clients, GET)) == b"0"


def test_pipelined_requests_are_answered_in_order(server, clients):
    client = connect(server, clients, GET + POST % 3 + b"abc" + GET.replace(b"1.1", b"1.0"))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in all_from(client).split(b"HTTP/1.")[1:]]
    assert bodies == [b"0", b"3", b"0"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_error_for_too_few_descriptors_names_the_limit(monkeypatch):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with pytest.raises(UserError, match="may open only 200 files"):
        listening.limits(Settings())
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert listening.limits(Settings()).connections == 384


def test_all_workers_share_a_small_disk_for_uploads(monkeypatch):
    monkeypatch.setattr(
        listening.shutil, "disk_usage", lambda _: SimpleNamespace(total=160 * 2**20)
    )
    assert listening.limits(Settings(web_concurrency=2)).on_disk == 20 * 2**20
    assert listening.limits(Settings(web_concurrency=64)).on_disk == 10 * 2**20


def test_clients_behind_a_trusted_proxy_have_no_limit_per_address():
    limits = listening.limits(Settings(trusted_proxies=1))
    assert limits.per_address == limits.connections
    alone = listening.limits(Settings())
    assert alone.per_address < alone.connections


def test_clients_that_disconnect_early_leave_nothing_behind(server, clients, caplog):
    for sent in (b"", GET[:9], POST % 900_000 + b"x", POST % 9 + bytes(9), GET):
        for reset in (b"\1\0\0\0" * 2, b"\0\0\0\0" * 2):  # at once, or after sending all data
            client = connect(server, clients, sent)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.close()
    assert body_of(connect(server, clients, GET.replace(b"1.1", b"1.0"))) == b"0"
    wait_for(lambda: all(c.is_lingering for c in server.active_channels.values()))
    assert server.held == 0
    assert not caplog.records
