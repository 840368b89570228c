"""Phrases that several commands print."""

from collections.abc import Mapping


def counted(number: int, noun: str) -> str:
    """Format a number of things: `1 photo`, `2 photos`, `1,204 test photos`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Escape control characters, such as \\x1b, except line breaks.

    Names of files and folders may contain any characters, including ones that control a terminal.
    """
    return "".join(
        letter
        if letter.isprintable() or letter == "\n"
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def not_looked_at(skipped: Mapping[str, int]) -> str | None:
    """Format a line with the number of skipped files by reason; None if there are none.

    A key is the ending of a file's name, such as `.mov`, or a phrase, such as `photo outside a/`.
    """
    if not skipped:
        return None
    by_count = sorted(skipped.items(), key=lambda each: (not each[0].startswith("."), -each[1]))
    return printable("skipped: " + ", ".join(_skipped(*each) for each in by_count))


def _skipped(what: str, number: int) -> str:
    if what.startswith("."):
        return f"{number:,} {what}"
    noun, space, rest = what.partition(" ")
    return counted(number, noun) + space + rest
