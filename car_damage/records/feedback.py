"""Take a person's word on a photo: POST /feedback."""

from datetime import UTC, datetime
from typing import Literal

from flask import Response, g, jsonify
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Connection, delete, exists, or_, update

from car_damage.records import database
from car_damage.records.api import KEYED, REFUSALS, number_of, number_soon, records_api, writing
from car_damage.records.tables import feedback, leases, predictions
from car_damage.service.openapi import refusals

EXAMPLE_ID = "0e0f6dd54c0a4bd9a6b6f7ab2a3f51c4"


class Feedback(BaseModel):
    """What a photo really shows."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"prediction_id": EXAMPLE_ID, "label": "not_damaged"}}
    )

    prediction_id: str = Field(description="as /predict returned it")
    label: Literal["damaged", "not_damaged"]


class StoredFeedback(BaseModel):
    """The feedback as it is stored."""

    model_config = ConfigDict(
        openapi_extra={  # type: ignore[typeddict-unknown-key]  # flask-openapi3 documents it
            "examples": {
                "stored": {
                    "value": {
                        "prediction_id": EXAMPLE_ID,
                        "label": "not_damaged",
                        "time": "2026-11-28T14:02:11.084312Z",
                    }
                }
            }
        }
    )

    prediction_id: str
    label: Literal["damaged", "not_damaged"]
    time: datetime = Field(description="when the service stored it, in UTC")


@records_api.post(
    "/feedback",
    operation_id="feedback",
    summary="Was the prediction right?",
    responses={200: StoredFeedback, **refusals(*REFUSALS, "unknown_prediction", "forgotten")},
    security=KEYED,
)
def send_feedback(body: Feedback) -> Response:
    """Say what a photo really shows. You can send it again; the last word counts.

    This closes the review of a photo that the model was unsure of.
    """
    number_soon(body.prediction_id)
    now = datetime.now(UTC)
    with writing().begin() as connection:
        number = number_of(connection, body.prediction_id, lock=True)
        store(connection, number, body.label, now, in_review=False)
        # A random audit stays open, because it would be biased if clients could answer it.
        unsure = (predictions.c.number == number) & predictions.c.audit.is_(False)
        _end_undo(connection, number, unsure)
        connection.execute(update(predictions).where(unsure).values(awaits_review=False))
    stored = StoredFeedback(prediction_id=body.prediction_id, label=body.label, time=now)
    return jsonify(stored.model_dump(mode="json"))


def store(connection: Connection, number: int, label: str, time: datetime, in_review: bool) -> None:
    """Store a label in place of an earlier one.

    A label from a review stays one when a client changes it. Otherwise the audit would lose it.
    """
    row = {"label": label, "time": time, "given_by": g.caller.name, "in_review": in_review}
    insert = database.insert_into(connection, feedback).values(prediction=number, **row)
    changes = row | {"in_review": or_(feedback.c.in_review, insert.excluded.in_review)}
    connection.execute(insert.on_conflict_do_update(index_elements=["prediction"], set_=changes))


def _end_undo(connection: Connection, number: int, unsure: ColumnElement[bool]) -> None:
    """If a reviewer has just answered, end the time for an undo, which would delete this word."""
    answered = exists().where(unsure, predictions.c.awaits_review.is_(False))
    connection.execute(delete(leases).where(leases.c.prediction == number, answered))
