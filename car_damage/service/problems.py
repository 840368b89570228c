"""Every error as `application/problem+json` (RFC 9457): a stable type and a helpful sentence."""

import errno
import logging
from typing import NamedTuple

from flask import Flask, Response, g, json, request
from pydantic import ValidationError
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from car_damage.options import quoted
from car_damage.photos import UnusablePhoto

MIME_TYPE = "application/problem+json"
MIB = 1024 * 1024
REFUSED = "car_damage.refused"  # key in WSGI's environment for a problem that the server found

logger = logging.getLogger(__name__)


class Kind(NamedTuple):
    """The properties that all problems of a kind share."""

    status: int
    title: str
    advice: str = ""  # a sentence, if it is always the same


KINDS = {
    "bad_request": Kind(
        400, "The service cannot read the request", "See GET /docs for valid requests"
    ),
    "no_photo": Kind(400, "The request has no photo"),
    "empty": Kind(400, "The file is empty"),
    "unauthorized": Kind(401, "The key is missing or wrong"),
    "local_only": Kind(
        403,
        "This address needs a key",
        "The service has no keys, so only its own computer may use this address. Its operator can "
        "set API_KEYS",
    ),
    "not_found": Kind(404, "This address does not exist", "See GET /docs for all addresses"),
    "unknown_prediction": Kind(404, "There is no prediction with this id", "Check the id"),
    "method_not_allowed": Kind(
        405, "This address does not accept the method", "See GET /docs for its methods"
    ),
    "upload_stopped": Kind(408, "The upload stopped or was too slow", "Send it again"),
    "taken": Kind(
        409,
        "The photo's review is over, or somebody else reviews it",
        "Go on with the next photo",
    ),
    "photos_not_kept": Kind(
        409,
        "The service keeps no photos, so there are none to review",
        "Its operator can set KEEP_PHOTOS to a folder or a bucket",
    ),
    "forgotten": Kind(410, "The prediction was deleted", "Nothing about it is left"),
    "upload_too_large": Kind(413, "The upload is too large"),
    "too_many_photos": Kind(413, "The request has too many photos"),
    "too_large": Kind(413, "The photo has too many pixels"),
    "too_complex": Kind(413, "The photo takes too much time or memory to decode"),
    "compressed": Kind(415, "The body is compressed"),
    "not_a_photo": Kind(415, "The service cannot read the file as a photo"),
    "too_small": Kind(422, "The photo is too small"),
    "truncated": Kind(422, "The photo is incomplete or corrupt"),
    "rate_limited": Kind(429, "The client sent too many photos"),
    "internal_error": Kind(
        500, "The service has an internal error", "The log has details under the request id"
    ),
    "busy": Kind(503, "Too many photos are waiting"),
    "timed_out": Kind(503, "The photo waited too long"),
    "no_model": Kind(503, "No model is loaded"),
    "stuck": Kind(503, "The service is stuck"),
    "stopping": Kind(503, "The service is stopping"),
    "records_unavailable": Kind(503, "The records are unavailable", "Try again later"),
    "no_disk": Kind(503, "The service cannot store the upload", "Try again later"),
}
# The errors of a temporary file that cannot be written: no space, folder, permission or descriptor.
NO_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.EACCES}
NO_DISK |= {errno.EMFILE, errno.ENFILE}


class Problem(Exception):  # noqa: N818 - the RFC's word
    """A refused request or photo; `kind` is one of `KINDS`."""

    def __init__(self, kind: str, detail: str = "", retry_after: int = 1):
        self.kind = kind
        self.retry_after = retry_after  # seconds; the queue moves several times in one second
        self.status = KINDS[kind].status
        self.detail = detail or f"{KINDS[kind].title}. {KINDS[kind].advice}."
        super().__init__(self.detail)

    def as_dict(self, request_id: str) -> dict[str, str | int]:
        """Return the problem object for the request with this id."""
        return {
            "type": f"/problems/{self.kind}",
            "title": KINDS[self.kind].title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }


def from_exception(error: Exception) -> Problem:
    """Return an exception's problem. Log an unexpected exception with its traceback."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, UnusablePhoto):
        sentence = str(error)
        return Problem(error.reason, f"{sentence[0].upper()}{sentence[1:]}.")
    if isinstance(error, OSError) and error.errno in NO_DISK:
        logger.error("an upload cannot be stored: %s", error, extra={"request_id": g.request_id})
        return Problem("no_disk")
    logger.error("unexpected error", exc_info=error, extra={"request_id": g.request_id})
    return Problem("internal_error")


def response_to(problem: Problem) -> Response:
    """Return the HTTP response that reports the problem."""
    g.refusal = problem.kind
    body = json.dumps(problem.as_dict(g.request_id))
    response = Response(body, problem.status, mimetype=MIME_TYPE)
    if problem.status in (429, 503):
        response.headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def from_validation(error: ValidationError) -> Response:
    """Return the response to a wrong value in the query, or in the JSON of a route for records."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    value = quoted(str(first["input"]))
    if not name:
        sentence = "Send a JSON object, with the header Content-Type: application/json."
    elif first["type"] == "missing":
        sentence = f"{name} is missing. Add it."
    elif first["type"].startswith("bool_"):
        sentence = f"The query parameter {name} is {value}. Use true or false."
    else:
        sentence = f"{name} is {value}. {first['msg']}."
    return response_to(Problem("bad_request", sentence))


def init_app(app: Flask) -> None:
    """Make `app` report every error as a problem."""
    app.before_request(_refuse)
    app.register_error_handler(Exception, lambda error: response_to(from_exception(error)))
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(ClientDisconnected, lambda _: response_to(Problem("upload_stopped")))
    app.register_error_handler(RequestEntityTooLarge, _too_large)


def _refuse() -> None:
    """Refuse a request that the server could not read completely."""
    if kind := request.environ.get(REFUSED):
        raise Problem(kind)


def _too_large(_: RequestEntityTooLarge) -> Response:
    limit = (request.max_content_length or 0) / MIB
    if limit < 1:  # of a route for records
        return response_to(Problem("upload_too_large", "The JSON is far too long."))
    sentence = f"The upload is larger than {limit:g} MB. Send fewer or smaller photos."
    if not request.mimetype.startswith(("multipart/", "image/")):  # the body may be JSON
        sentence += f" As base64 in JSON, a photo can have up to {limit * 3 / 4:g} MB. Send a"
        sentence += " larger one as a file (curl -F image=@car.jpg)."
    return response_to(Problem("upload_too_large", sentence))


def _from_http(error: HTTPException) -> Response:
    if error.response is not None:  # a redirect, or our own response to a wrong parameter
        return error.response  # type: ignore[return-value]  # in Flask it is always Flask's
    if error.code is None or error.code >= 500:
        return response_to(from_exception(error))
    kind = {404: "not_found", 405: "method_not_allowed"}.get(error.code, "bad_request")
    response = response_to(Problem(kind))
    response.headers.update(dict(error.get_headers()) | {"Content-Type": MIME_TYPE})  # with Allow
    return response
