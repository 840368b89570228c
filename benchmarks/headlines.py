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


def tables(output: str) -> list[list[str]]:
    """Return the Markdown tables in a text as lines; each begins with its heading."""
    found: list[list[str]] = [[]]
    for line in output.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def headlines_of(output: str) -> list[str]:
    """Return the rows of the ratios that a benchmark printed."""
    return [row for table in tables(output) if table[0] == HEADING for row in table[2:]]
