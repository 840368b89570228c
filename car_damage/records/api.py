"""The routes about single predictions and lists of them."""

import logging
import re
from datetime import UTC, datetime
from time import sleep, time

from flask import Response, current_app, g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Engine, exists, select, true
from sqlalchemy.exc import SQLAlchemyError

from car_damage.records import database, listing, store
from car_damage.records.kept_photos import UNSET, KeptPhotos, PhotosUnavailable
from car_damage.records.metrics import waits_since_before
from car_damage.records.outages import outage_in
from car_damage.records.tables import forgotten, predictions
from car_damage.service.access import Caller
from car_damage.service.metrics import current_metrics
from car_damage.service.openapi import refusals
from car_damage.service.problems import Problem, from_exception

ENGINE = "car_damage_records"  # the engine's key among the application's extensions
PHOTOS = "car_damage_photos"  # the key of the kept photos there, None without KEEP_PHOTOS
ID = "[0-9a-f]{32}"  # a prediction_id
WRITTEN_BY = 0.5  # seconds after an answer by which its row is written
NOT_YET = "Some predictions are not stored yet. This may be one of them. Try again later."
UNAVAILABLE = ("records_unavailable",)
OF_ONE = ("unknown_prediction", "forgotten", *UNAVAILABLE)  # problems with one prediction
KEYED = [{"key": list[str]()}]  # the security of each route here
CSV = {"text/csv": {"schema": {"type": "string"}}}
# The problems that every route for records can return.
REFUSALS = (
    "bad_request",
    "unauthorized",
    "local_only",
    "upload_too_large",
    "internal_error",
    "records_unavailable",
)

records_api = APIBlueprint("records", __name__, abp_tags=[Tag(name="records")])
logger = logging.getLogger(__name__)


class PredictionPath(BaseModel):
    """The prediction in a path."""

    prediction_id: str = Field(description="as /predict returned it")


class ListQuery(BaseModel):
    """The query parameters of /predictions."""

    since: datetime | None = Field(
        None,
        description="leave out predictions before this time (ISO 8601; UTC if it has no time zone)",
    )


@records_api.get(
    "/predictions",
    operation_id="list_predictions",
    summary="Which photos were classified?",
    responses={200: {"content": CSV}, **refusals("unauthorized", "local_only", *UNAVAILABLE)},
    security=KEYED,
)
def list_predictions(query: ListQuery) -> Response:
    """Returns a line of CSV for each prediction that came under the key, oldest first."""
    since = query.since
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    blocks = listing.csv_of(engine(), visible_to(g.caller), since)
    return Response(blocks, mimetype="text/csv")


@records_api.delete(
    "/predictions/<prediction_id>",
    operation_id="forget",
    summary="Delete a prediction",
    responses={204: None, **refusals("unauthorized", "local_only", *OF_ONE)},
    security=KEYED,
)
def forget(path: PredictionPath) -> Response:
    """Deletes the photo, its hashes and embedding, the answer and all feedback.

    Only the bare id stays, so that requests for it return 410. The file of a kept photo stays if
    another prediction is about the same file.
    """
    number = number_soon(path.prediction_id)
    with writing().begin() as connection:
        store.forget(connection, photos(), number)
    return Response(status=204)


def engine() -> Engine:
    """Return the application's engine."""
    return current_app.extensions[ENGINE]


def photos() -> KeptPhotos | None:
    """Return the application's kept photos, None if it keeps none."""
    return current_app.extensions[PHOTOS]


def writing() -> Engine:
    """Return the application's engine for transactions that write."""
    return database.writing(engine())


def visible_to(caller: Caller) -> ColumnElement[bool]:
    """Return the condition for the predictions that a caller may see: those of its key."""
    return true() if caller.is_admin else predictions.c.owner == caller.name


def number_of(connection: Connection, prediction_id: str, lock: bool = False) -> int:
    """Return the number of a prediction that the caller may see.

    With `lock`, nobody else changes or deletes its row before the transaction ends. Raises
    `Problem` "forgotten" or "unknown_prediction". Another key's prediction is unknown.
    """
    if not re.fullmatch(ID, prediction_id):  # PostgreSQL fails for some characters
        raise Problem("unknown_prediction")
    wanted = predictions.c.id == prediction_id
    row = select(predictions.c.number).where(wanted, visible_to(g.caller))
    number = connection.scalar(row.with_for_update() if lock else row)
    if number is not None:
        return number
    if connection.scalar(select(exists().where(forgotten.c.id == prediction_id))):
        raise Problem("forgotten")
    raise Problem("unknown_prediction")


def number_soon(prediction_id: str) -> int:
    """Like `number_of`. Waits for the row if the answer is so new that it may not be written.

    Raises `Problem` "records_unavailable" if answers from before the request still wait, because
    this one may be among them.
    """
    begun = time()
    try:
        return _number_now(prediction_id)
    except Problem as problem:
        if problem.kind != "unknown_prediction" or not re.fullmatch(ID, prediction_id):
            raise
    sleep(WRITTEN_BY)
    # Asked first, because the row may be written between the two.
    waits = waits_since_before(current_metrics().of_all_workers(), begun)
    try:
        return _number_now(prediction_id)
    except Problem as problem:
        if problem.kind == "unknown_prediction" and waits:
            raise Problem("records_unavailable", NOT_YET) from None
        raise


def _number_now(prediction_id: str) -> int:
    with engine().connect() as connection:
        return number_of(connection, prediction_id)


def problem_of(error: Exception) -> Problem:
    """Return the problem for an error of the database or the kept photos; log it."""
    reason = outage_in(error)
    if reason is None:
        return from_exception(error)
    logger.error("the records are unavailable: %s", reason)
    if isinstance(error, PhotosUnavailable) and photos() is None:  # waiting would not help
        return Problem("records_unavailable", UNSET)
    what = "database" if isinstance(error, SQLAlchemyError) else "store of kept photos"
    return Problem("records_unavailable", f"The {what} does not work now. Try again later.")
