"""/openapi.json: the request bodies, each route's errors, and an example of each."""

from typing import Any

from flask_openapi3 import OpenAPI
from flask_openapi3.types import ResponseDict

from car_damage.service.problems import KINDS, MIME_TYPE, Problem
from car_damage.service.schemas import PHOTO, ImageInJson, ImagesInJson, PhotoForm

REQUEST_ID = "6a1f0c52b7d94e3f8a60d1c2e5b49f07"
VERSION = "20261128-1641-b6de"
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
    "detail": "The photo has 20 x 20 pixels; each side needs at least 64.",
    "request_id": REQUEST_ID,
}
LIST: dict[str, Any] = {
    "predictions": [
        {"index": 0, "file": "front.jpg"} | ONE,
        {"index": 1, "file": "back.jpg"} | PROBLEM,
    ],
    "request_id": REQUEST_ID,
}
# A red square of 64 pixels a side, the smallest photo that the service accepts.
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
# The kinds of problems that only records have, and those that /predict can return.
OF_RECORDS = {
    "local_only",
    "unknown_prediction",
    "forgotten",
    "taken",
    "photos_not_kept",
    "records_unavailable",
}
OF_OTHERS = {"not_found", "method_not_allowed", "stuck", "stopping"}
OF_PREDICT = tuple(KINDS.keys() - OF_OTHERS - OF_RECORDS)
# Example sentences. The other kinds have their sentence in `KINDS`.
DETAILS = {
    "bad_request": "The Content-Type multipart/form-data has no boundary. Do not set the header "
    "Content-Type yourself. Let your client set it.",
    "no_photo": "The form has a file in the field 'file'. Call the field image.",
    "empty": "The file is empty.",
    "unauthorized": "The request has no key. Send 'Authorization: Bearer KEY'.",
    "upload_too_large": "The upload is larger than 10 MB. Send fewer or smaller photos.",
    "too_many_photos": "The request has 40 photos. Send at most 32 in one request.",
    "compressed": "The body has the Content-Encoding gzip. Send it uncompressed, without "
    "Content-Encoding.",
    "not_a_photo": "image is not valid base64: it is incomplete or has characters that base64 does "
    "not have.",
    "too_small": "The photo has 20 x 20 pixels; each side needs at least 64.",
    "too_large": "The photo has more than 50 megapixels.",
    "too_complex": "The photo takes too much time or memory to decode. Save it as an ordinary "
    "JPEG.",
    "truncated": "The photo is incomplete or corrupt.",
    "rate_limited": "The client sent more than 60 photos per minute. Wait, then try again.",
    "busy": "Too many photos are waiting. Try again in a moment.",
    "timed_out": "The photo waited too long. Try again later.",
    "no_model": "The service cannot classify photos: the model is being loaded.",
    "stuck": "The service is stuck: a photo or loading the model takes far too long.",
    "stopping": "The service is stopping. Send photos to another instance.",
}
# An example of each operation's successful answer.
ANSWERS = {
    "predict": {"one": {"value": ONE}, "several": {"value": LIST}},
    "health": {"alive": {"value": {"status": "alive"}}},
    "ready": {"ready": {"value": {"status": "ready", "model_version": VERSION}}},
}
RETRY_AFTER = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}


def refusals(*kinds: str) -> ResponseDict:
    """Return the responses of a route that can return these kinds of problems."""
    statuses = sorted({KINDS[kind].status for kind in kinds})
    return {
        str(status): _refusal(
            [kind for kind in KINDS if kind in kinds and KINDS[kind].status == status]
        )
        for status in statuses
    }


def _refusal(kinds: list[str]) -> dict[str, Any]:
    """Return the response for kinds that share a status."""
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
    """Return the OpenAPI document of `app`."""
    for path in app.api_doc["paths"].values():
        for operation in path.values():
            # flask-openapi3 adds this error to every route, even to those without parameters.
            if not operation.get("parameters"):
                operation["responses"].pop(app.validation_error_status, None)
            if examples := ANSWERS.get(operation["operationId"]):
                operation["responses"]["200"]["content"]["application/json"]["examples"] = examples
    return app.api_doc
