"""The ratios that a benchmark prints last, which `python -m benchmarks` collects into one table."""

from collections.abc import Iterable
from typing import NamedTuple

HEADING = "| question | this project | the other | ratio | goal |"
LINE = "|---|---|---|---|---|"


class Headline(NamedTuple):
    """The answer to a question, in words and numbers for people."""

    question: str
    ours: str
    other: str
    ratio: float
    goal: str = ""


def print_headlines(headlines: Iterable[Headline]) -> None:
    """Print the ratios as a Markdown table."""
    print(f"\n{HEADING}\n{LINE}")
    for question, ours, other, ratio, goal in headlines:
        print(f"| {question} | {ours} | {other} | {ratio:.2f} | {goal} |", flush=True)


def headlines_of(output: str) -> list[str]:
    """Return the rows of the ratios that a benchmark printed last."""
    _, _, rows = output.rpartition(f"{HEADING}\n{LINE}\n")
    return rows.splitlines() if HEADING in output else []
