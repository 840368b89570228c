"""What drift_check.py stores in the database: baselines and results."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine, insert, select

from car_damage.drift.baseline import Baseline
from car_damage.drift.compare import Comparison
from car_damage.drift.rows import Recorded
from car_damage.records import database
from car_damage.records.tables import drift_baselines, drift_checks


class Stored(NamedTuple):
    """A stored baseline, with the numbers of its first and last prediction."""

    baseline: Baseline
    first: int
    last: int
    time: datetime  # when it was stored


def read_baseline(connection: Connection, version: str) -> Stored | None:
    """A version's newest baseline."""
    table = drift_baselines.c
    newest = select(drift_baselines).where(table.model_version == version)
    row = connection.execute(newest.order_by(table.number.desc()).limit(1)).first()
    if row is None:
        return None
    return Stored(Baseline.from_bytes(row.content), row.first, row.last, row.time)


def write_baseline(engine: Engine, version: str, recorded: Recorded) -> Stored:
    """Make and store the baseline of photos."""
    now = datetime.now(UTC)
    made = Baseline.of(recorded.photos)
    first, last = int(recorded.numbers[0]), int(recorded.numbers[-1])
    row = {"time": now, "model_version": version, "first": first, "last": last}
    with database.writing(engine).begin() as connection:
        connection.execute(insert(drift_baselines).values(content=made.to_bytes(), **row))
    return Stored(made, first, last, now)


def write_check(
    engine: Engine,
    version: str,
    verdict: str,
    photos: int,
    far: float | None,
    comparisons: Sequence[Comparison],
) -> None:
    """Store a result, for the service's metrics."""
    ratios: dict[str, float] = {}
    for each in comparisons:
        name = group_of(each.name)
        ratios[name] = round(max(ratios.get(name, 0.0), each.ratio), 4)
    row = {"time": datetime.now(UTC), "model_version": version, "verdict": verdict}
    with database.writing(engine).begin() as connection:
        connection.execute(
            insert(drift_checks).values(photos=photos, far_from_training=far, ratios=ratios, **row)
        )


def group_of(name: str) -> str:
    """What /metrics calls a compared number: all principal components together."""
    return "components" if name.startswith("component_") or name == "outside" else name
