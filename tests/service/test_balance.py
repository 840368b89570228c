"""Clients that keep their connections are spread over the workers, whatever happens to these."""

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


def test_a_worker_sees_the_smallest_load_of_the_others_that_live(monkeypatch):
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


def test_a_worker_for_which_there_is_no_row_is_not_balanced_and_does_no_harm():
    seen = Loads(workers=1)
    seen.report(1000, 1)
    seen.forget(1000)
    assert seen.least_of_others(0) == float("inf")


@pytest.fixture
def service(models, tmp_path):
    """Two workers that have loaded their models, and can be found in the log."""
    with running(models.parent, tmp_path) as service:
        wait_until(lambda: loaded(service) == 2)
        yield service


def loaded(service: Service) -> int:
    """How many models have been loaded so far."""
    return sum("answering with model" in line["message"] for line in service.lines())


@contextmanager
def kept_alive(service: Service, clients: int) -> Iterator[list[int]]:
    """Have clients ask without a pause, each on a connection that it keeps; gather statuses."""
    statuses, stop = [], threading.Event()

    def keep_asking() -> None:
        connection = service.connection()
        while not stop.is_set():
            try:
                statuses.append(service.ask("/predict", BLUE, connection)[0])
            except (OSError, HTTPException):  # its worker was killed
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


@pytest.mark.slow
@pytest.mark.parametrize(("clients", "spread"), [(2, [1, 1]), (3, [1, 2]), (4, [2, 2])])
def test_clients_that_keep_their_connections_are_spread_over_the_workers(service, clients, spread):
    with kept_alive(service, clients) as statuses:
        wait_until(lambda: service.connections() == spread)
        seen = len(statuses)
        wait_until(lambda: len(statuses) > seen + 100)
        assert service.connections() == spread
    assert set(statuses) == {200}


@pytest.mark.slow
def test_clients_are_spread_again_when_others_have_left_or_a_worker_was_killed(service):
    with kept_alive(service, 2) as statuses:
        wait_until(lambda: service.connections() == [1, 1])
        os.kill(min(service.workers()), signal.SIGKILL)
        wait_until(lambda: loaded(service) == 3)
        wait_until(lambda: service.connections() == [1, 1])
    assert statuses.count(0) <= 1  # the request that the killed worker had begun
    assert set(statuses) <= {0, 200}


@pytest.mark.slow
def test_a_stuck_worker_holds_nobody_up(service):
    stuck = min(service.workers())
    os.kill(stuck, signal.SIGSTOP)
    try:
        with kept_alive(service, 4) as statuses:
            wait_until(lambda: len(statuses) > 400)
            wait_until(lambda: service.connections() == [0, 4])
        assert set(statuses) == {200}
    finally:
        os.kill(stuck, signal.SIGCONT)
