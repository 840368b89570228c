"""Routes for reviews: the next photo, the person's answer, undo, and giving a photo back."""

import io
import logging
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response, g, jsonify
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from car_damage.photo_warnings import WarningWord
from car_damage.photos import UnusablePhoto
from car_damage.records import reviewing
from car_damage.records.api import (
    KEYED,
    REFUSALS,
    PredictionPath,
    number_soon,
    photos,
    records_api,
    writing,
)
from car_damage.records.feedback import EXAMPLE_ID
from car_damage.records.kept_photos import KeptPhotos, PhotosUnavailable
from car_damage.service.api import photo_queue
from car_damage.service.classify import Job, Result
from car_damage.service.openapi import VERSION, refusals
from car_damage.service.problems import Problem

MOST_MISSING = 20  # photos without a file that one request may leave out
OF_ONE = (*REFUSALS, "unknown_prediction", "forgotten", "taken")
OF_QUEUE = ("busy", "timed_out", "no_model")  # the model runs again for the heatmap

logger = logging.getLogger(__name__)


Reviewer = Annotated[
    str,
    Field(
        pattern="^[0-9A-Za-z-]{8,64}$",
        description="a random word that the page makes, so that two people get different photos",
    ),
]
Word = Literal["damaged", "not_damaged"]


class ReviewerBody(BaseModel):
    """Who reviews."""

    model_config = ConfigDict(json_schema_extra={"example": {"reviewer": "9f2c41d07ab85e63"}})

    reviewer: Reviewer


class ReviewBody(ReviewerBody):
    """What a person sees in a photo."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"reviewer": "9f2c41d07ab85e63", "label": "damaged"}}
    )

    label: Word | Literal["cannot_tell"]


class ModelAnswer(BaseModel):
    """What the model answered at the time, and where it sees damage now."""

    prediction: Word
    probability: float = Field(ge=0, le=1, description="the probability that the car is damaged")
    warnings: list[WarningWord]
    model_version: str = Field(description="the version that answered")
    heatmap: str | None = Field(
        description="the photo with its heatmap, a PNG as a data URI; null if there is none"
    )
    heatmap_version: str | None = Field(
        description="the version that made the heatmap: the one in use now"
    )


class ReviewPhoto(BaseModel):
    """A photo to review."""

    prediction_id: str
    time: datetime = Field(description="when the photo was classified, in UTC")
    audit: bool = Field(description="a random check of an answer that the model was sure of")
    picture: str = Field(description="the upright photo, a small JPEG as a data URI")
    answer: ModelAnswer | None = Field(
        description="null in an audit, so that the person is not influenced"
    )


class NextReview(BaseModel):
    """The next photo to review."""

    model_config = ConfigDict(
        openapi_extra={  # type: ignore[typeddict-unknown-key]  # flask-openapi3 documents it
            "examples": {"done": {"value": {"photo": None, "waiting": 0}}}
        }
    )

    photo: ReviewPhoto | None = Field(description="null if no photo waits")
    waiting: int = Field(ge=0, description="photos that wait for somebody, with this one")


class Reviewed(BaseModel):
    """The stored review, and the model's answer."""

    model_config = ConfigDict(
        openapi_extra={  # type: ignore[typeddict-unknown-key]  # see above
            "examples": {
                "reviewed": {
                    "value": {
                        "prediction_id": EXAMPLE_ID,
                        "label": "damaged",
                        "answer": {
                            "prediction": "damaged",
                            "probability": 0.5312,
                            "warnings": [],
                            "model_version": VERSION,
                            "heatmap": None,
                            "heatmap_version": None,
                        },
                    }
                }
            }
        }
    )

    prediction_id: str
    label: Word | Literal["cannot_tell"]
    answer: ModelAnswer = Field(description="with its heatmap only after an audit")


