"""Recognise text that was sent instead of a photo: a file name, an address or base64."""

import re
from pathlib import PurePath

from car_damage.options import quoted
from car_damage.photos import SUFFIXES
from car_damage.service.problems import Problem

LONGEST_NAME = 1000  # characters; longer text is not a path
ADDRESS = re.compile(r"(https?|ftp|s3|gs|file)://", re.IGNORECASE)
BASE64 = re.compile(r"(data:[^,]*,)?[\w+/\-\s]{60,}+=*+", re.ASCII)


def text_instead_of_photo(text: str, place: str, file_name_fix: str) -> Problem | None:
    """Return the problem of an address, file name or base64 instead of a photo, or None.

    `place` starts the sentence and says where the text is. `file_name_fix` is the sentence that
    says how to send a file instead of its name.
    """
    if BASE64.fullmatch(text.strip()):
        return Problem(
            "no_photo",
            f"{place} is base64 text. Send the file itself, or send the text as JSON: "
            '{"image": "<base64>"}.',
        )
    return name_instead_of_photo(text, place, file_name_fix)


def name_instead_of_photo(text: str, place: str, file_name_fix: str) -> Problem | None:
    """Return the problem of an address or a file name instead of a photo, or None."""
    text = text.strip()
    if ADDRESS.match(text):
        return Problem(
            "no_photo",
            f"{place} is an address ({quoted(text)}). Send the photo itself, because the service "
            "does not download photos.",
        )
    if _is_file_name(text):
        return Problem(
            "no_photo", f"{place} is a file name ({quoted(text)}), not a photo. {file_name_fix}"
        )
    return None


def _is_file_name(text: str) -> bool:
    name = text.removeprefix("@").strip("\"'")
    short = len(name) <= LONGEST_NAME and "\n" not in name
    return short and PurePath(name).suffix.lower() in SUFFIXES
