"""Small pieces of sentences that several commands print."""

from collections.abc import Mapping


def counted(number: int, noun: str) -> str:
    """A number of things: `1 photo`, `2 photos`, `1,204 photos`.

    A phrase gets its plural at the end of its first word: `2 photos outside damaged/`.
    """
    first, space, rest = noun.partition(" ")
    return f"{number:,} {first if number == 1 else first + 's'}{space}{rest}"


def not_looked_at(skipped: Mapping[str, int]) -> str | None:
    """A line that counts files by why nobody looked at them; None if there are none.

    A key is the ending of a file's name, such as `.mov`, or a phrase for `counted`.
    """
    if not skipped:
        return None
    by_count = sorted(skipped.items(), key=lambda each: (not each[0].startswith("."), -each[1]))
    return "not looked at: " + ", ".join(
        f"{number:,} {what}" if what.startswith(".") else counted(number, what)
        for what, number in by_count
    )
