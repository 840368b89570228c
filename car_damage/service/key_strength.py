"""Keys that can be guessed are refused at start; the rules err on the side of good keys."""

import math
import re

MIN_LENGTH = 16
# By the estimate below, in which 16 random hexadecimal digits have about 50.
MIN_BITS = 40
# What people put into keys that they make up: it adds nothing that cannot be guessed.
WORDS = re.compile(
    "password|passwort|secret|token|admin|default|change|please|example|sample|access|letmein"
    "|welcome|service|claims|damage|first|second|other|wrong|right|qwertyuiop|qwertz|qwerty"
    "|asdfghjkl|asdf|zxcvbnm|bearer|demo|test|user|root|good|pass|word|your|here|this|key|api|car",
    re.IGNORECASE,
)


def is_weak(key: str) -> bool:
    """Whether a key is short, or made of words, sequences or repetitions."""
    return len(key) < MIN_LENGTH or _bits(_surprises(WORDS.sub("", key))) < MIN_BITS


def _surprises(text: str) -> str:
    """The characters that neither go on with a sequence (aaa, 123, cba) nor repeat earlier ones."""
    found = text[:2]
    for at in range(2, len(text)):
        three = text[at - 2 : at + 1]
        if not _is_sequence(three) and three not in text[:at]:
            found += text[at]
    return found


def _is_sequence(three: str) -> bool:
    first, second, third = map(ord, three)
    return third - second == second - first and abs(third - second) <= 1


def _bits(text: str) -> float:
    """The entropy of a text of this length over the characters that are in it."""
    return len(text) * math.log2(len(set(text)) or 1)
