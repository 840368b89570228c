"""The routes: what is asked for comes in here, and the answer goes out."""

import shutil
from typing import IO

from flask import Response, current_app, g, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from flask_openapi3.types import ResponseDict
from werkzeug.formparser import default_stream_factory

from car_damage.model_store import Record
from car_damage.service.classify import Job, Result
from car_damage.service.metrics import current_metrics
from car_damage.service.problems import KINDS, MIME_TYPE, Problem, from_exception
from car_damage.service.queue import PhotoQueue
from car_damage.service.schemas import (
    PHOTO,
    Alive,
    Card,
    PhotoForm,
    PhotoPrediction,
    PhotoPredictions,
    PixelBox,
    PredictQuery,
    PredictResponse,
    ProblemDetails,
    Ready,
)
from car_damage.service.settings import MAX_PHOTOS

QUEUE = "car_damage_queue"  # where the application keeps it, among its extensions


def refusals(*statuses: int) -> ResponseDict:
    """For the OpenAPI document: the errors that a route may answer with."""
    return {
        str(status): {
            "description": "; ".join(one.title for one in KINDS.values() if one.status == status),
            "content": {MIME_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


predictions_api = APIBlueprint("predictions", __name__, abp_tags=[Tag(name="predictions")])
status_api = APIBlueprint("status", __name__, abp_tags=[Tag(name="service")])


@predictions_api.post(
    "/predict",
    summary="Is the car damaged?",
    responses={200: PredictResponse, **refusals(400, 401, 408, 413, 415, 422, 429, 500, 503)},
    security=[{}, {"key": []}],
    openapi_extensions={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": PhotoForm.model_json_schema()},
                "image/*": {"schema": PHOTO},
            },
        }
    },
)
def predict(query: PredictQuery) -> Response:
    """Send one photo, in a form or as the whole body, or up to 32 photos in a form."""
    noted = {"repeat": True} if query.repeat else {}
    g.jobs = [Job(stream, query.heatmap, noted.copy()) for stream in photos_in_request()]
    outcomes = photo_queue().answer(g.jobs)
    if len(outcomes) == 1:
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return jsonify(prediction_of(outcomes[0]).model_dump(exclude_unset=True))
    bodies = [one_of_several(job, outcome) for job, outcome in zip(g.jobs, outcomes, strict=True)]
    answer = PhotoPredictions(predictions=bodies, request_id=g.request_id)
    return jsonify(answer.model_dump(exclude_unset=True))


@status_api.get("/health", summary="Does the process live?", responses={200: Alive})
def health() -> Response:
    """Always, as long as anything answers at all."""
    return jsonify(Alive().model_dump())


@status_api.get("/ready", summary="Can photos be sent?", responses={200: Ready, **refusals(503)})
def ready() -> Response:
    """Once the model has answered a blank photo, until a stop is asked for."""
    if current_app.config["STOPPING"]():
        raise Problem("stopping", "The service is stopping; send photos elsewhere.")
    return jsonify(Ready(model_version=loaded().version).model_dump())


@status_api.get("/model", summary="Which model answers?", responses={200: Card, **refusals(503)})
def model() -> Response:
    """Its card: what it is and how far it can be trusted."""
    manifest = loaded().manifest
    card = Card.model_validate(dict(manifest) | dict(manifest.decision))
    return jsonify(card.model_dump(mode="json"))


@status_api.get(
    "/metrics",
    summary="For Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def show_metrics() -> Response:
    """Counts and times of all worker processes."""
    text, content_type = current_metrics().exposition()
    return Response(text, content_type=content_type)


def photo_queue() -> PhotoQueue:
    """The application's queue, with its model."""
    return current_app.extensions[QUEUE]


def loaded() -> Record:
    """The record of the version in use. Raises `Problem` while there is none."""
    queue = photo_queue()
    if queue.predictor is None:
        raise Problem("no_model", f"No photo can be answered: {queue.unready}.")
    return queue.predictor.record


def photos_in_request() -> list[IO[bytes]]:
    """The files in the request, unread and unchecked; their names are used for nothing."""
    if request.mimetype == "multipart/form-data":
        return _photos_in_form()
    if request.mimetype.startswith("image/"):
        body = default_stream_factory(request.content_length, None, None)  # on disk above 500 kB
        shutil.copyfileobj(request.stream, body)
        body.seek(0)
        return [body]
    if request.content_length:
        raise Problem(
            "not_a_photo",
            "Send the photo as the field image of a form (curl -F image=@car.jpg), or as the body "
            "with its content type, such as image/jpeg.",
        )
    raise Problem("no_photo", "There is no photo in the request: curl -F image=@car.jpg sends one.")


def _photos_in_form() -> list[IO[bytes]]:
    files = request.files.getlist("image")
    if len(files) > MAX_PHOTOS:
        raise Problem(
            "too_many_photos", f"At most {MAX_PHOTOS} photos a request; this one has {len(files)}."
        )
    if not files and "image" in request.form:
        told = "The field image holds text and no file: with curl, -F image=@car.jpg."
        raise Problem("no_photo", told)
    if not files:
        raise Problem("no_photo", "There is no photo in the request: name its field image.")
    return [file.stream for file in files]


def one_of_several(job: Job, outcome: Result | Exception) -> PhotoPrediction | ProblemDetails:
    """A photo's prediction, or the problem that came instead."""
    if isinstance(outcome, Result):
        return prediction_of(outcome)
    problem = from_exception(outcome)
    job.log_fields["refusal"] = problem.kind
    return ProblemDetails.model_validate(problem.as_dict(g.request_id))


def prediction_of(result: Result) -> PhotoPrediction:
    """A prediction for JSON; heatmap and box are unset unless the request asks for them."""
    body = PhotoPrediction(
        prediction=result.answer.label,
        probability=result.answer.probability,
        threshold=result.answer.threshold,
        review=result.answer.review,
        warnings=list(result.answer.warnings),
        model_version=result.answer.model_version,
        request_id=g.request_id,
    )
    if result.overlay is not None:
        body.heatmap, box = result.overlay, result.box
        body.box = PixelBox(**{edge: round(at) for edge, at in vars(box).items()}) if box else None
    return body