@records_api.post(
    "/review/next",
    operation_id="review_next",
    summary="Which photo should a person review next?",
    responses={200: NextReview, **refusals(*REFUSALS, *OF_QUEUE, "photos_not_kept")},
    security=KEYED,
)
def next_photo(body: ReviewerBody) -> Response:
    """Returns the photo that the model was most unsure of, or sometimes an audit.

    The photo is the reviewer's for five minutes. Until it is answered, the same reviewer gets it
    again.
    """
    kept = photos()
    if kept is None:
        raise Problem("photos_not_kept")
    with writing().begin() as connection:
        reviewing.delete_expired(connection)
    for _ in range(MOST_MISSING):
        with writing().begin() as connection:
            claimed = reviewing.claim(connection, body.reviewer)
        if claimed is None:
            return jsonify(NextReview(photo=None, waiting=0).model_dump(mode="json"))
        if photo := _photo_of(claimed.row, kept):
            found = NextReview(photo=photo, waiting=claimed.waiting)
            return jsonify(found.model_dump(mode="json"))
        with writing().begin() as connection:
            reviewing.set_aside(connection, claimed.row.number)
    raise Problem("records_unavailable", "Many photos are missing in KEEP_PHOTOS. Try again later.")


@records_api.post(
    "/review/<prediction_id>",
    operation_id="review",
    summary="What does the photo show?",
    responses={200: Reviewed, **refusals(*OF_ONE)},
    security=KEYED,
)
def review(path: PredictionPath, body: ReviewBody) -> Response:
    """Stores what the person sees, and ends the photo's review.

    You can send it again within five minutes; the last word counts. In an audit, the first word
    counts, because the response shows the model's answer.
    """
    number_soon(path.prediction_id)
    with writing().begin() as connection:
        row = reviewing.answer(connection, path.prediction_id, body.reviewer, body.label)
    answer = _answer_of(row, _heatmap_after(row) if row.audit else None)
    reviewed = Reviewed(prediction_id=path.prediction_id, label=body.label, answer=answer)
    return jsonify(reviewed.model_dump(mode="json"))


@records_api.post(
    "/review/<prediction_id>/undo",
    operation_id="review_undo",
    summary="Take the last answer back",
    responses={204: None, **refusals(*OF_ONE)},
    security=KEYED,
)
def undo(path: PredictionPath, body: ReviewerBody) -> Response:
    """Deletes the reviewer's answer of the last five minutes; the photo waits for review again."""
    with writing().begin() as connection:
        reviewing.take_back(connection, path.prediction_id, body.reviewer)
    return Response(status=204)


@records_api.post(
    "/review/release",
    operation_id="review_release",
    summary="Give a photo back without an answer",
    responses={204: None, **refusals(*REFUSALS)},
    security=KEYED,
)
def release(body: ReviewerBody) -> Response:
    """The page does this when it is closed. After ten seconds, others can get the photo."""
    with writing().begin() as connection:
        reviewing.release(connection, body.reviewer)
    return Response(status=204)


def _photo_of(row: Row[Any], kept: KeptPhotos) -> ReviewPhoto | None:
    """Return a prediction's photo for the page, or None and a line in the log if it has none."""
    result = _run_again(row, kept, heatmap=not row.audit)
    if isinstance(result, UnusablePhoto) or result is None:
        logger.warning("prediction %s cannot be reviewed: its photo is missing or unusable", row.id)
        return None
    if isinstance(result, Exception):
        raise result
    return ReviewPhoto(
        prediction_id=row.id,
        time=row.time,
        audit=row.audit,
        picture=result.picture or "",
        answer=None if row.audit else _answer_of(row, result),
    )


def _heatmap_after(row: Row[Any]) -> Result | None:
    """Return the result for an answered audit. The answer is stored, so failures do no harm."""
    kept = photos()
    try:
        result = kept and _run_again(row, kept, heatmap=True)
    except PhotosUnavailable as error:
        logger.error("no heatmap: %s", error)
        return None
    return result if isinstance(result, Result) else None


def _run_again(row: Row[Any], kept: KeptPhotos, heatmap: bool) -> Result | Exception | None:
    """Run the model on a kept photo again, for its picture and heatmap.

    Returns None if the photo's file is missing. The queue runs the model, because that takes as
    much time and memory as for a new photo.
    """
    data = kept.read(row.sha256)
    if data is None:
        return None
    g.jobs = [Job(io.BytesIO(data), heatmap, with_picture=True, log_fields={"repeat": True})]
    try:
        return photo_queue().answer(g.jobs, g.client)[0]
    except Problem as problem:
        return problem


def _answer_of(row: Row[Any], result: Result | None) -> ModelAnswer:
    return ModelAnswer(
        prediction=row.prediction,
        probability=row.probability,
        warnings=row.warnings.split(),
        model_version=row.model_version,
        heatmap=result.overlay if result else None,
        heatmap_version=result.answer.model_version if result else None,
    )
