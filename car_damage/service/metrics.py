"""What Prometheus collects, summed over the worker processes.

Each process writes to memory-mapped files in the folder `PROMETHEUS_MULTIPROC_DIR`; without that
variable, one process counts for itself. gunicorn.conf.py has the files named by the worker's slot
and not by its process id: a worker that takes a dead one's place goes on counting in the same
files, so that they do not pile up.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from flask import current_app
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from car_damage.photo_warnings import WarningWord
from car_damage.service.problems import KINDS

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
EXTENSION = "car_damage_metrics"  # where the application keeps them, among its extensions
STAGES = ("queue", "decode", "fit", "graph", "heatmap")
# Bounds of buckets. 0.3 is the objective that deploy/monitoring/ holds answers against.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1, 2.5, 5, 10, 30)
STATM = Path("/proc/self/statm")  # on Linux; elsewhere the memory is not told


class Metrics:
    """An application's counts and times: from 0 on, or from where its slot's files stopped."""

    def __init__(self) -> None:
        disable_created_metrics()  # each series' first time: twice the lines, used by nobody
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)

        self.requests = counter("car_damage_requests", "Requests answered", ["route", "status"])
        self.refusals = counter("car_damage_refusals", "Requests and photos refused", ["reason"])
        self._predictions = counter("car_damage_predictions", "Photos answered", ["prediction"])
        self._warnings = counter("car_damage_warnings", "What made answers doubtful", ["warning"])
        self._probability = histogram(
            "car_damage_probability",
            "Probability of damage that photos got",
            buckets=[tenth / 10 for tenth in range(1, 11)],
        )
        self._stage_seconds = histogram(
            "car_damage_stage_seconds", "Time of a photo in a stage", ["stage"], buckets=SECONDS
        )
        self._answer_seconds = histogram(
            "car_damage_answer_seconds",
            "Time from the end of an upload to its answer, of requests with one photo",
            buckets=SECONDS,
        )
        self.in_flight = gauge(
            "car_damage_photos_in_flight", "Photos in work or waiting", multiprocess_mode="livesum"
        )
        self.model = gauge(
            "car_damage_model_info", "Versions in use", ["version"], multiprocess_mode="livemax"
        )
        self._memory = gauge(
            "car_damage_resident_memory_bytes",
            "Memory of each worker process, what it shares with others included",
            multiprocess_mode="liveall",
        )
        gauge(
            "car_damage_worker_start_time_seconds",
            "When each worker process started, in Unix time",
            multiprocess_mode="liveall",
        ).set_to_current_time()
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Create what alerts look at: Prometheus does not see a series' first count as growth."""
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
        """Count a photo by its `Job.log_fields`; `alone` is whether its request had no other."""
        seconds = {
            stage: fields[f"{stage}_ms"] / 1000 for stage in STAGES if f"{stage}_ms" in fields
        }
        for stage, passed in seconds.items():
            self._stage_seconds.labels(stage).observe(passed)
        if "refusal" in fields:
            self.refusals.labels(fields["refusal"]).inc()
        if "prediction" in fields and alone:  # of several, each waits for those before it
            self._answer_seconds.observe(sum(seconds.values()))
        if "prediction" in fields and "repeat" not in fields:
            self._predictions.labels(fields["prediction"]).inc()
            self._probability.observe(fields["probability"])
            for warning in fields["warnings"]:
                self._warnings.labels(warning).inc()

    def count_memory(self) -> None:
        """Note how much memory the process holds now."""
        if STATM.exists():
            pages = int(STATM.read_text().split()[1])
            self._memory.set(pages * os.sysconf("SC_PAGE_SIZE"))

    def exposition(self) -> tuple[bytes, str]:
        """All of it in Prometheus's text format, and the content type."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST


def current_metrics() -> Metrics:
    """The metrics of the application that answers."""
    metrics: Metrics = current_app.extensions[EXTENSION]
    return metrics
