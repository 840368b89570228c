"""Tell an outage of the database or the bucket, which passes, from other errors."""

from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)

from car_damage.records.kept_photos import PhotosUnavailable


def cause(error: SQLAlchemyError) -> str:
    """Return the first line of the database's message, without the statement and its values."""
    origin = getattr(error, "orig", None) or error
    return str(origin).strip().partition("\n")[0] or type(origin).__name__


def outage_in(error: Exception) -> str | None:
    """Return the reason if an exception means that the database or the photos are unavailable."""
    if isinstance(error, PhotosUnavailable):
        return str(error)
    if isinstance(error, TimeoutError):  # SQLAlchemy's: all connections are busy
        return "all connections to the database are busy"
    if not isinstance(error, DBAPIError):
        return None
    # SQLite raises these for a locked or unreadable file, psycopg for a server that is gone, is
    # stopping, is full or takes too long. A missing table counts too: `migrate` may be running.
    works = not isinstance(error, OperationalError | InterfaceError | InternalError)
    missing = type(error.orig).__name__ == "UndefinedTable"
    return None if works and not missing else cause(error)
