"""Read from the records what people said about photos that are kept."""

from collections.abc import Sequence
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
    contradicted: bool  # whether another answer about the same file got the other label
    sure: bool  # whether a reviewer gave the label, or two answers about the file got it


def read(address: str) -> list[Labelled]:
    """Read the kept photos with a label, in the order in which they got it.

    If one file was labelled several times, the last label counts. "Cannot tell" is not a label.
    Raises `UserError` if the database cannot be read.
    """
    engine = database.open_existing(address)
    try:
        with engine.connect() as connection:
            answers = connection.execute(_query()).all()
    except SQLAlchemyError as error:
        raise UserError(f"DATABASE_URL cannot be used: {cause(error)}") from None
    finally:
        engine.dispose()
    said: dict[str, list[tuple[str, bool]]] = {}
    for sha256, label, in_review in answers:
        said.setdefault(sha256, []).append((CLASSES[label], in_review))
    return [_labelled(sha256, each) for sha256, each in said.items()]


def _labelled(sha256: str, said: Sequence[tuple[str, bool]]) -> Labelled:
    """Decide on a file's label. `said` has each label and whether a review gave it."""
    label = said[-1][0]
    agreeing = [in_review for other, in_review in said if other == label]
    sure = any(agreeing) or len(agreeing) > 1
    return Labelled(sha256, label, contradicted=len(agreeing) < len(said), sure=sure)


def _query() -> Select[str, str, bool]:
    """Select file and label of each labelled prediction whose photo is kept, oldest label first."""
    return (
        select(predictions.c.sha256, feedback.c.label, feedback.c.in_review)
        .join(feedback, feedback.c.prediction == predictions.c.number)
        .join(kept_photos, kept_photos.c.sha256 == predictions.c.sha256)
        .where(feedback.c.label.in_(CLASSES))
        .order_by(feedback.c.time, predictions.c.number)
    )
