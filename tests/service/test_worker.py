"""How long a client may take; test_gunicorn.py has the clients whose uploads are cut off."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

if sys.platform == "win32":
    pytest.skip("gunicorn needs fork()", allow_module_level=True)

from gunicorn.http.errors import NoMoreData

from car_damage.service import worker


@contextmanager
def both_sides() -> Iterator[tuple[socket.socket, worker.Connection]]:
    """A client's socket, and the service's end of it."""
    client, other = socket.socketpair()
    with client, worker.Connection(fileno=other.detach()) as connection:
        yield client, connection


def test_a_slow_line_has_as_long_as_its_photo_needs_and_the_next_request_its_own_time(monkeypatch):
    passed = 0
    monkeypatch.setattr(worker, "monotonic", lambda: passed)
    with both_sides() as (client, connection):
        for _ in range(1000):
            client.sendall(bytes(worker.SLOWEST))
            assert len(connection.recv(worker.SLOWEST)) == worker.SLOWEST
            passed += 1
        passed *= 10
        connection.begin_request()
        client.sendall(b"x")
        assert connection.recv(100) == b"x"


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(worker, "STALLED", 1)
    with both_sides() as (_, connection), pytest.raises(NoMoreData):
        connection.sendall(bytes(50_000_000))
