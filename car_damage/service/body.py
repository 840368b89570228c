"""A request's body to photos. Its first bytes decide how it is read, not what its type claims.

Clients send photos with no type, with application/octet-stream, or with the type that curl gives
all data (application/x-www-form-urlencoded), and JSON with any of these.
"""

import io
import re
from typing import NamedTuple
from urllib.parse import unquote_plus

from flask import current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

from car_damage.service.json_body import photos_in_json
from car_damage.service.mistakes import text_instead_of_photo
from car_damage.service.problems import Problem
from car_damage.service.settings import MAX_PHOTOS
from car_damage.service.uploads import Upload, spooled

FORM = "multipart/form-data"
URL_ENCODED = "application/x-www-form-urlencoded"
HEAD = 512  # bytes that decide
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some Windows programs put it in front of JSON
# How photos begin that have a zero byte within the first few; curl's -d leaves these out.
WITH_ZEROS = (b"\xff\xd8\xff", b"\x89PNG")
FIELD = re.compile(r"([\w.\[\]-]{1,40})=(?=[^=\s])", re.ASCII)
LET_THE_CLIENT = "Do not set the header Content-Type yourself: let your client set it."
WAYS = "Send the photo as the field image of a form (curl -F image=@car.jpg), or as the body."


class Photos(NamedTuple):
    """The photos of a request, and whether it sent them as a list, even if of one."""

    uploads: list[Upload]
    as_list: bool


def photos_in_request() -> Photos:
    """The photos in the request, unread and unchecked. Raises `Problem` if it has none."""
    _refuse_compressed()
    # Peeking at a buffered stream leaves its bytes for whoever reads it next.
    request.stream = io.BufferedReader(request.stream, HEAD)  # type: ignore[type-var]
    head = request.stream.peek(HEAD)[:HEAD]
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if text.startswith(b"--") or _is_form_after_preamble(head):
        return Photos(_photos_in_form(text), as_list=False)
    if text[:1] in (b"{", b"[", b'"') or (text and request.is_json and _is_text(head)):
        return Photos(*photos_in_json(spooled(request.stream)))
    if not head and not request.mimetype.startswith("image/"):
        raise Problem("no_photo", f"There is no photo in the request. {WAYS}")
    _refuse_mistakes(head)
    return Photos([Upload(spooled(request.stream))], as_list=False)


def _refuse_compressed() -> None:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Problem(
            "compressed",
            f"The body is compressed ({encoding[:40]}): send it as it is, without "
            "Content-Encoding. Photos are compressed already.",
        )


def _is_form_after_preamble(head: bytes) -> bool:
    """Whether a form begins behind other text, which its standard allows (RFC 2046, 5.1.1)."""
    boundary = request.mimetype_params.get("boundary")
    return bool(boundary) and request.mimetype == FORM and f"--{boundary}".encode() in head


def _is_text(head: bytes) -> bool:
    return head.isascii() and all(byte >= 0x20 or byte in b"\t\r\n" for byte in head)


def _photos_in_form(head: bytes) -> list[Upload]:
    """The photos of a form whose body begins with `head`."""
    if request.mimetype != FORM:
        kind = request.mimetype[:40] or "missing"
        raise Problem(
            "bad_request", f"The body is a form, but its Content-Type is {kind}. {LET_THE_CLIENT}"
        )
    if "boundary" not in request.mimetype_params:
        raise Problem("bad_request", f"The Content-Type {FORM} has no boundary. {LET_THE_CLIENT}")
    try:
        files = request.files.getlist("image")
    except RequestEntityTooLarge as error:
        if (request.content_length or 0) > current_app.config["MAX_CONTENT_LENGTH"]:
            raise
        raise Problem("upload_too_large", _too_much_in_form()) from error
    if len(files) > MAX_PHOTOS:
        raise Problem(
            "too_many_photos",
            f"A request can have {MAX_PHOTOS} photos; this one has {len(files)}.",
        )
    if not files:
        raise _no_photo_in_form(head)
    return [Upload(file.stream, file.filename) for file in files]


def _too_much_in_form() -> str:
    parts, size = (current_app.config[f"MAX_FORM_{name}"] for name in ("PARTS", "MEMORY_SIZE"))
    return (
        f"The form has more than {parts} parts, more than {size // 1000} kB that are not files, or "
        f"is larger than the service allows: send at most {MAX_PHOTOS} photos, as files. A photo "
        'in base64 can be sent as JSON: {"image": "<base64>"}.'
    )


def _no_photo_in_form(head: bytes) -> Problem:
    if "image" in request.form:
        place = "The form field image"
        problem = text_instead_of_photo(
            request.form["image"], place, "With curl, put @ before the name: -F image=@car.jpg."
        )
        told = f"{place} has text and no file: with curl, -F image=@car.jpg."
        return problem or Problem("no_photo", told)
    if request.files:
        other = next(iter(request.files))[:40]
        return Problem(
            "no_photo", f"The form has a file in '{other}'; its field must be called image."
        )
    boundary = request.mimetype_params["boundary"].encode()
    if not request.form and head.startswith(b"--") and not head.startswith(b"--" + boundary):
        return Problem(
            "bad_request", f"The boundary in the Content-Type is not the form's. {LET_THE_CLIENT}"
        )
    return Problem(
        "no_photo", "The form has no photo: put a file into its field image (-F image=@car.jpg)."
    )


def _refuse_mistakes(head: bytes) -> None:
    """Raise `Problem` if the body is text that stands for a photo, or if curl changed the photo."""
    url_encoded = request.mimetype == URL_ENCODED
    if url_encoded and head.startswith(WITH_ZEROS) and b"\0" not in head:
        raise Problem(
            "truncated",
            "The photo has lost its zero bytes and line breaks: with curl, use --data-binary "
            "instead of -d.",
        )
    if not head or not _is_text(head):
        return
    text, place = head.decode("ascii"), "The body"
    if url_encoded and (field := FIELD.match(text)):
        text, place = unquote_plus(text[field.end() :].split("&")[0]), f"The field {field[1]}"
    problem = text_instead_of_photo(
        text, place, "With curl: -F image=@car.jpg, or --data-binary @car.jpg."
    )
    if problem:
        raise problem
    if url_encoded:
        raise Problem("no_photo", f"The body is a form without files. {WAYS}")
