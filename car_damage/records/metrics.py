"""The metrics of the records. They exist only if the service records."""

from functools import partial

import prometheus_client as prometheus

WAITING_SINCE = "car_damage_records_waiting_since_seconds"


class RecordMetrics:
    """Counts of one process, in the registry of the service's other metrics."""

    def __init__(self, registry: prometheus.CollectorRegistry):
        counter = partial(prometheus.Counter, registry=registry)
        self.written = counter("car_damage_records_written", "Answers written to the database")
        self.lost = counter("car_damage_records_lost", "Answers that could not be recorded")
        self.not_looked_up = counter(
            "car_damage_lookups_missed", "Photos not looked up, because the database was too slow"
        )
        self.waiting = prometheus.Gauge(
            "car_damage_records_waiting",
            "Answers that are not written yet",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.waiting_since = prometheus.Gauge(
            WAITING_SINCE,
            "Unix time of the oldest answer that is not written yet, 0 if none waits",
            registry=registry,
            multiprocess_mode="liveall",
        )


def waits_since_before(registry: prometheus.CollectorRegistry, time: float) -> bool:
    """Whether an answer from before a Unix time is not written yet, in any worker that counts."""
    found = (metric for metric in registry.collect() if metric.name == WAITING_SINCE)
    return any(0 < sample.value < time for metric in found for sample in metric.samples)
