"""Write entries and delete records, with the files of kept photos.

A file and its rows are in two places, so no single transaction covers both. `kept_photos` has a row
for each file, which is written before the file and deleted after it. A process
locks that row before it writes or deletes the file. So every file has a row. A row without a
prediction is deleted with its file an hour later.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, and_, delete, exists, insert, or_, select

from car_damage.records import database, similarity
from car_damage.records.entry import Entry
from car_damage.records.kept_photos import KeptPhotos, PhotosUnavailable
from car_damage.records.tables import (
    embeddings,
    forgotten,
    kept_photos,
    predictions,
    similarity_keys,
)

AT_ONCE = 200  # old predictions that one transaction deletes
UNUSED = timedelta(hours=1)  # after it, a kept photo without a prediction is nobody's work any more


def write(engine: Engine, photos: KeptPhotos | None, entries: Sequence[Entry]) -> None:
    """Store entries. Those that are stored already are left out."""
    files = {entry.row["sha256"]: entry.photo for entry in entries if entry.photo is not None}
    if photos is not None and files:
        with database.writing(engine).begin() as connection:
            _lock_files(connection, files)
        for sha256, photo in files.items():
            photos.write(sha256, photo)
    with database.writing(engine).begin() as connection:
        if photos is not None and files:
            _lock_files(connection, files)
            for sha256, photo in files.items():
                if not photos.has(sha256):  # somebody deleted the last prediction in between
                    photos.write(sha256, photo)
        _insert(connection, entries)


def keep_up(engine: Engine, photos: KeptPhotos | None, days: int | None) -> None:
    """Delete what is older than `days`, and files that no prediction needs."""
    if days is not None:
        delete_old(engine, photos, days)
    if photos is not None:
        delete_unused_files(engine, photos)


def forget(connection: Connection, photos: KeptPhotos | None, number: int) -> None:
    """Delete a prediction with everything that belongs to it, except its bare id."""
    for row in _delete(connection, photos, [number]):  # none if another request was faster
        connection.execute(insert(forgotten).values(id=row.id))


def delete_old(engine: Engine, photos: KeptPhotos | None, days: int) -> None:
    """Delete all predictions that are older than some days, and leave nothing of them."""
    limit = datetime.now(UTC) - timedelta(days=days)
    old = select(predictions.c.number).where(predictions.c.time < limit).limit(AT_ONCE)
    while True:
        with database.writing(engine).begin() as connection:
            numbers = connection.scalars(old.order_by(predictions.c.number)).all()
            if not numbers:
                return
            _delete(connection, photos, numbers)


def delete_unused_files(engine: Engine, photos: KeptPhotos) -> None:
    """Delete files whose predictions were never written, because a process ended in between."""
    unused = select(kept_photos.c.sha256).where(
        kept_photos.c.written < datetime.now(UTC) - UNUSED,
        ~exists().where(predictions.c.sha256 == kept_photos.c.sha256),
    )
    with engine.connect() as connection:
        found = connection.scalars(unused).all()
    for sha256 in found:
        with database.writing(engine).begin() as connection:
            _delete_unused(connection, photos, sha256)


def _lock_files(connection: Connection, sha256s: Iterable[str]) -> None:
    """Insert or update the rows of files, which locks them until the transaction ends."""
    now = datetime.now(UTC)
    # In one order, so that two processes do not wait for each other.
    rows = [{"sha256": sha256, "written": now} for sha256 in sorted(sha256s)]
    upsert = database.insert_into(connection, kept_photos)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["sha256"], set_={"written": upsert.excluded.written}
        ),
        rows,
    )


def _insert(connection: Connection, entries: Sequence[Entry]) -> None:
    ids = [entry.row["id"] for entry in entries]
    stored = set(connection.scalars(select(predictions.c.id).where(predictions.c.id.in_(ids))))
    new = [entry for entry in entries if entry.row["id"] not in stored]
    if not new:
        return
    returning = insert(predictions).returning(
        predictions.c.number, predictions.c.owner, predictions.c.phash, sort_by_parameter_order=True
    )
    inserted = connection.execute(returning, [entry.row for entry in new]).all()
    connection.execute(insert(similarity_keys), [key for row in inserted for key in _keys_of(row)])
    connection.execute(
        insert(embeddings),
        [
            {"prediction": row.number, "embedding": entry.embedding}
            for row, entry in zip(inserted, new, strict=True)
        ],
    )


def _keys_of(row: Row[*tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return a prediction's rows in the index of similar photos."""
    return [
        {"key": key, "owner": row.owner, "prediction": row.number}
        for key in similarity.stored_keys(np.frombuffer(row.phash, np.uint8))
    ]


def _delete(
    connection: Connection, photos: KeptPhotos | None, numbers: Sequence[int]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Delete predictions, and the files that no other prediction needs. Return their rows."""
    wanted = predictions.c.number.in_(numbers)
    columns = predictions.c
    rows = connection.execute(
        select(columns.number, columns.id, columns.owner, columns.sha256, columns.phash)
        .where(wanted)
        .with_for_update()
    ).all()
    keys = [
        and_(*(similarity_keys.c[name] == value for name, value in key.items()))
        for row in rows
        for key in _keys_of(row)
    ]
    for begin in range(0, len(keys), AT_ONCE):  # databases limit the length of a condition
        connection.execute(delete(similarity_keys).where(or_(*keys[begin : begin + AT_ONCE])))
    connection.execute(delete(predictions).where(wanted))
    for sha256 in sorted({row.sha256 for row in rows}):
        _delete_unused(connection, photos, sha256)
    return rows


def _delete_unused(connection: Connection, photos: KeptPhotos | None, sha256: str) -> None:
    """Delete a file that no prediction points to any more, and its row.

    Raises `PhotosUnavailable` if that is not possible, so that nothing is forgotten that is still
    there.
    """
    this = kept_photos.c.sha256 == sha256
    if connection.scalar(select(kept_photos.c.sha256).where(this).with_for_update()) is None:
        return
    if connection.scalar(select(exists().where(predictions.c.sha256 == sha256))):
        return
    if photos is None:
        raise PhotosUnavailable("the photo was kept, but KEEP_PHOTOS is not set any more")
    photos.delete(sha256)
    connection.execute(delete(kept_photos).where(this))
