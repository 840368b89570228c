"""Remember each answer, and look for earlier copies of its photo while the model works on it."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from threading import BoundedSemaphore
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Engine

from car_damage.perceptual_hash import hash_of, waves
from car_damage.photos import Photo
from car_damage.records.entry import PhotoFile, entry_of
from car_damage.records.metrics import RecordMetrics
from car_damage.records.outages import outage_in
from car_damage.records.seen_before import SeenBefore, find_seen_before
from car_damage.records.writer import Writer
from car_damage.service.access import Caller, may_see_records
from car_damage.service.classify import Job, Result
from car_damage.service.settings import Settings

PATIENCE = 0.25  # seconds that a complete answer waits for the lookup
MOST_LOOKUPS = 4  # at once; if so many last, the database is too slow and is not asked

logger = logging.getLogger(__name__)
Lookup = Future[SeenBefore | None]


class Hashed(NamedTuple):
    """What is known of a photo before the model has answered."""

    file: PhotoFile
    lookup: Lookup | None  # None if there is none


class Recorder:
    """Puts answers into a writer's queue, and looks photos up in the database."""

    def __init__(self, engine: Engine, writer: Writer, settings: Settings, metrics: RecordMetrics):
        self._engine, self.writer, self._settings = engine, writer, settings
        self._metrics = metrics
        # Two pools, because a slow database must not delay the hashes.
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hashes")
        self._lookups = ThreadPoolExecutor(MOST_LOOKUPS, thread_name_prefix="lookups")
        self._free = BoundedSemaphore(MOST_LOOKUPS)

    def watch(self, job: Job, caller: Caller) -> Callable[[Result], Result]:
        """Hash and look up the job's photo as soon as it is decoded. See `service.recording`.

        Strangers would learn from a lookup what others have sent, so their photos get none.
        """
        begun: list[Future[Hashed]] = []
        known = may_see_records(caller, self._settings)

        def begin(data: bytes, photo: Photo) -> None:
            sha256 = job.log_fields["photo_sha256"]
            begun.append(self._hashing.submit(self._hash, caller, known, sha256, data, photo))

        def record(result: Result) -> Result:
            hashed = begun[0].result()
            seen = self._seen(hashed.lookup) if known else {}
            return self._record(job, caller, result, hashed.file, seen)

        job.on_decoded = begin
        return record

    def _hash(self, caller: Caller, known: bool, sha256: str, data: bytes, photo: Photo) -> Hashed:
        """Hash a photo, and begin its lookup if the caller may know and there is room for one."""
        found = waves(photo)
        lookup = None
        if known and self._free.acquire(blocking=False):
            lookup = self._lookups.submit(self._look_up, caller, sha256, found)
            lookup.add_done_callback(lambda _: self._free.release())
        kept = data if self._settings.keep_photos else None
        return Hashed(PhotoFile(sha256, hash_of(found).tobytes(), len(data), kept), lookup)

    def _look_up(self, caller: Caller, sha256: str, found: np.ndarray) -> SeenBefore | None:
        owner = None if caller.is_admin else caller.name
        with self._engine.connect() as connection:
            return find_seen_before(connection, owner, sha256, found)

    def _record(
        self, job: Job, caller: Caller, result: Result, file: PhotoFile, seen: dict[str, Any]
    ) -> Result:
        entry = entry_of(result, caller.name, file, self._settings.audit_share)
        prediction_id = entry.row["id"] if self.writer.put(entry) else None
        job.log_fields["prediction_id"] = prediction_id
        return replace(result, recorded={"prediction_id": prediction_id} | seen)

    def _seen(self, lookup: Lookup | None) -> dict[str, Any]:
        """Return `seen_before` for the answer; without it if the database is too slow or gone."""
        try:
            if lookup is None:
                raise TimeoutError
            found = lookup.result(PATIENCE)
        except Exception as error:
            self._metrics.not_looked_up.inc()
            if not isinstance(error, TimeoutError) and not outage_in(error):
                logger.error("a photo could not be looked up", exc_info=error)
            return {}
        return {"seen_before": None if found is None else _shown(found)}


def _shown(found: SeenBefore) -> dict[str, Any]:
    times = {name: getattr(found, name).isoformat() for name in ("first", "last")}
    return asdict(found) | times
