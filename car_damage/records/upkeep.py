"""Delete old records and files that no record needs, in a thread of its own.

That can take hours. So each transaction is short, and others get as much time after it: SQLite lets
only one transaction write at a time, and those that wait for longer than `database.BUSY` fail.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic, sleep

from sqlalchemy import Connection, Engine, exists, select

from car_damage.records import database, store
from car_damage.records.kept_photos import UNSET, KeptPhotos
from car_damage.records.outages import outage_in
from car_damage.records.tables import kept_photos, predictions

EVERY = 3600.0  # seconds
AT_ONCE = 50  # old predictions that one transaction deletes
LISTED = 1000  # unused files that one query finds
UNUSED = timedelta(hours=1)  # after it, no process is still writing a photo's prediction

logger = logging.getLogger(__name__)


def start(engine: Engine, photos: KeptPhotos | None, days: int | None) -> None:
    """Start the thread. It works at once, and then once an hour."""
    Thread(target=_run, args=(engine, photos, days), name="upkeep", daemon=True).start()


def keep_up(engine: Engine, photos: KeptPhotos | None, days: int | None) -> None:
    """Delete what is older than `days`, and files that no prediction needs.

    Warns if there are files, but their place is unknown.
    """
    if days is not None:
        _delete_old(engine, days)
    if photos is not None:
        _delete_unused_files(engine, photos)
    elif _were_kept(engine):
        logger.warning(UNSET)


def _run(engine: Engine, photos: KeptPhotos | None, days: int | None) -> None:
    while True:
        try:
            keep_up(engine, photos, days)
        except Exception as error:
            reason = outage_in(error)
            logger.error(
                "old records cannot be deleted: %s", reason, exc_info=None if reason else error
            )
        sleep(EVERY)


def _delete_old(engine: Engine, days: int) -> None:
    """Delete all predictions that are older than some days, and leave nothing of them.

    Their files have no prediction then, so `_delete_unused_files` deletes them.
    """
    limit = datetime.now(UTC) - timedelta(days=days)
    old = select(predictions.c.number).where(predictions.c.time < limit)
    oldest = old.order_by(predictions.c.time).limit(AT_ONCE)
    while True:
        with _short_transaction(engine) as connection:
            numbers = connection.scalars(oldest).all()
            if not numbers:
                return
            store.delete_rows(connection, numbers)


def _delete_unused_files(engine: Engine, photos: KeptPhotos) -> None:
    """Delete the files without a prediction, unless somebody may be about to write it."""
    begun, last = datetime.now(UTC), ""
    while found := _unused(engine, begun - UNUSED, last):
        for sha256 in found:
            with _short_transaction(engine) as connection:
                store.delete_unused_file(connection, photos, sha256)
        last = found[-1]


def _unused(engine: Engine, until: datetime, after: str) -> Sequence[str]:
    """Return the next files without a prediction whose rows are older than `until`."""
    column = kept_photos.c
    unused = select(column.sha256).where(
        column.sha256 > after,
        column.written < until,
        ~exists().where(predictions.c.sha256 == column.sha256),
    )
    with engine.connect() as connection:
        return connection.scalars(unused.order_by(column.sha256).limit(LISTED)).all()


def _were_kept(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(select(exists().select_from(kept_photos))))


@contextmanager
def _short_transaction(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that writes. After its end, wait for as long as it took."""
    begun = monotonic()
    with database.writing(engine).begin() as connection:
        yield connection
    sleep(monotonic() - begun)
