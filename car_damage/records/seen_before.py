"""Find out whether a photo came before: the same file, or a similar photo.

Some buckets are huge, because one photo was sent thousands of times, or because thousands of
photos have the same backdrop. So at most `NEWEST` photos of each bucket are read, and at most
`COMPARED` photos are compared: those in the most buckets. If there are more, older similar photos
may be missing from `times` and `first`. Exact ones are always all counted.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal

import numpy as np
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Select,
    String,
    TableValuedAlias,
    bindparam,
    cast,
    func,
    select,
)

from car_damage.perceptual_hash import HASH_BYTES, hash_of
from car_damage.records.similarity import are_similar, looked_up_keys
from car_damage.records.tables import predictions, similarity_keys

NEWEST = 50  # photos of a bucket that are read
COMPARED = 100  # photos


@dataclass(frozen=True)
class SeenBefore:
    """Earlier predictions of a photo: `exact` if one of them was for the same file."""

    match: Literal["exact", "similar"]
    times: int
    first: datetime
    last: datetime
    prediction_id: str  # of the last


def find_seen_before(
    connection: Connection, owner: str | None, sha256: str, waves: np.ndarray
) -> SeenBefore | None:
    """Find earlier predictions of the same or a similar photo; None if there are none.

    `owner` is the name of the key whose predictions may be seen; None sees those of all keys.
    `sha256` is hexadecimal. `waves` is `float32` (VIEWS, VIEW_BITS), from `perceptual_hash.waves`.
    Raises SQLAlchemy's errors.
    """
    exact, *ends = _exact(connection, owner, sha256)
    similar = _similar(connection, owner, sha256, waves)
    numbers = [*ends, *similar] if exact else similar
    if not numbers:
        return None
    rows = select(predictions.c.time, predictions.c.id).where(
        predictions.c.number.in_([min(numbers), max(numbers)])
    )
    found = connection.execute(rows.order_by(predictions.c.number)).all()
    if not found:  # they have been deleted in the meantime
        return None
    return SeenBefore(
        match="exact" if exact else "similar",
        times=exact + len(similar),
        first=found[0].time,
        last=found[-1].time,
        prediction_id=found[-1].id,
    )


def _exact(connection: Connection, owner: str | None, sha256: str) -> tuple[int, int, int]:
    """How many predictions were for the same file, and the numbers of the first and the last.

    If there are none, these two are None.
    """
    number = predictions.c.number
    query = select(func.count(), func.min(number), func.max(number))
    query = query.where(predictions.c.sha256 == sha256)
    if owner is not None:
        query = query.where(predictions.c.owner == owner)
    count, first, last = connection.execute(query).one()
    return count, first, last


def _similar(
    connection: Connection, owner: str | None, sha256: str, waves: np.ndarray
) -> list[int]:
    """The numbers of the predictions for similar photos that are not the same file."""
    in_most = _candidates(connection, owner, looked_up_keys(waves))
    if not in_most:
        return []
    query = _hashes(connection.dialect.name)
    rows = connection.execute(query, {"values": json.dumps(in_most), "sha256": sha256}).all()
    hashes = np.frombuffer(b"".join(row.phash for row in rows), np.uint8).reshape(-1, HASH_BYTES)
    similar = are_similar(hash_of(waves), hashes)
    return [row.number for row, is_similar in zip(rows, similar, strict=True) if is_similar]


def _candidates(connection: Connection, owner: str | None, keys: Sequence[int]) -> list[int]:
    """The numbers of the predictions in the most buckets, at most `COMPARED`."""
    query = _buckets(connection.dialect.name, owner is not None)
    counts: Counter[int] = Counter()
    for bucket in connection.scalars(query, {"values": json.dumps(keys), "owner": owner}):
        counts.update(bucket or [])
    return [number for number, _ in counts.most_common(COMPARED)]


@cache  # building a query takes as long as one lookup with it
def _hashes(dialect: str) -> Select[int, bytes]:
    """A query for numbers and hashes of predictions. Its parameters: `values`, `sha256`.

    `values` are the numbers. Predictions for the file with this `sha256` are left out.
    """
    each = _each(dialect)
    query = select(predictions.c.number, predictions.c.phash)
    query = query.join(each, predictions.c.number == cast(each.c.value, BigInteger))
    return query.where(predictions.c.sha256 != bindparam("sha256"))


@cache
def _buckets(dialect: str, of_one_owner: bool) -> Select[list[int] | None]:
    """A query for the newest predictions under each key, a list for each; None or [] if none.

    Its parameters are `values`, the keys, and `owner`, unless it looks at all owners.
    """
    each = _each(dialect)
    as_list = func.json_group_array if dialect == "sqlite" else func.json_agg
    column = similarity_keys.c
    bucket = column.key == cast(each.c.value, BigInteger)
    if of_one_owner:
        bucket &= column.owner == bindparam("owner")
    # With or without the owner, this is the order of the table's index, so only its end is read.
    newest = select(column.prediction).where(bucket)
    newest = newest.order_by(column.owner.desc(), column.prediction.desc()).limit(NEWEST)
    numbers = newest.correlate(each).subquery()
    listed = select(as_list(numbers.c.prediction, type_=JSON)).scalar_subquery()
    return select(listed).select_from(each)


def _each(dialect: str) -> TableValuedAlias:
    """A table with the column `value`, from the JSON array in the parameter `values`.

    A lookup takes a quarter less time than with a list of parameters.
    """
    values = bindparam("values", type_=String)
    if dialect == "sqlite":
        return func.json_each(values).table_valued("value")
    return func.json_array_elements_text(cast(values, JSON)).table_valued("value")
