"""Progress of long jobs: a bar in a terminal, otherwise a line every ten seconds.

Both are without colours, as `NO_COLOR` asks for. With `TERM=dumb`, the terminal cannot draw a bar.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

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


@contextmanager
def meter(what: str, total: int, unit: str) -> Iterator[Callable[[], object]]:
    """Yield a function to call after each of `total` steps; it shows the progress."""
    if can_draw():
        with tqdm(desc=what, total=total, unit=unit, dynamic_ncols=True, disable=not total) as bar:
            yield bar.update
        return
    done, last = 0, monotonic()

    def advance() -> None:
        nonlocal done, last
        done += 1
        if (now := monotonic()) - last >= EVERY:
            last = now
            print(f"{what}: {done:,} of {total:,}")

    yield advance


def duration(seconds: float) -> str:
    """Format a time for people: `40 s`, `12 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
