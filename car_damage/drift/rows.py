"""Read what the service recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
from sqlalchemy import Connection, Row, Select, and_, case, func, select

from car_damage.drift.compare import Audits
from car_damage.drift.features import ANSWERS, MEASURED, Photos, log_odds
from car_damage.records.entry import STORED
from car_damage.records.tables import embeddings, feedback, predictions

MOST = 20_000  # photos of one check, the newest; their embeddings take 50 MB
PAGE = 500  # embeddings of one query


@dataclass(frozen=True)
class Recorded:
    """Answered photos, in the order in which they came."""

    numbers: np.ndarray  # int64 (n,), of their rows
    sha256s: tuple[str, ...]
    photos: Photos

    def part(self, chosen: np.ndarray) -> Self:
        """The photos at these places, in this order."""
        sha256s = tuple(self.sha256s[place] for place in np.arange(len(self))[chosen])
        return type(self)(self.numbers[chosen], sha256s, self.photos.part(chosen))

    def __len__(self) -> int:
        return len(self.numbers)


def newest_version(connection: Connection) -> str | None:
    """The version that answered last; None if nothing is recorded."""
    newest = select(predictions.c.model_version).order_by(predictions.c.number.desc()).limit(1)
    return connection.scalar(newest)


def first_photos(connection: Connection, version: str, most: int) -> Recorded:
    """The first photos that a version answered."""
    wanted = _of(version).order_by(predictions.c.number).limit(most)
    return _read(connection, connection.execute(wanted).all())


def between(connection: Connection, version: str, first: int, last: int) -> Recorded:
    """A version's photos with these numbers, as far as they are still stored."""
    wanted = _of(version).where(predictions.c.number.between(first, last))
    return _read(connection, connection.execute(wanted.order_by(predictions.c.number)).all())


def since(connection: Connection, version: str, begin: datetime, most: int = MOST) -> Recorded:
    """The newest photos that a version answered since a time."""
    wanted = _of(version).where(predictions.c.time >= begin)
    rows = connection.execute(wanted.order_by(predictions.c.number.desc()).limit(most)).all()
    return _read(connection, rows[::-1])


def audits(connection: Connection, version: str, first: int, last: int) -> Audits:
    """How many sure answers with these numbers were audited, and how many of them were right."""
    is_right = case((feedback.c.label == predictions.c.prediction, 1), else_=0)
    counts = (
        select(func.count(), func.coalesce(func.sum(is_right), 0))
        .select_from(predictions.join(feedback))
        .where(
            predictions.c.model_version == version,
            predictions.c.number.between(first, last),
            and_(predictions.c.audit, feedback.c.in_review),
            feedback.c.label.in_(("damaged", "not_damaged")),
        )
    )
    return Audits(*connection.execute(counts).one())


def _of(version: str) -> Select[tuple[Any, ...]]:
    """A version's rows that have an embedding."""
    columns = predictions.c
    return (
        select(
            *(columns.number, columns.sha256, columns.width, columns.height, columns.bytes),
            *(columns.brightness, columns.sharpness, columns.probability),
            *(columns.prediction, columns.review, columns.warnings),
        )
        .join(embeddings)
        .where(columns.model_version == version)
    )


def _read(connection: Connection, rows: Sequence[Row[tuple[Any, ...]]]) -> Recorded:
    vectors: dict[int, bytes] = {}
    for begin in range(0, len(rows), PAGE):
        page = [row.number for row in rows[begin : begin + PAGE]]
        wanted = select(embeddings).where(embeddings.c.prediction.in_(page))
        vectors |= {row.prediction: row.embedding for row in connection.execute(wanted)}
    rows = [row for row in rows if row.number in vectors]  # others were deleted in the meantime
    answers = [
        (row.prediction == "damaged", row.review, "unfamiliar" in row.warnings.split())
        for row in rows
    ]
    width = len(vectors[rows[0].number]) // STORED.itemsize if rows else 0
    embedded = np.frombuffer(b"".join(vectors[row.number] for row in rows), STORED)
    return Recorded(
        np.array([row.number for row in rows], np.int64),
        tuple(row.sha256 for row in rows),
        Photos(
            np.array([_measured(row) for row in rows], float).reshape(-1, len(MEASURED)),
            np.array(answers, float).reshape(-1, len(ANSWERS)),
            embedded.astype(np.float32).reshape(len(rows), width),
        ),
    )


def _measured(row: Row[tuple[Any, ...]]) -> tuple[float, ...]:
    """The values of `features.MEASURED`."""
    pixels = row.width * row.height
    odds = float(log_odds(np.array(row.probability)))
    shape = pixels / 1e6, row.width / row.height, 8 * row.bytes / pixels
    return odds, row.brightness, row.sharpness, *shape
