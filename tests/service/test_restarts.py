"""Workers that end while they load the model are restarted with longer and longer delays."""

import logging
from types import SimpleNamespace

import pytest

from car_damage.service import restarts
from car_damage.service.restarts import Restarts


class Server:
    """The part of gunicorn's Arbiter that `Restarts` uses."""

    WORKER_BOOT_ERROR = 3
    APP_LOAD_ERROR = 4

    def __init__(self):
        self.WORKERS = {}
        self.log = logging.getLogger("gunicorn.error")
        self.starts = 0

    def spawn_worker(self):
        self.starts += 1

    def spawn_workers(self):
        self.spawn_worker()


@pytest.fixture
def clock(monkeypatch):
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr(restarts, "monotonic", lambda: time.now)
    return time


def started(made: Restarts, server: Server) -> SimpleNamespace:
    worker = SimpleNamespace(pid=len(server.WORKERS) + 1)
    made.begin(worker)
    server.WORKERS[worker.pid] = worker
    return worker


def ended(made: Restarts, server: Server, worker: SimpleNamespace) -> None:
    del server.WORKERS[worker.pid]
    made.note_end(worker)


def test_the_delay_grows_for_workers_that_crash_while_they_load(clock, caplog):
    server = Server()
    made = Restarts(server)
    pauses = []
    for _ in range(7):
        ended(made, server, started(made, server))
        begun, before = clock.now, server.starts
        while server.starts == before:
            clock.now += 0.5
            server.spawn_workers()
        pauses.append(clock.now - begun)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert "the next one starts in 30 s" in caplog.text
    assert server.APP_LOAD_ERROR == 4  # no worker has ever loaded, so gunicorn may give up


def test_a_worker_that_had_loaded_its_model_is_replaced_at_once(clock):
    server = Server()
    made = Restarts(server)
    ended(made, server, started(made, server))
    worker = started(made, server)
    made.note_loaded(worker)
    ended(made, server, worker)
    clock.now += 1
    server.spawn_workers()
    assert server.starts == 1


def test_a_worker_that_cannot_start_does_not_stop_the_others(clock):
    server = Server()
    made = Restarts(server)
    made.note_loaded(started(made, server))
    server.spawn_workers()
    assert server.WORKER_BOOT_ERROR not in range(256)
    assert server.APP_LOAD_ERROR not in range(256)


def test_a_failed_fork_does_not_stop_the_other_workers(clock, caplog, monkeypatch):
    def no_room(self):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(Server, "spawn_worker", no_room)
    server = Server()
    Restarts(server)
    server.spawn_workers()
    server.spawn_workers()
    assert caplog.text.count("could not be started") == 1
