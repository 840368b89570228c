"""The routes about single predictions and lists of them."""

import logging

from flask import current_app, g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Engine, exists, select, true
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError

from car_damage.records import database
from car_damage.records.tables import forgotten, predictions
from car_damage.service.access import Caller
from car_damage.service.problems import Problem, from_exception

ENGINE = "car_damage_records"  # the engine's key among the application's extensions
ID = "[0-9a-f]{32}"  # a prediction_id

records_api = APIBlueprint("records", __name__, abp_tags=[Tag(name="records")])
logger = logging.getLogger(__name__)


class PredictionPath(BaseModel):
    """The prediction in a path."""

    prediction_id: str = Field(description="as /predict returned it")


def engine() -> Engine:
    """Return the application's engine."""
    return current_app.extensions[ENGINE]


def writing() -> Engine:
    """Return the application's engine for transactions that write."""
    return database.writing(engine())


def visible_to(caller: Caller) -> ColumnElement[bool]:
    """Return the condition for the predictions that a caller may see: those of its key."""
    return true() if caller.is_admin else predictions.c.owner == caller.name


def number_of(connection: Connection, prediction_id: str) -> int:
    """Return the number of a prediction that the caller may see.

    Raises `Problem` "forgotten" or "unknown_prediction". Another key's prediction is unknown.
    """
    wanted = predictions.c.id == prediction_id
    number = connection.scalar(select(predictions.c.number).where(wanted, visible_to(g.caller)))
    if number is not None:
        return number
    if connection.scalar(select(exists().where(forgotten.c.id == prediction_id))):
        raise Problem("forgotten")
    raise Problem("unknown_prediction")


def problem_of(error: SQLAlchemyError) -> Problem:
    """Return the problem for an error of the database; log an unexpected one."""
    gone = isinstance(error, TimeoutError) or (
        isinstance(error, DBAPIError)
        and type(error.orig).__name__ in ("OperationalError", "InterfaceError", "QueryCanceled")
    )
    if not gone:
        return from_exception(error)
    logger.error("the database failed: %s", database.cause(error))
    return Problem(
        "records_unavailable", "The records' database does not work now. Try again later."
    )
