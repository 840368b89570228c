"""Metrics of several processes, in shared memory."""

import os
import sys

import prometheus_client as prometheus
import pytest
from prometheus_client import values

from car_damage.service import metrics, shared_metrics
from car_damage.service.metrics import Metrics
from car_damage.service.shared_metrics import SharedMetrics, Table


@pytest.fixture
def shared(monkeypatch) -> SharedMetrics:
    made = SharedMetrics(slots=3)
    monkeypatch.setattr(metrics, "shared", made)
    return made


def worker(monkeypatch, shared: SharedMetrics, slot: int) -> Metrics:
    """Create the metrics of a worker in this slot."""
    monkeypatch.setattr(values, "ValueClass", shared.value_class(slot))
    return Metrics()


def exposed(of: Metrics) -> list[str]:
    return of.exposition()[0].decode().splitlines()


def test_each_worker_shows_the_counts_of_all_workers(shared, monkeypatch):
    workers = [worker(monkeypatch, shared, slot) for slot in (0, 1)]
    for number, each in enumerate(workers):
        each.requests.labels("/predict", 200).inc(number + 1)
        each._probability.observe(0.25)
        each.in_flight.set(2)
        each.model.labels("20261122-1630-1f3a").set(1)
    for each in workers:
        lines = exposed(each)
        assert 'car_damage_requests_total{route="/predict",status="200"} 3.0' in lines
        assert 'car_damage_probability_bucket{le="0.2"} 0.0' in lines
        assert 'car_damage_probability_bucket{le="0.3"} 2.0' in lines
        assert "car_damage_probability_count 2.0" in lines
        assert "car_damage_photos_in_flight 4.0" in lines
        assert 'car_damage_model_info{version="20261122-1630-1f3a"} 1.0' in lines
        assert sum("car_damage_worker_start_time_seconds{" in line for line in lines) == 2


def test_the_worker_that_replaces_a_dead_one_continues_its_counts_but_not_its_gauges(
    shared, monkeypatch
):
    dead = worker(monkeypatch, shared, 0)
    dead.requests.labels("/predict", 200).inc()
    dead.in_flight.set(5)
    shared.forget(0)
    new = worker(monkeypatch, shared, 0)
    new.requests.labels("/predict", 200).inc()
    assert 'car_damage_requests_total{route="/predict",status="200"} 2.0' in exposed(new)
    assert "car_damage_photos_in_flight 0.0" in exposed(new)


def test_a_worker_without_a_slot_can_count_without_an_error(shared, monkeypatch):
    worker(monkeypatch, shared, 3).requests.labels("/predict", 200).inc()
    shared.forget(3)
    assert not list(shared.collect())


def test_metrics_work_before_any_worker_has_started(shared):
    assert prometheus.generate_latest(shared) == b""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork()")
def test_a_process_sees_the_counts_of_its_fork():
    table = Table()
    pid = os.fork()
    if pid == 0:
        table.values[table.position("photos")] = 7
        os._exit(0)
    os.waitpid(pid, 0)
    assert list(table.series()) == [("photos", 7.0)]


def test_a_table_has_room_for_far_more_series_than_needed(shared, monkeypatch):
    made = worker(monkeypatch, shared, 0)
    for route in range(20):
        for status in range(20):
            made.requests.labels(f"/a-long-route-of-the-service/{route}", 400 + status)
    used = shared._counts[0]._integers[0] * shared_metrics.WORD
    assert used < shared_metrics.SIZE / 2
