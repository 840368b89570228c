"""Write entries and delete records, with the files of kept photos.

A file and its rows are in two places, so no single transaction covers both. `kept_photos` has a row
for each file, which is written before the file and deleted after it. A process
locks that row before it deletes the file or stores a prediction of it. So every file has a row. A
row without a prediction is deleted with its file an hour later (`upkeep.py`).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, and_, delete, exists, insert, or_, select, union_all

from car_damage.records import database, similarity
from car_damage.records.entry import Entry
from car_damage.records.kept_photos import UNSET, KeptPhotos, PhotosUnavailable
from car_damage.records.tables import (
    embeddings,
    forgotten,
    kept_photos,
    predictions,
    similarity_keys,
)

CONDITIONS = 200  # keys in one condition, whose length databases limit


def write(engine: Engine, photos: KeptPhotos | None, entries: Sequence[Entry]) -> None:
    """Store entries. Those that are stored already or were forgotten since are left out."""
    files: dict[str, bytes] = {}
    claimed = datetime.now(UTC)
    if photos is not None:
        with database.writing(engine).begin() as connection:
            files = _files_of(_new(connection, entries))
            _lock_files(connection, files, claimed, renew=True)
        for sha256, photo in files.items():
            photos.write(sha256, photo)
    with database.writing(engine).begin() as connection:
        if photos is not None:
            times = _lock_files(connection, files, datetime.now(UTC), renew=False)
            for sha256, photo in files.items():
                # Unless another process changed the row, the file is there. So SQLite is not
                # locked while a slow bucket is asked about every file.
                if times[sha256] != claimed and not photos.has(sha256):
                    photos.write(sha256, photo)
        _insert(connection, _new(connection, entries))


def forget(connection: Connection, photos: KeptPhotos | None, number: int) -> None:
    """Delete a prediction with everything that belongs to it, except its bare id.

    Raises `PhotosUnavailable` if its file cannot be deleted.
    """
    for row in delete_rows(connection, [number]):  # none if another request was faster
        delete_unused_file(connection, photos, row.sha256)
        connection.execute(insert(forgotten).values(id=row.id))


def delete_rows(connection: Connection, numbers: Sequence[int]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Delete predictions, but not their files. Return the rows that were still there."""
    wanted = predictions.c.number.in_(numbers)
    columns = predictions.c
    rows = connection.execute(
        select(columns.number, columns.id, columns.owner, columns.sha256, columns.phash)
        .where(wanted)
        .order_by(columns.number)  # so that two processes do not wait for each other
        .with_for_update()
    ).all()
    keys = [
        and_(*(similarity_keys.c[name] == value for name, value in key.items()))
        for row in rows
        for key in _keys_of(row)
    ]
    for begin in range(0, len(keys), CONDITIONS):
        connection.execute(delete(similarity_keys).where(or_(*keys[begin : begin + CONDITIONS])))
    connection.execute(delete(predictions).where(wanted))
    return rows


def delete_unused_file(connection: Connection, photos: KeptPhotos | None, sha256: str) -> None:
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
        raise PhotosUnavailable(UNSET)
    photos.delete(sha256)
    connection.execute(delete(kept_photos).where(this))


def _files_of(entries: Iterable[Entry]) -> dict[str, bytes]:
    """Return the photos that are to be kept, by their SHA-256."""
    return {entry.row["sha256"]: entry.photo for entry in entries if entry.photo is not None}


def _lock_files(
    connection: Connection, sha256s: Iterable[str], now: datetime, renew: bool
) -> dict[str, datetime]:
    """Lock the rows of files until the transaction ends, and return their times.

    A row that is missing is inserted with the time `now`. One that exists gets it with `renew`.
    """
    # In one order, so that two processes do not wait for each other.
    rows = [{"sha256": sha256, "written": now} for sha256 in sorted(sha256s)]
    if not rows:
        return {}
    upsert = database.insert_into(connection, kept_photos)
    kept = upsert.excluded if renew else kept_photos.c
    locked = connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["sha256"], set_={"written": kept.written}
        ).returning(kept_photos.c.sha256, kept_photos.c.written),
        rows,
    )
    return {row.sha256: row.written for row in locked}


def _new(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that are neither stored nor forgotten.

    An entry comes again if the database stored it but its confirmation was lost.
    """
    ids = [entry.row["id"] for entry in entries]
    known = union_all(*(select(of.c.id).where(of.c.id.in_(ids)) for of in (predictions, forgotten)))
    found = set(connection.scalars(known))  # in one statement: nothing moves between the two
    return [entry for entry in entries if entry.row["id"] not in found]


def _insert(connection: Connection, entries: Sequence[Entry]) -> None:
    if not entries:
        return
    returning = insert(predictions).returning(
        predictions.c.number, predictions.c.owner, predictions.c.phash, sort_by_parameter_order=True
    )
    inserted = connection.execute(returning, [entry.row for entry in entries]).all()
    connection.execute(insert(similarity_keys), [key for row in inserted for key in _keys_of(row)])
    connection.execute(
        insert(embeddings),
        [
            {"prediction": row.number, "embedding": entry.embedding}
            for row, entry in zip(inserted, entries, strict=True)
        ],
    )


def _keys_of(row: Row[*tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return a prediction's rows in the index of similar photos."""
    return [
        {"key": key, "owner": row.owner, "prediction": row.number}
        for key in similarity.stored_keys(np.frombuffer(row.phash, np.uint8))
    ]
