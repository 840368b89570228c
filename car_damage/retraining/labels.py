"""Read from the records what people said about photos that are kept."""

from typing import NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.exc import SQLAlchemyError

from car_damage.errors import UserError
from car_damage.records import database
from car_damage.records.outages import cause
from car_damage.records.tables import feedback, kept_photos, predictions

CLASSES = {"damaged": "damaged", "not_damaged": "not-damaged"}  # a label's class folder


class Labelled(NamedTuple):
    """A photo and the last word on it."""

    sha256: str
    label: str  # of a data set: `damaged` or `not-damaged`
    contradicted: bool  # whether somebody said the other thing before


def read(address: str) -> list[Labelled]:
    """Read the kept photos with a label, in the order in which they got it.

    If one file was labelled several times, the last label counts. "Cannot tell" is not a label.
    Raises `UserError` if the database cannot be read.
    """
    engine = database.open_existing(address)
    try:
        with engine.connect() as connection:
            said = connection.execute(_query()).all()
    except SQLAlchemyError as error:
        raise UserError(f"DATABASE_URL cannot be used: {cause(error)}") from None
    finally:
        engine.dispose()
    labels: dict[str, list[str]] = {}
    for sha256, label in said:
        labels.setdefault(sha256, []).append(CLASSES[label])
    return [Labelled(sha256, each[-1], len({*each}) > 1) for sha256, each in labels.items()]


def _query() -> Select[str, str]:
    """Select file and label of each labelled prediction whose photo is kept, oldest label first."""
    return (
        select(predictions.c.sha256, feedback.c.label)
        .join(feedback, feedback.c.prediction == predictions.c.number)
        .join(kept_photos, kept_photos.c.sha256 == predictions.c.sha256)
        .where(feedback.c.label.in_(CLASSES))
        .order_by(feedback.c.time, predictions.c.number)
    )
