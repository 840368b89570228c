"""Recognise keys that are easy to guess. A random key always passes."""

import itertools

MIN_LENGTH = 8
GOOD_LENGTH = 16
FEWEST_CHARACTERS = 5  # different ones
# The first guesses of an attacker, and the keys in examples.
# fmt: off
COMMON = frozenset({
    "password", "password1", "passwort", "passw0rd", "changeme", "changeit", "letmein1",
    "iloveyou", "sunshine", "princess", "qwertyui", "qwerty123", "qwertyuiop", "asdfghjk",
    "1q2w3e4r", "1qaz2wsx", "trustno1", "welcome1", "football", "baseball", "superman",
    "starwars", "whatever", "computer", "admin123", "adminadmin", "administrator",
    "secretkey", "your-key", "yourkey", "my-secret", "mysecret", "api-key-1", "test1234",
    "testtest", "example-key",
})
# fmt: on


def is_guessable(key: str) -> bool:
    """Whether a key is short, common, or has few different characters or a sequence like 1234."""
    return (
        len(key) < MIN_LENGTH
        or len(set(key)) < FEWEST_CHARACTERS
        or key.lower() in COMMON
        or _sequences(key) > len(key) / 2
    )


def _sequences(key: str) -> int:
    """Count the characters that continue a sequence such as 123 or cba."""
    steps = [ord(second) - ord(first) for first, second in itertools.pairwise(key)]
    return sum(now == before and abs(now) == 1 for before, now in itertools.pairwise(steps))
