"""How long a client may take to send a request."""

import socket
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("gunicorn needs fork()", allow_module_level=True)

from gunicorn.http.errors import NoMoreData

from car_damage.service import worker


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, to be set."""
    passed = [0.0]
    monkeypatch.setattr(worker, "monotonic", lambda: passed[0])
    return passed


@pytest.fixture
def sides(clock):
    """A client's socket, and the service's end of it."""
    client, other = socket.socketpair()
    with client, worker.Connection(fileno=other.detach()) as connection:
        yield client, connection


def test_a_client_that_goes_on_sending_a_byte_is_cut_off(sides, clock):
    client, connection = sides
    while clock[0] <= worker.STALLED:
        client.sendall(b"x")
        assert connection.recv(100) == b"x"
        clock[0] += 1
    client.sendall(b"x")
    with pytest.raises(NoMoreData):
        connection.recv(100)


def test_a_slow_line_has_as_long_as_its_photo_needs(sides, clock):
    client, connection = sides
    for _ in range(1000):
        client.sendall(bytes(worker.SLOWEST))
        assert len(connection.recv(worker.SLOWEST)) == worker.SLOWEST
        clock[0] += 1


def test_the_next_request_on_a_kept_connection_has_its_own_time(sides, clock):
    client, connection = sides
    clock[0] = 10 * worker.STALLED
    connection.begin_request()
    client.sendall(b"x")
    assert connection.recv(100) == b"x"


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(worker, "STALLED", 1)
    client, other = socket.socketpair()
    with client, worker.Connection(fileno=other.detach()) as connection, pytest.raises(NoMoreData):
        connection.sendall(bytes(50_000_000))
