"""Clients that keep their connections are shared among the workers, even if workers fail."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import pytest

if sys.platform != "linux":
    pytest.skip("looks for connections in /proc", allow_module_level=True)

from car_damage.service import loads
from car_damage.service.loads import Loads
from tests.clients import BLUE
from tests.gunicorn_process import Service, running, wait_until


def test_a_worker_sees_the_smallest_load_of_the_other_live_workers(monkeypatch):
    seen = Loads(workers=2)
    assert seen.least_of_others(0) == float("inf")
    for slot, load in enumerate((0, 5, 3)):
        seen.report(slot, load)
    assert seen.least_of_others(0) == 3
    seen.forget(2)
    assert seen.least_of_others(0) == 5
    later = loads.monotonic() + loads.SILENT + 1
    monkeypatch.setattr(loads, "monotonic", lambda: later)
    assert seen.least_of_others(0) == float("inf")


def test_a_worker_without_a_row_is_ignored():
    seen = Loads(workers=1)
    seen.report(1000, 1)
    seen.forget(1000)
    assert seen.least_of_others(0) == float("inf")


@pytest.fixture
def service(models, tmp_path):
    """A service with two workers, after both have loaded their models."""
    with running(models.parent, tmp_path) as service:
        wait_until(lambda: loaded(service) == 2)
        yield service


def loaded(service: Service) -> int:
    """The number of models that were loaded so far."""
    return sum("answering with model" in line["message"] for line in service.lines())


@contextmanager
def kept_alive(service: Service, clients: int) -> Iterator[list[int]]:
    """Let clients send requests without a pause, each on one connection, and collect statuses."""
    statuses, stop = [], threading.Event()

    def keep_asking() -> None:
        connection = service.connection()
        while not stop.is_set():
            try:
                statuses.append(service.ask("/predict", BLUE, connection)[0])
            except (OSError, HTTPException):  # the client's worker was killed
                connection.close()
                statuses.append(0)
        connection.close()

    threads = [threading.Thread(target=keep_asking) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(("clients", "spread"), [(2, [1, 1]), (3, [1, 2]), (4, [2, 2])])
def test_clients_that_keep_their_connections_are_shared_among_the_workers(service, clients, spread):
    with kept_alive(service, clients) as statuses:
        wait_until(lambda: service.connections() == spread)
        seen = len(statuses)
        wait_until(lambda: len(statuses) > seen + 100)
        assert service.connections() == spread
    assert set(statuses) == {200}


def test_clients_are_shared_again_after_a_worker_was_killed(service):
    with kept_alive(service, 2) as statuses:
        wait_until(lambda: service.connections() == [1, 1])
        os.kill(min(service.workers()), signal.SIGKILL)
        wait_until(lambda: loaded(service) == 3)
        wait_until(lambda: service.connections() == [1, 1])
    assert statuses.count(0) <= 1  # the request that the killed worker had started
    assert set(statuses) <= {0, 200}


def test_a_stuck_worker_does_not_delay_clients(service):
    stuck = min(service.workers())
    os.kill(stuck, signal.SIGSTOP)
    try:
        with kept_alive(service, 4) as statuses:
            wait_until(lambda: len(statuses) > 400)
            wait_until(lambda: service.connections() == [0, 4])
        assert set(statuses) == {200}
    finally:
        os.kill(stuck, signal.SIGCONT)
