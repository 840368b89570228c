"""Read from the records what people said about photos that are kept."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Row, Select, select
from sqlalchemy.exc import SQLAlchemyError

from car_damage.dataset.sources import RUN_LENGTH
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
    run: int  # the same for neighbours, which are likely to be views of one car


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
    about: dict[str, list[Row[str, str, bool, int]]] = {}
    for answer in answers:
        about.setdefault(answer.sha256, []).append(answer)
    return [_labelled(sha256, each) for sha256, each in about.items()]


def _labelled(sha256: str, answers: Sequence[Row[str, str, bool, int]]) -> Labelled:
    """Decide on a file's label. `answers` are the labelled ones about it, oldest label first."""
    label = answers[-1].label
    agreeing = [answer for answer in answers if answer.label == label]
    return Labelled(
        sha256,
        CLASSES[label],
        contradicted=len(agreeing) < len(answers),
        sure=len(agreeing) > 1 or agreeing[0].in_review,
        run=min(answer.number for answer in answers) // RUN_LENGTH,
    )


def _query() -> Select[str, str, bool, int]:
    """Select the labelled predictions whose photo is kept, oldest label first."""
    columns = predictions.c
    return (
        select(columns.sha256, feedback.c.label, feedback.c.in_review, columns.number)
        .join(feedback, feedback.c.prediction == predictions.c.number)
        .join(kept_photos, kept_photos.c.sha256 == predictions.c.sha256)
        .where(feedback.c.label.in_(CLASSES))
        .order_by(feedback.c.time, predictions.c.number)
    )
