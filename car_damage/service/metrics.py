"""The metrics for Prometheus, summed over the worker processes.

With gunicorn, all workers count in shared memory, which gunicorn.conf.py creates (`shared`).
Otherwise the process counts on its own.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import prometheus_client as prometheus
from flask import current_app

from car_damage.photo_warnings import WarningWord
from car_damage.service.log_writer import StdoutHandler
from car_damage.service.problems import KINDS
from car_damage.service.shared_metrics import SharedMetrics

EXTENSION = "car_damage_metrics"  # the metrics' key among the application's extensions
STAGES = ("queue", "decode", "fit", "graph", "heatmap")
# Bounds of buckets. 0.3 is the objective for answers in deploy/monitoring/.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1, 2.5, 5, 10, 30)
TENTHS = [tenth / 10 for tenth in range(1, 11)]
STATM = Path("/proc/self/statm")  # only on Linux; other systems have no memory metric


shared: SharedMetrics | None = None  # for all workers; gunicorn's main process creates it


class Metrics:
    """An application's counts and times, from 0 or continued from its slot's table."""

    def __init__(self) -> None:
        prometheus.disable_created_metrics()  # they double the lines without any use
        self.registry = registry = prometheus.CollectorRegistry()
        counter = partial(prometheus.Counter, registry=registry)
        seconds = partial(prometheus.Histogram, registry=registry, buckets=SECONDS)
        gauge = partial(prometheus.Gauge, registry=registry)
        self.requests = counter("car_damage_requests", "Requests answered", ["route", "status"])
        self.refusals = counter("car_damage_refusals", "Requests and photos refused", ["reason"])
        self._predictions = counter("car_damage_predictions", "Photos classified", ["prediction"])
        self._warnings = counter("car_damage_warnings", "Warnings about photos", ["warning"])
        self._probability = prometheus.Histogram(
            "car_damage_probability", "Probability of damage", registry=registry, buckets=TENTHS
        )
        self._stage_seconds = seconds("car_damage_stage_seconds", "Time in a stage", ["stage"])
        self._answer_seconds = seconds(
            "car_damage_answer_seconds", "Time from upload to answer, for requests with one photo"
        )
        self.in_flight = gauge(
            "car_damage_photos_in_flight", "Photos at work or waiting", multiprocess_mode="livesum"
        )
        self.model = gauge(
            "car_damage_model_info", "Versions in use", ["version"], multiprocess_mode="livemax"
        )
        self._log_lines_lost = counter(
            "car_damage_log_lines_lost", "Log lines that could not be written in time"
        )
        self._lost_before = 0  # log lines that were already counted
        of_each_worker = partial(gauge, multiprocess_mode="liveall")
        self._memory = of_each_worker(
            "car_damage_resident_memory_bytes", "Memory of the process, including shared memory"
        )
        start = of_each_worker("car_damage_worker_start_time_seconds", "Unix time")
        start.set_to_current_time()
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Create the alerts' series at 0, so that Prometheus sees their first count as growth."""
        for status in (200, 500, 503):
            self.requests.labels("/predict", status)
        for stage in STAGES:
            self._stage_seconds.labels(stage)
        for prediction in ("damaged", "not_damaged"):
            self._predictions.labels(prediction)
        for warning in get_args(WarningWord):
            self._warnings.labels(warning)
        for kind in KINDS:
            self.refusals.labels(kind)

    def count_photo(self, fields: Mapping[str, Any], alone: bool) -> None:
        """Count a photo by its `Job.log_fields`; `alone` is whether its request has no other."""
        seconds = {
            stage: fields[f"{stage}_ms"] / 1000 for stage in STAGES if f"{stage}_ms" in fields
        }
        for stage, passed in seconds.items():
            self._stage_seconds.labels(stage).observe(passed)
        if "refusal" in fields:
            self.refusals.labels(fields["refusal"]).inc()
        if "prediction" in fields and alone:  # several photos wait for each other
            self._answer_seconds.observe(sum(seconds.values()))
        if "prediction" in fields and "repeat" not in fields:
            self._predictions.labels(fields["prediction"]).inc()
            self._probability.observe(fields["probability"])
            for warning in fields["warnings"]:
                self._warnings.labels(warning).inc()

    def count_memory(self) -> None:
        """Record the process's current memory."""
        if STATM.exists():
            pages = int(STATM.read_text().split()[1])
            self._memory.set(pages * os.sysconf("SC_PAGE_SIZE"))

    def count_lost_log_lines(self) -> None:
        """Count the process's log lines that were lost since the last call."""
        lost = StdoutHandler.writer.lost
        self._log_lines_lost.inc(max(0, lost - self._lost_before))
        self._lost_before = lost

    def of_all_workers(self) -> prometheus.CollectorRegistry:
        """Return the metrics of all workers on this machine."""
        if shared is None:
            return self.registry
        registry = prometheus.CollectorRegistry()
        registry.register(shared)
        return registry

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in Prometheus's text format, and the content type."""
        return prometheus.generate_latest(self.of_all_workers()), prometheus.CONTENT_TYPE_LATEST


def current_metrics() -> Metrics:
    """Return the metrics of the current application."""
    return current_app.extensions[EXTENSION]
