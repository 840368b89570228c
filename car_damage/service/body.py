"""Read the photos from a request's body. Its first bytes decide how, not its Content-Type.

Clients send photos and JSON with no type, with application/octet-stream, or with the type that curl
uses for all data (application/x-www-form-urlencoded).
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
HEAD = 512  # bytes at the start that decide how to read the body
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some Windows programs put it in front of JSON
# The first bytes of formats with a zero byte soon after. curl's -d removes zero bytes.
WITH_ZEROS = (b"\xff\xd8\xff", b"\x89PNG")
FIELD = re.compile(r"([\w.\[\]-]{1,40})=(?=[^=\s])", re.ASCII)
LET_THE_CLIENT = "Do not set the header Content-Type yourself. Let your client set it."
WAYS = "Send the photo as the form field image (curl -F image=@car.jpg) or as the body."


class Photos(NamedTuple):
    """The photos of a request; `as_list` is whether it sent a list, even of one photo."""

    uploads: list[Upload]
    as_list: bool


def photos_in_request() -> Photos:
    """Return the photos in the request, unread and unchecked. Raises `Problem` without any."""
    _refuse_compressed()
    # `peek` leaves the bytes in the buffered stream for the next reader.
    request.stream = io.BufferedReader(request.stream, HEAD)  # type: ignore[type-var]
    head = request.stream.peek(HEAD)[:HEAD]
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if text.startswith(b"--") or _is_form_after_preamble(head):
        return Photos(_photos_in_form(text), as_list=False)
    if text[:1] in (b"{", b"[", b'"') or (text and request.is_json and _is_text(head)):
        return Photos(*photos_in_json(spooled(request.stream)))
    if not head and not request.mimetype.startswith("image/"):
        raise Problem("no_photo", f"The request has no photo. {WAYS}")
    _refuse_mistakes(head)
    return Photos([Upload(spooled(request.stream))], as_list=False)


def _refuse_compressed() -> None:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Problem(
            "compressed",
            f"The body has the Content-Encoding {encoding[:40]}. Send it uncompressed, without "
            "Content-Encoding.",
        )


def _is_form_after_preamble(head: bytes) -> bool:
    """Whether a form starts after other text, which RFC 2046 allows (5.1.1)."""
    boundary = request.mimetype_params.get("boundary")
    return bool(boundary) and request.mimetype == FORM and f"--{boundary}".encode() in head


def _is_text(head: bytes) -> bool:
    return head.isascii() and all(byte >= 0x20 or byte in b"\t\r\n" for byte in head)


def _photos_in_form(head: bytes) -> list[Upload]:
    """Return the photos of a form whose body starts with `head`."""
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
            f"The request has {len(files)} photos. Send at most {MAX_PHOTOS} in one request.",
        )
    if not files:
        raise _no_photo_in_form(head)
    return [Upload(file.stream, file.filename) for file in files]


def _too_much_in_form() -> str:
    parts, size = (current_app.config[f"MAX_FORM_{name}"] for name in ("PARTS", "MEMORY_SIZE"))
    return (
        f"The form has more than {parts} parts, has more than {size // 1000} kB outside files, or "
        f"is larger than the service allows. Send at most {MAX_PHOTOS} photos, as files. Send "
        'base64 as JSON: {"image": "<base64>"}.'
    )


def _no_photo_in_form(head: bytes) -> Problem:
    if "image" in request.form:
        place = "The form field image"
        problem = text_instead_of_photo(
            request.form["image"], place, "With curl, put @ before the name: -F image=@car.jpg."
        )
        sentence = f"{place} has text, not a file. With curl, use -F image=@car.jpg."
        return problem or Problem("no_photo", sentence)
    if request.files:
        other = next(iter(request.files))[:40]
        return Problem(
            "no_photo", f"The form has a file in the field '{other}'. Call the field image."
        )
    boundary = request.mimetype_params["boundary"].encode()
    if not request.form and head.startswith(b"--") and not head.startswith(b"--" + boundary):
        return Problem(
            "bad_request",
            f"The boundary in the Content-Type differs from the form's. {LET_THE_CLIENT}",
        )
    return Problem(
        "no_photo", "The form has no photo. Put a file into the field image (-F image=@car.jpg)."
    )


def _refuse_mistakes(head: bytes) -> None:
    """Raise `Problem` if the body is text instead of a photo, or if curl has changed the photo."""
    url_encoded = request.mimetype == URL_ENCODED
    if url_encoded and head.startswith(WITH_ZEROS) and b"\0" not in head:
        raise Problem(
            "truncated",
            "The photo has lost its zero bytes and line breaks. With curl, use --data-binary "
            "instead of -d.",
        )
    if not head or not _is_text(head):
        return
    text, place = head.decode("ascii"), "The body"
    if url_encoded and (field := FIELD.match(text)):
        text, place = unquote_plus(text[field.end() :].split("&")[0]), f"The field {field[1]}"
    problem = text_instead_of_photo(
        text, place, "With curl, use -F image=@car.jpg or --data-binary @car.jpg."
    )
    if problem:
        raise problem
    if url_encoded:
        raise Problem("no_photo", f"The body is a form without files. {WAYS}")
