"""Text in a photo's place: a file's name, an address or base64, each with its own sentence."""

import re
from pathlib import PurePath

from car_damage.photos import SUFFIXES
from car_damage.service.problems import Problem

LONGEST_NAME = 1000  # characters: longer text is no path
ADDRESS = re.compile(r"(https?|ftp|s3|gs|file)://", re.IGNORECASE)
BASE64 = re.compile(r"(data:[^,]*,)?[\w+/\-\s]{60,}+=*+", re.ASCII)


def text_instead_of_photo(text: str, place: str, file_name_fix: str) -> Problem | None:
    """The problem of an address, a file's name or base64 in a photo's place; None of other text.

    `place` says where the text is, as the beginning of a sentence; `file_name_fix` is the sentence
    that says how to send a file and not its name.
    """
    if BASE64.fullmatch(text.strip()):
        return Problem(
            "no_photo",
            f"{place} is base64 text: send the file itself, or send the text as JSON: "
            '{"image": "<base64>"}.',
        )
    return name_instead_of_photo(text, place, file_name_fix)


def name_instead_of_photo(text: str, place: str, file_name_fix: str) -> Problem | None:
    """The problem of an address or a file's name in a photo's place; None of other text."""
    text = text.strip()
    if ADDRESS.match(text):
        return Problem(
            "no_photo",
            f"{place} is the address of a photo: send the photo itself. The service downloads "
            "nothing.",
        )
    if _is_file_name(text):
        return Problem("no_photo", f"{place} is the name of a file. {file_name_fix}")
    return None


def _is_file_name(text: str) -> bool:
    name = text.removeprefix("@").strip("\"'")
    short = len(name) <= LONGEST_NAME and "\n" not in name
    return short and PurePath(name).suffix.lower() in SUFFIXES
