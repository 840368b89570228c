"""One drift check: which photos are compared with which, and what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from sqlalchemy import Connection, Engine

from car_damage import model_store
from car_damage.drift import rows
from car_damage.drift.baseline import PHOTOS
from car_damage.drift.compare import FEWEST, FEWEST_FOR_CLASSIFIER, Comparison, compare
from car_damage.drift.reference import Reference
from car_damage.drift.results import Stored, read_baseline, write_baseline, write_check
from car_damage.drift.rows import Recorded
from car_damage.errors import UserError
from car_damage.wording import counted

Verdict = Literal["no drift", "drift", "too few photos"]
FEWEST_ACCEPTED = 1000  # photos; fewer do not show how much photos differ by chance


class Distance(NamedTuple):
    """How far photos are from the training photos."""

    share: float  # of the photos, those above the limit
    distances: np.ndarray  # float64 (n,)


@dataclass(frozen=True)
class Result:
    """What a check found."""

    version: str
    verdict: Verdict
    reason: str  # why there is no other verdict; "" for drift and no drift
    begin: datetime
    photos: Recorded  # all since `begin`
    compared: Recorded  # those of them after the baseline
    stored: Stored | None
    comparisons: Sequence[Comparison]
    distance: Distance | None
    no_distance: str  # the reason if `distance` is None, otherwise ""

    @property
    def moved(self) -> list[Comparison]:
        """What makes the drift, the most different first; each number once."""
        best: dict[str, Comparison] = {}
        for each in sorted(self.comparisons, key=lambda each: -each.ratio):
            if each.is_drift:
                best.setdefault(each.name, each)
        return list(best.values())


def check(engine: Engine, models: Path, begin: datetime) -> Result:
    """Compare the photos since a time with the baseline and the training photos; store the result.

    The first photos of a version become its baseline. Raises `UserError` if nothing is recorded.
    """
    # Reading and computing take seconds, in which nothing may be locked.
    with engine.connect() as connection:
        version = _version(connection)
        photos = rows.since(connection, version, begin)
    stored, reason = _baseline(engine, version)
    after = stored.last if stored else 0
    compared = photos.part(photos.numbers > after)
    if stored and len(compared) < FEWEST:
        reason = (
            f"{counted(len(compared), 'photo')} came since {begin:%Y-%m-%d %H:%M} UTC and after "
            f"the baseline. The check needs {FEWEST}."
        )
    comparisons: Sequence[Comparison] = ()
    if stored and not reason:
        comparisons = _comparisons(engine, version, stored, compared)
    verdict: Verdict = "drift" if any(each.is_drift for each in comparisons) else "no drift"
    if reason:
        verdict = "too few photos"
    distance, no_distance = _distance(models, version, photos)
    far = None if distance is None else distance.share
    write_check(engine, version, verdict, len(compared), far, comparisons)
    return Result(
        *(version, verdict, reason, begin, photos, compared, stored),
        *(comparisons, distance, no_distance),
    )


def accept(engine: Engine, begin: datetime) -> tuple[str, int]:
    """Make the newest photos since a time the baseline; return the version and their number.

    Raises `UserError` if there are too few.
    """
    with engine.connect() as connection:
        version = _version(connection)
        photos = rows.since(connection, version, begin, PHOTOS)
    if len(photos) < FEWEST_ACCEPTED:
        raise UserError(
            f"A baseline needs {FEWEST_ACCEPTED:,} photos, but {version} answered only "
            f"{len(photos):,} since {begin:%Y-%m-%d %H:%M} UTC. Use an earlier --since."
        )
    write_baseline(engine, version, photos)
    write_check(engine, version, "too few photos", 0, None, ())  # ends an alert
    return version, len(photos)


def _version(connection: Connection) -> str:
    version = rows.newest_version(connection)
    if version is None:
        raise UserError(
            "DATABASE_URL contains no predictions yet. Check that it is the service's database."
        )
    return version


def _baseline(engine: Engine, version: str) -> tuple[Stored | None, str]:
    """The version's baseline, made of its first photos if there is none; or why there is none."""
    with engine.connect() as connection:
        if stored := read_baseline(connection, version):
            return stored, ""
        first = rows.first_photos(connection, version, PHOTOS)
    if len(first) < PHOTOS:
        return None, (
            f"The baseline is the first {PHOTOS:,} photos of a version. {version} has "
            f"{len(first):,} in the records. Embeddings of other versions cannot be compared. "
            f"With {FEWEST_ACCEPTED:,} photos, --accept makes a baseline now."
        )
    return write_baseline(engine, version, first), ""


def _comparisons(
    engine: Engine, version: str, stored: Stored, compared: Recorded
) -> list[Comparison]:
    earlier = None
    then = stored.first, stored.last
    now = int(compared.numbers[0]), int(compared.numbers[-1])
    with engine.connect() as connection:
        if len(compared) >= FEWEST_FOR_CLASSIFIER:
            earlier = rows.between(connection, version, *then).photos
        audits = [rows.audits(connection, version, *numbers) for numbers in (then, now)]
    return compare(stored.baseline, compared.photos, earlier, (audits[0], audits[1]))


def _distance(models: Path, version: str, photos: Recorded) -> tuple[Distance | None, str]:
    """How far the photos are from the version's training photos, or why that is unknown."""
    try:
        record = model_store.load_record(models, version)
    except UserError as error:
        return None, f"The distance from the training photos is unknown: {error}"
    path = record.folder / model_store.REFERENCE
    if model_store.REFERENCE not in record.manifest.files or not path.exists():
        return None, (
            f"The distance from the training photos is unknown, because {version} has no "
            f"{model_store.REFERENCE}."
        )
    if not len(photos):
        return None, "No photo came, so there is no distance from the training photos."
    reference = Reference.read(path)
    distances = reference.distances(photos.photos.embeddings)
    return Distance(float(np.mean(distances > reference.limit)), distances), ""
