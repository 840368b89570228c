"""/metrics has the result of the latest drift check, which another program wrote."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import insert, text

from car_damage.records import drift
from car_damage.records.drift import DriftMetrics
from car_damage.records.tables import drift_checks
from tests.gunicorn_process import wait_until
from tests.records.entries import recording_client


@pytest.fixture
def registry():
    return CollectorRegistry()


def store(engine, **columns):
    row = {
        "time": datetime(2026, 11, 28, tzinfo=UTC),
        "model_version": "20260311-1402-0a1b",
        "verdict": "drift",
        "photos": 300,
        "far_from_training": 0.25,
        "ratios": {"brightness": 1.5, "kernel": 0.5},
    }
    with engine.begin() as connection:
        connection.execute(insert(drift_checks).values(**row | columns))


def value(registry, name, **labels):
    return registry.get_sample_value(f"car_damage_drift{name}", labels)


def test_the_gauges_show_the_latest_check(engine, registry):
    store(engine, verdict="no drift", ratios={"sharpness": 0.9})
    store(engine)
    DriftMetrics(registry).read(engine)
    assert value(registry, "") == 1
    assert value(registry, "_check_time_seconds") == 1795824000
    assert value(registry, "_photos") == 300
    assert value(registry, "_far_from_training") == 0.25
    assert value(registry, "_ratio", compared="brightness") == 1.5
    assert value(registry, "_ratio", compared="sharpness") == 0


@pytest.mark.parametrize("verdict", ["no drift", "too few photos"])
def test_only_drift_sets_the_alert_s_gauge(engine, registry, verdict):
    metrics = DriftMetrics(registry)
    store(engine)
    metrics.read(engine)
    store(engine, verdict=verdict, far_from_training=None)
    metrics.read(engine)
    assert value(registry, "") == 0


def test_without_any_check_the_gauges_are_zero(engine, registry):
    DriftMetrics(registry).read(engine)
    assert value(registry, "") == value(registry, "_check_time_seconds") == 0


def test_a_service_shows_a_new_check_and_starts_without_the_table(
    models, tmp_path, monkeypatch, registry
):
    monkeypatch.setattr(drift, "READ_EVERY", 0.05)
    client = recording_client(models, f"sqlite:///{tmp_path / 'records.db'}")
    engine = client.application.extensions["car_damage_records"]
    store(engine)
    wait_until(lambda: "car_damage_drift 1.0" in client.get("/metrics").text)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE drift_checks RENAME TO gone"))
    assert client.get("/metrics").status_code == 200
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO drift_checks"))
    store(engine, verdict="no drift")
    wait_until(lambda: "car_damage_drift 0.0" in client.get("/metrics").text)
