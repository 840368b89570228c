"""The latest result of drift_check.py, for /metrics.

drift_check.py needs packages that the service does not have. It writes its result into the
database, and a thread of each process reads it once a minute, so no request waits for it.
"""

import logging
from threading import Thread
from time import sleep

import prometheus_client as prometheus
from sqlalchemy import Engine, select

from car_damage.records.outages import outage_in
from car_damage.records.tables import drift_checks

READ_EVERY = 60.0  # seconds
DRIFT = "drift"  # a verdict
# What is compared, as /metrics names it. Principal components count as one, the most different.
COMPARED = (
    *("log_odds", "brightness", "sharpness", "megapixels", "shape", "bits_per_pixel"),
    *("damaged", "review", "unfamiliar", "components", "kernel", "classifier", "accuracy"),
)

logger = logging.getLogger(__name__)


class DriftMetrics:
    """Gauges of one process, in the registry of the service's other metrics."""

    def __init__(self, registry: prometheus.CollectorRegistry):
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> prometheus.Gauge:
            # The workers read the same row, so the highest value is that of the latest one.
            return prometheus.Gauge(
                f"car_damage_drift{name}",
                text,
                labels,
                registry=registry,
                multiprocess_mode="livemax",
            )

        self._drift = gauge("", "1 if the last drift check found drift, otherwise 0")
        self._time = gauge("_check_time_seconds", "Unix time of the last drift check")
        self._photos = gauge("_photos", "Photos that the last drift check compared")
        self._far = gauge("_far_from_training", "Share of photos far from the training photos")
        self._ratios = gauge(
            "_ratio", "Difference as a multiple of its limit; drift is above 1", ("compared",)
        )
        for name in COMPARED:
            self._ratios.labels(name)  # at 0, so that the dashboard shows them before a check

    def read(self, engine: Engine) -> None:
        """Set the gauges to the latest check, if there was one."""
        newest = select(drift_checks).order_by(drift_checks.c.number.desc()).limit(1)
        with engine.connect() as connection:
            row = connection.execute(newest).first()
        if row is None:
            return
        self._drift.set(row.verdict == DRIFT)
        self._time.set(row.time.timestamp())
        self._photos.set(row.photos)
        self._far.set(row.far_from_training or 0.0)
        for name in COMPARED:
            self._ratios.labels(name).set(row.ratios.get(name, 0.0))

    def keep_reading(self, engine: Engine) -> None:
        """Read the latest check once a minute, in a thread of its own."""
        Thread(target=self._run, args=(engine,), name="drift", daemon=True).start()

    def _run(self, engine: Engine) -> None:
        while True:
            try:
                self.read(engine)
            except Exception as error:
                reason = outage_in(error)
                if reason is None:  # the writer logs outages
                    logger.exception("the latest drift check cannot be read")
            sleep(READ_EVERY)
