"""Read photos from JSON: {"image": "<base64>"} or {"images": ["<base64>", …]}."""

import binascii
import io
import json
import re
from threading import Lock
from typing import IO

from car_damage.service.mistakes import name_instead_of_photo
from car_damage.service.problems import Problem
from car_damage.service.settings import MAX_PHOTOS
from car_damage.service.uploads import Upload, spooled

# Parsed JSON takes several times its length in memory, up to 30 times if it has many empty lists.
MOST_VALUES = 10_000
ONE_AT_A_TIME = Lock()
DATA_URL = re.compile(rb"data:([^,]{0,200}),", re.IGNORECASE)
URL_SAFE = bytes.maketrans(b"-_", b"+/")
SHAPE = 'Send {"image": "<base64>"} for one photo or {"images": ["<base64>"]} for several.'
KINDS: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}
PUT_BASE64 = "Put the content of the file there, as base64."


def photos_in_json(body: IO[bytes]) -> tuple[list[Upload], bool]:
    """Return the photos, and whether they came as a list. Raises `Problem` for any other JSON.

    A photo with unreadable base64 becomes an `Upload` with its problem.
    """
    with ONE_AT_A_TIME:
        content = _parsed(body.read())
        if "image" in content and "images" in content:
            raise Problem("bad_request", f"The JSON has both image and images. {SHAPE}")
        if "images" in content:
            texts = _texts(content["images"])
            places = [f"images[{index}]" for index in range(len(texts))]
            return [_upload(*one) for one in zip(texts, places, strict=True)], True
        if "image" not in content:
            raise _no_member(content)
        return [_upload(_text(content["image"], "image"), "image")], False


def _parsed(body: bytes) -> dict[str, object]:
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Problem("bad_request", f"The JSON has more than {MOST_VALUES} values. {SHAPE}")
    try:
        # Not strict, because base64 from a shell has line breaks, which JSON wants escaped.
        content = json.loads(body.decode("utf-8-sig"), strict=False)
    except (ValueError, RecursionError) as error:
        where = f": {error}" if isinstance(error, json.JSONDecodeError) else ""
        raise Problem("bad_request", f"The JSON cannot be read{where}. {SHAPE}") from error
    if not isinstance(content, dict):
        raise Problem("bad_request", f"The JSON is {_kind(content)}, not an object. {SHAPE}")
    return content


def _texts(images: object) -> list[str]:
    if not isinstance(images, list):
        raise Problem("bad_request", f"images is {_kind(images)}, not a list. {SHAPE}")
    if not images:
        raise Problem("no_photo", "The list images is empty. Put at least one photo into it.")
    if len(images) > MAX_PHOTOS:
        raise Problem(
            "too_many_photos",
            f"The request has {len(images)} photos. Send at most {MAX_PHOTOS} in one request.",
        )
    return [_text(image, f"images[{index}]") for index, image in enumerate(images)]


def _text(image: object, place: str) -> str:
    if not isinstance(image, str):
        raise Problem("bad_request", f"{place} is {_kind(image)}, not a string. {SHAPE}")
    return image


def _kind(value: object) -> str:
    """Return what JSON calls a value that was parsed."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return KINDS.get(type(value), "a number")


def _no_member(content: dict[str, object]) -> Problem:
    """Return the problem of JSON without `image` and `images`."""
    for name, value in content.items():
        problem = name_instead_of_photo(str(value), _quoted(name), PUT_BASE64)
        if problem:
            return problem
    if not content:
        return Problem("no_photo", f"The JSON is empty. {SHAPE}")
    return Problem(
        "no_photo",
        f"The JSON has the member {_quoted(next(iter(content)))}. Call it image, or images for a "
        "list.",
    )


def _quoted(name: str) -> str:
    return f"'{name[:40]}'"


def _upload(text: str, place: str) -> Upload:
    if problem := name_instead_of_photo(text, place, PUT_BASE64):
        return Upload(problem)
    try:
        return Upload(spooled(io.BytesIO(decoded(text))))
    except ValueError as error:
        return Upload(Problem("not_a_photo", f"{place} is not valid base64: {error}."))


def decoded(text: str) -> bytes:
    """Decode base64 or a data: URL. Raises `ValueError` with the reason.

    Both alphabets and line breaks are accepted, and padding may be missing.
    """
    try:
        data = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise ValueError("it has characters that base64 does not have") from error
    if url := DATA_URL.match(data):
        if not url[1].lower().rstrip().endswith(b";base64"):
            raise ValueError("the data: URL has no ;base64 after its type")
        data = data[url.end() :]
    data = data.translate(URL_SAFE, b" \t\r\n").rstrip(b"=")
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except binascii.Error as error:
        raise ValueError("it is incomplete or has characters that base64 does not have") from error
