"""What Prometheus is told, summed over the worker processes.

Each process writes to memory-mapped files in `PROMETHEUS_MULTIPROC_DIR`, which must be set before
this module is imported; without it, one process counts for itself. The files are named by the
worker's slot and not by its process id: a worker that takes a dead one's place goes on counting
in the same files, so that they do not pile up.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
    values,
)

from car_damage.photo_warnings import WarningWord
from car_damage.service.problems import KINDS

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
STAGES = ("queue", "decode", "fit", "graph", "heatmap")
# Seconds. 0.3 is the objective that deploy/monitoring/ holds answers against.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1, 2.5, 5, 10, 30)
STATM = Path("/proc/self/statm")  # on Linux; elsewhere the memory is not told

MASTER = "master"  # the slot of the process that starts the workers

_slot = MASTER


def _writer() -> str:
    return _slot


disable_created_metrics()  # the time of each series' first count: twice the lines, used by nobody
if FOLDER in os.environ:
    values.ValueClass = values.MultiProcessValue(_writer)

REQUESTS = Counter("car_damage_requests", "Requests answered", ["route", "status"])
STAGE_SECONDS = Histogram(
    "car_damage_stage_seconds",
    "Time that a photo spent in a stage",
    ["stage"],
    buckets=BUCKETS,
)
ANSWER_SECONDS = Histogram(
    "car_damage_answer_seconds",
    "Time from the end of an upload to its answer, of requests with one photo",
    buckets=BUCKETS,
)
PREDICTIONS = Counter("car_damage_predictions", "Photos answered", ["prediction"])
PROBABILITY = Histogram(
    "car_damage_probability",
    "Probability of damage that photos got",
    buckets=[tenth / 10 for tenth in range(1, 11)],
)
WARNINGS = Counter("car_damage_warnings", "What made answers doubtful", ["warning"])
IN_FLIGHT = Gauge(
    "car_damage_photos_in_flight",
    "Photos worked on or waiting",
    multiprocess_mode="livesum",
)
REFUSALS = Counter("car_damage_refusals", "Requests and photos refused", ["reason"])
MODEL = Gauge(
    "car_damage_model_info", "1 for each version in use", ["version"], multiprocess_mode="livemax"
)
MEMORY = Gauge(
    "car_damage_resident_memory_bytes",
    "Memory of each worker process, what it shares with others included",
    multiprocess_mode="liveall",
)
STARTED = Gauge(
    "car_damage_worker_start_time_seconds",
    "When each worker process started, in Unix time",
    multiprocess_mode="liveall",
)

# From 0 on: Prometheus takes no series' first count for a growth.
for _status in (200, 500, 503):
    REQUESTS.labels("/predict", _status)
for _stage in STAGES:
    STAGE_SECONDS.labels(_stage)
for _prediction in ("damaged", "not_damaged"):
    PREDICTIONS.labels(_prediction)
for _warning in get_args(WarningWord):
    WARNINGS.labels(_warning)
for _kind in KINDS:
    REFUSALS.labels(_kind)


def use_slot(slot: int) -> None:
    """Write to the files of this slot from now on; no two living processes may share one."""
    global _slot
    _slot = str(slot)


def free_slot(slot: int | str) -> None:
    """Forget what only held while the slot's worker lived; its counts stay."""
    multiprocess.mark_process_dead(slot)


def count_photo(facts: Mapping[str, Any]) -> None:
    """Count what a `Job` noted of its photo."""
    for stage in STAGES:
        if f"{stage}_ms" in facts:
            STAGE_SECONDS.labels(stage).observe(facts[f"{stage}_ms"] / 1000)
    if "prediction" in facts:
        PREDICTIONS.labels(facts["prediction"]).inc()
        PROBABILITY.observe(facts["probability"])
    if "refusal" in facts:
        REFUSALS.labels(facts["refusal"]).inc()
    for warning in facts.get("warnings", ()):
        WARNINGS.labels(warning).inc()


def count_answer(facts: Mapping[str, Any]) -> None:
    """Count how long the only photo of a request took from stage to stage, if it was answered."""
    if "prediction" in facts:
        ANSWER_SECONDS.observe(sum(facts.get(f"{stage}_ms", 0) for stage in STAGES) / 1000)


def count_memory() -> None:
    """Note how much memory the process holds now."""
    if STATM.exists():
        pages = int(STATM.read_text().split()[1])
        MEMORY.set(pages * os.sysconf("SC_PAGE_SIZE"))


def exposition() -> tuple[bytes, str]:
    """All of it in Prometheus's text format, and the content type."""
    registry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
