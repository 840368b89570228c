"""Give out the photos to review: one person at a time has a photo, by a lease."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flask import g
from sqlalchemy import (
    Connection,
    Row,
    Select,
    TextClause,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from car_damage.records import database
from car_damage.records.api import number_of, visible_to
from car_damage.records.feedback import store
from car_damage.records.tables import feedback, kept_photos, leases, predictions
from car_damage.service.problems import Problem

LEASE = timedelta(minutes=5)
RELOAD = timedelta(seconds=10)  # how long a page that was closed can come back to its photo
NOBODY = "-"  # holds the photos that cannot be shown
AUDITS_FIRST = 0.2  # how often an audit comes first, so that it need not wait for all unsure photos


class Claimed(NamedTuple):
    """A photo that a reviewer holds."""

    row: Row[Any]  # of `predictions`
    waiting: int  # photos that wait for somebody, with this one


def claim(connection: Connection, reviewer: str) -> Claimed | None:
    """Give a reviewer a photo for the time of a lease, the same one until it is answered.

    Returns None if no photo is left that the caller may see and that nobody else holds.
    """
    now = datetime.now(UTC)
    number = _held_by(connection, reviewer, now) or _next(connection, now)
    while number is not None and not _lease(connection, number, reviewer, now):
        number = _next(connection, now)  # somebody else was faster
    if number is None:
        return None
    row = connection.execute(select(predictions).where(predictions.c.number == number)).one()
    waiting = select(func.count()).select_from(_open(now, reviewer).subquery())
    return Claimed(row, connection.scalar(waiting) or 0)


def answer(connection: Connection, prediction_id: str, reviewer: str, label: str) -> Row[Any]:
    """Store what a reviewer sees, and close the photo's review. Returns the prediction's row.

    Raises `Problem` "taken" if another reviewer holds the photo or has answered. The same reviewer
    may answer again, except in an audit: there the first answer counts, because the reviewer has
    seen the model's answer since.
    """
    now = datetime.now(UTC)
    number = number_of(connection, prediction_id, lock=True)
    row = connection.execute(select(predictions).where(predictions.c.number == number)).one()
    holder = _holder_of(connection, number, now)
    if holder not in (None, reviewer) or (holder is None and not row.awaits_review):
        raise Problem("taken")
    if not row.awaits_review and row.audit:
        _check_same(connection, number, label)
        return row
    store(connection, number, label, now, in_review=True)
    _set_waiting(connection, number, False)
    _lease(connection, number, reviewer, now)  # for `take_back`
    return row


def take_back(connection: Connection, prediction_id: str, reviewer: str) -> None:
    """Delete a reviewer's last answer and open the photo's review again.

    Raises `Problem` "taken" in an audit, if the lease is over, and if a client has sent feedback.
    """
    now = datetime.now(UTC)
    number = number_of(connection, prediction_id, lock=True)
    if connection.scalar(select(predictions.c.audit).where(predictions.c.number == number)):
        raise Problem("taken", "In a random check, the first answer counts.")
    mine = feedback.c.prediction == number
    in_review = connection.scalar(select(feedback.c.in_review).where(mine))  # None if undone before
    if _holder_of(connection, number, now) != reviewer or in_review is False:
        raise Problem("taken", "This answer can no longer be undone. Go on with the next photo.")
    connection.execute(delete(feedback).where(mine))
    _set_waiting(connection, number, True)
    _lease(connection, number, reviewer, now)


def set_aside(connection: Connection, number: int) -> None:
    """Leave out a photo that cannot be shown for the time of a lease."""
    mine = leases.c.prediction == number
    connection.execute(update(leases).where(mine).values(reviewer=NOBODY))


def release(connection: Connection, reviewer: str) -> None:
    """Give a reviewer's photos back soon. A page that is only reloaded gets its photo again."""
    soon = datetime.now(UTC) + RELOAD
    mine = leases.c.reviewer == reviewer, leases.c.until > soon
    connection.execute(update(leases).where(*mine).values(until=soon))


def delete_expired(connection: Connection) -> None:
    """Delete old leases. Needs a transaction of its own, or two reviewers could block each other.

    Rows that another transaction works on stay until the next time.
    """
    expired = select(leases.c.prediction).where(leases.c.until < datetime.now(UTC))
    expired = expired.with_for_update(skip_locked=True)
    connection.execute(delete(leases).where(leases.c.prediction.in_(expired)))


def _set_waiting(connection: Connection, number: int, waiting: bool) -> None:
    this = predictions.c.number == number
    connection.execute(update(predictions).where(this).values(awaits_review=waiting))


def _is_waiting() -> TextClause:
    # SQLAlchemy would write `awaits_review = 1` for SQLite, which then does not use the index.
    return text("predictions.awaits_review")


def _open(now: datetime, reviewer: str | None = None) -> Select[Any]:
    """Select the photos that wait and that nobody holds, or only this reviewer."""
    held = exists().where(
        leases.c.prediction == predictions.c.number,
        leases.c.until >= now,
        leases.c.reviewer != (reviewer or ""),
    )
    kept = exists().where(kept_photos.c.sha256 == predictions.c.sha256)
    return select(predictions.c.number).where(_is_waiting(), visible_to(g.caller), kept, ~held)


def _next(connection: Connection, now: datetime) -> int | None:
    """Return the photo that the next reviewer should see: the most unsure one, or an audit."""
    audits_first = random.random() < AUDITS_FIRST
    for audit in (audits_first, not audits_first):
        # The random ids keep the reviewed audits a random sample, however few they are.
        order = predictions.c.id if audit else predictions.c.sureness
        first = _open(now).where(predictions.c.audit.is_(audit)).order_by(order).limit(1)
        # Another transaction may just be giving out the first one.
        number = connection.scalar(first.with_for_update(skip_locked=True, of=predictions))
        if number is not None:
            return number
    return None


def _lease(connection: Connection, number: int, reviewer: str, now: datetime) -> bool:
    """Give a photo to a reviewer, or for longer if that one has it already.

    Returns False if somebody else has it. Of several transactions at once, only one succeeds.
    """
    row = {"prediction": number, "reviewer": reviewer, "until": now + LEASE}
    insert = database.insert_into(connection, leases).values(**row)
    insert = insert.on_conflict_do_update(
        index_elements=["prediction"],
        set_=row,
        where=or_(leases.c.until < now, leases.c.reviewer == reviewer),
    )
    return connection.scalar(insert.returning(leases.c.prediction)) is not None


def _held_by(connection: Connection, reviewer: str, now: datetime) -> int | None:
    mine = leases.c.reviewer == reviewer, leases.c.until >= now
    held = select(predictions.c.number).join(leases, leases.c.prediction == predictions.c.number)
    return connection.scalar(held.where(*mine, _is_waiting(), visible_to(g.caller)).limit(1))


def _holder_of(connection: Connection, number: int, now: datetime) -> str | None:
    held = leases.c.prediction == number, leases.c.until >= now
    return connection.scalar(select(leases.c.reviewer).where(*held))


def _check_same(connection: Connection, number: int, label: str) -> None:
    """Refuse another answer in an audit. The same one may come again after a lost response."""
    stored = connection.scalar(select(feedback.c.label).where(feedback.c.prediction == number))
    if stored != label:
        raise Problem("taken", "In a random check, the first answer counts.")
