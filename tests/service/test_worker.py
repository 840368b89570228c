"""What a worker process does besides answering."""

import logging
import sys
from types import SimpleNamespace

import pytest

if sys.platform == "win32":
    pytest.skip("gunicorn needs fork()", allow_module_level=True)

from car_damage.service.loads import Loads
from car_damage.service.worker import STUCK, Worker


class EndedError(Exception):
    """The process would have ended with this code."""


@pytest.fixture
def worker(monkeypatch):
    """A worker that has loaded its model and has no clients."""

    def end(code: int) -> None:
        raise EndedError(code)

    monkeypatch.setattr("os._exit", end)
    made = object.__new__(Worker)
    made.tmp = SimpleNamespace(notify=lambda: None)
    made.log = logging.getLogger("worker")
    made.alive, made.slot, made.loads = True, 0, Loads(workers=2)
    made.has_model, made.is_stuck, made._servers = lambda: True, lambda: False, []
    return made


def test_a_worker_that_is_stuck_at_a_photo_ends_so_that_another_replaces_it(worker, monkeypatch):
    written = []
    worker.notify()
    worker.is_stuck = lambda: True
    monkeypatch.setattr("logging.shutdown", lambda: written.append("all lines"))
    with pytest.raises(EndedError, match=str(STUCK)):
        worker.notify()
    assert written == ["all lines"]


def test_a_worker_without_a_model_is_offered_no_connections(worker):
    worker.notify()
    assert worker.loads.least_of_others(1) == 0
    worker.has_model = lambda: False
    worker.notify()
    assert worker.loads.least_of_others(1) == float("inf")
