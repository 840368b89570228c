"""/openapi.json: what a request may bring, which errors a route has, and an example of each."""

from typing import Any

from flask_openapi3 import OpenAPI
from flask_openapi3.types import ResponseDict

from car_damage.service.problems import KINDS, MIME_TYPE, Problem
from car_damage.service.schemas import PHOTO, ImageInJson, ImagesInJson, PhotoForm

REQUEST_ID = "6a1f0c52b7d94e3f8a60d1c2e5b49f07"
VERSION = "20261128-0922-151e"
ONE: dict[str, Any] = {
    "prediction": "damaged",
    "probability": 0.9731,
    "threshold": 0.6646,
    "review": False,
    "warnings": [],
    "model_version": VERSION,
    "request_id": REQUEST_ID,
}
PROBLEM: dict[str, Any] = {
    "type": "/problems/too_small",
    "title": "The photo is too small",
    "status": 422,
    "detail": "The photo has 20 x 20 pixels; 64 a side are needed.",
    "request_id": REQUEST_ID,
}
LIST: dict[str, Any] = {
    "predictions": [
        {"index": 0, "file": "front.jpg"} | ONE,
        {"index": 1, "file": "back.jpg"} | PROBLEM,
    ],
    "request_id": REQUEST_ID,
}
# Red, 64 pixels a side: the smallest that is answered.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAUElEQVR42u3PQREAAAQAMATRP4pYUni42xospzs+"
    "q3hOQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBA4N4CQ3UBhF8gRisAAAAASUVO"
    "RK5CYII="
)

PREDICT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": PhotoForm.model_json_schema()},
        "application/json": {
            "schema": {"oneOf": [of.model_json_schema() for of in (ImageInJson, ImagesInJson)]},
            "examples": {"one": {"value": {"image": PNG}}, "several": {"value": {"images": [PNG]}}},
        },
        "image/*": {"schema": PHOTO},
        "application/octet-stream": {"schema": PHOTO},
    },
}
# The kinds of problems that /predict may answer with.
OF_PREDICT = tuple(KINDS.keys() - {"not_found", "method_not_allowed", "stuck", "stopping"})
# What the problems say that have no sentence of their own in `KINDS`.
DETAILS = {
    "bad_request": "The Content-Type multipart/form-data has no boundary. Do not set the header "
    "Content-Type yourself: let your client set it.",
    "no_photo": "The form has a file in 'file'; its field must be called image.",
    "empty": "The file is empty.",
    "unauthorized": "A key is needed: send it as 'Authorization: Bearer KEY'.",
    "upload_too_large": "The upload is larger than 10 MB.",
    "too_many_photos": "A request can have 32 photos; this one has 40.",
    "compressed": "The body is compressed (gzip): send it as it is, without Content-Encoding. "
    "Photos are compressed already.",
    "not_a_photo": "image is not base64: it is cut short or has letters that base64 does not have.",
    "too_small": "The photo has 20 x 20 pixels; 64 a side are needed.",
    "too_large": "The photo has more than 50 megapixels.",
    "too_complex": "The photo takes too much time or memory to decode; save it as an ordinary "
    "JPEG.",
    "truncated": "The photo is cut short or damaged.",
    "rate_limited": "More than 60 photos per minute were sent; wait, then retry.",
    "busy": "Too many photos are waiting; try again in a moment.",
    "timed_out": "The photo waited for too long; try again later.",
    "no_model": "No photo can be answered: the model is being loaded.",
    "stuck": "The service is stuck: its work takes far too long.",
    "stopping": "The service is stopping; send photos elsewhere.",
}
# By operation, what a successful answer looks like.
ANSWERS = {
    "predict": {"one": {"value": ONE}, "several": {"value": LIST}},
    "health": {"alive": {"value": {"status": "alive"}}},
    "ready": {"ready": {"value": {"status": "ready", "model_version": VERSION}}},
}
RETRY_AFTER = {"Retry-After": {"description": "seconds to wait for", "schema": {"type": "integer"}}}


def refusals(*kinds: str) -> ResponseDict:
    """The responses of a route that may answer with these kinds of problems."""
    statuses = sorted({KINDS[kind].status for kind in kinds})
    return {
        str(status): _refusal(
            [kind for kind in KINDS if kind in kinds and KINDS[kind].status == status]
        )
        for status in statuses
    }


def _refusal(kinds: list[str]) -> dict[str, Any]:
    """The response with the status that these kinds share."""
    examples = {
        kind: {"value": Problem(kind, DETAILS.get(kind, "")).as_dict(REQUEST_ID)} for kind in kinds
    }
    response: dict[str, Any] = {
        "description": "; ".join(KINDS[kind].title for kind in kinds),
        "content": {
            MIME_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                "examples": examples,
            }
        },
    }
    if KINDS[kinds[0]].status in (429, 503):
        response["headers"] = RETRY_AFTER
    return response


def document(app: OpenAPI) -> dict[str, Any]:
    """The document on the API of `app`."""
    for path in app.api_doc["paths"].values():
        for operation in path.values():
            # flask-openapi3 has every route refuse parameters, also one that takes none.
            if not operation.get("parameters"):
                operation["responses"].pop(app.validation_error_status, None)
            if examples := ANSWERS.get(operation["operationId"]):
                operation["responses"]["200"]["content"]["application/json"]["examples"] = examples
    return app.api_doc
