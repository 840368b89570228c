"""The API's routes."""

from collections.abc import Sequence
from typing import Any

from flask import Response, current_app, g, jsonify
from flask_openapi3 import APIBlueprint, Tag

from car_damage.model_store import Record
from car_damage.service import access
from car_damage.service.body import photos_in_request
from car_damage.service.classify import Job, Result
from car_damage.service.metrics import current_metrics
from car_damage.service.openapi import OF_PREDICT, PREDICT_BODY, refusals
from car_damage.service.problems import Problem, from_exception
from car_damage.service.queue import PhotoQueue
from car_damage.service.recording import RECORDER, Recorder
from car_damage.service.schemas import (
    Alive,
    Card,
    PhotoPrediction,
    PhotoPredictions,
    PixelBox,
    PredictionInList,
    PredictQuery,
    PredictResponse,
    ProblemInList,
    Ready,
)
from car_damage.service.uploads import Upload

QUEUE = "car_damage_queue"  # the queue's key among the application's extensions


predictions_api = APIBlueprint("predictions", __name__, abp_tags=[Tag(name="predictions")])
status_api = APIBlueprint("status", __name__, abp_tags=[Tag(name="service")])


@predictions_api.post(
    "/predict",
    operation_id="predict",
    summary="Is the car damaged?",
    responses={200: PredictResponse, **refusals(*OF_PREDICT)},
    security=[{}, {"key": []}],
    openapi_extensions={"requestBody": PREDICT_BODY},
)
def predict(query: PredictQuery) -> Response:
    """Send photos in a form or as JSON, or one photo as the whole body.

    The answer is {"predictions": […]} for several photos, for `images` in JSON, and with
    ?list=true. Otherwise it is one prediction.
    """
    photos = photos_in_request()
    access.charge(len(photos.uploads) - 1)  # the first photo was already counted
    noted = {"repeat": True} if query.repeat else {}
    g.jobs = [
        Job(upload.content, query.heatmap, query.picture, noted.copy()) for upload in photos.uploads
    ]
    recorder: Recorder | None = current_app.extensions.get(RECORDER)
    if recorder is None or query.repeat:
        outcomes = photo_queue().answer(g.jobs, g.client)
    else:
        outcomes = _answer_and_record(recorder)
    if photos.as_list or query.as_list or len(outcomes) > 1:
        body: PhotoPrediction | PhotoPredictions = list_of(photos.uploads, outcomes)
    else:
        body = PhotoPrediction(**members_of(result_or_raise(outcomes[0])))
    return jsonify(body.model_dump(exclude_unset=True))


@status_api.get(
    "/health", operation_id="health", summary="Is the process running?", responses={200: Alive}
)
def health() -> Response:
    """Returns 200 as long as the process responds at all."""
    return jsonify(Alive().model_dump())


@status_api.get(
    "/ready",
    operation_id="ready",
    summary="Is the service ready for photos?",
    responses={200: Ready, **refusals("no_model", "stuck", "stopping")},
)
def ready() -> Response:
    """Returns 200 once the model has classified a blank photo.

    Returns 503 while the service is stuck on a photo, and after it was told to stop.
    """
    if current_app.config["STOPPING"]():
        raise Problem("stopping", "The service is stopping. Send photos to another instance.")
    if photo_queue().stuck:
        raise Problem(
            "stuck", "The service is stuck: a photo or loading the model takes far too long."
        )
    return jsonify(Ready(model_version=loaded().version).model_dump())


@status_api.get(
    "/model",
    operation_id="model",
    summary="Which model is in use?",
    responses={200: Card, **refusals("no_model")},
)
def model() -> Response:
    """Returns the model's card: its properties and its test results."""
    manifest = loaded().manifest
    card = Card.model_validate(dict(manifest) | dict(manifest.decision))
    return jsonify(card.model_dump(mode="json"))


@status_api.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def show_metrics() -> Response:
    """Returns the counts and times of all worker processes."""
    text, content_type = current_metrics().exposition()
    return Response(text, content_type=content_type)


def photo_queue() -> PhotoQueue:
    """Return the application's queue, which has the model."""
    return current_app.extensions[QUEUE]


def loaded() -> Record:
    """Return the record of the version in use. Raises `Problem` while no model is loaded."""
    queue = photo_queue()
    if queue.predictor is None:
        raise Problem("no_model", f"The service cannot classify photos: {queue.unready}.")
    return queue.predictor.record


def list_of(uploads: Sequence[Upload], outcomes: Sequence[Result | Exception]) -> PhotoPredictions:
    """Return the answer to several photos. Raises a `Problem` if all failed with status 503.

    The client then sees the status 503 and tries again.
    """
    if all(isinstance(outcome, Problem) and outcome.status == 503 for outcome in outcomes):
        result_or_raise(outcomes[0])
    items: list[PredictionInList | ProblemInList] = []
    for index, (upload, outcome) in enumerate(zip(uploads, outcomes, strict=True)):
        if isinstance(outcome, Result):
            item = members_of(outcome) | {"index": index, "file": upload.name}
            items.append(PredictionInList(**item))
        else:
            problem = from_exception(outcome)
            g.jobs[index].log_fields["refusal"] = problem.kind
            told = problem.as_dict(g.request_id)
            items.append(ProblemInList.model_validate(told | {"index": index, "file": upload.name}))
    return PhotoPredictions(predictions=items, request_id=g.request_id)


def _answer_and_record(recorder: Recorder) -> list[Result | Exception]:
    """Classify the request's photos, and remember each answer."""
    records = [recorder.watch(job, g.caller) for job in g.jobs]
    outcomes = photo_queue().answer(g.jobs, g.client)
    return [
        outcome if isinstance(outcome, Exception) else record(outcome)
        for record, outcome in zip(records, outcomes, strict=True)
    ]


def result_or_raise(outcome: Result | Exception) -> Result:
    """Return a photo's result, or raise its exception."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def members_of(result: Result) -> dict[str, Any]:
    """Return the members of a `PhotoPrediction`, with pictures only if the request wants them."""
    answer = result.answer
    members = {
        "prediction": answer.label,
        "probability": answer.probability,
        "threshold": answer.threshold,
        "review": answer.review,
        "warnings": list(answer.warnings),
        "model_version": answer.model_version,
        "request_id": g.request_id,
        **result.recorded,
    }
    if result.picture is not None:
        members["picture"] = result.picture
    if result.overlay is None:
        return members
    box = result.box
    pixels = PixelBox(**{edge: round(at) for edge, at in vars(box).items()}) if box else None
    return members | {"heatmap": result.overlay, "box": pixels}
