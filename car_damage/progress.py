"""Progress of long jobs: a bar in a terminal, otherwise a line every ten seconds.

Both are without colours, as `NO_COLOR` asks for. With `TERM=dumb`, the terminal cannot draw a bar.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from tqdm import tqdm

from car_damage.parallel import Item

EVERY = 10.0  # seconds between two lines


def can_draw() -> bool:
    """Whether stderr is a terminal that can draw a progress bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def progress(items: Iterable[Item], what: str, total: int, unit: str = "photo") -> Iterator[Item]:
    """Yield the items and show how many of `total` are done."""
    with meter(what, total, unit) as advance:
        for item in items:
            yield item
            advance()


class Advance(Protocol):
    """A function that says how many more steps are done."""

    def __call__(self, steps: int = 1, /) -> object: ...


@contextmanager
def meter(what: str, total: int, unit: str) -> Iterator[Advance]:
    """Yield a function to call after some of `total` steps; it shows progress and time left."""
    if can_draw():
        with tqdm(desc=what, total=total, unit=unit, dynamic_ncols=True, disable=not total) as bar:
            yield bar.update
        return
    done = 0
    begun = last = monotonic()

    def advance(steps: int = 1) -> None:
        nonlocal done, last
        done += steps
        if (now := monotonic()) - last >= EVERY:
            last = now
            left = duration((now - begun) * (total - done) / done)
            print(f"{what}: {done:,} of {total:,}, about {left} left")

    yield advance


def duration(seconds: float) -> str:
    """Format a time for people: `40 s`, `12 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
