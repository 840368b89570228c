"""How numbers look in a report, and where they lie on a bar."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from car_damage.manifest import Estimate

DASH = "\N{EN DASH}"  # also in place of a figure that the photos do not define
SPACE = "\N{NO-BREAK SPACE}"

Measured = Estimate | float | None  # a value alone; None where it is undefined


@dataclass(frozen=True)
class Scale:
    """What a bar's left and right end stand for."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where on the bar the value lies, in percent of its length; beyond the end, at it."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0), 1), 2)


def value_of(measured: Measured) -> float | None:
    """The figure without its interval."""
    return measured.value if isinstance(measured, Estimate) else measured


def interval_of(measured: Measured) -> tuple[float, float] | None:
    """The ends of the figure's interval, or None where it has none."""
    if not isinstance(measured, Estimate) or measured.low is None or measured.high is None:
        return None
    return measured.low, measured.high


def scale_for(measured: Iterable[Measured]) -> Scale:
    """The narrowest scale in steps of 10 % that shows all figures with their intervals."""
    ends: list[float] = []
    for each in measured:
        value = value_of(each)
        if value is not None:
            ends += [value, *(interval_of(each) or ())]
    if not ends:
        return Scale(0, 1)
    low = math.floor(round(10 * min(ends), 6)) / 10
    high = math.ceil(round(10 * max(ends), 6)) / 10
    return Scale(low, high) if low < high else Scale(max(low - 0.1, 0), max(high, 0.1))


def percent(measured: Measured, digits: int = 1) -> str:
    """A share as `97.8 %`."""
    value = value_of(measured)
    return DASH if value is None else f"{100 * value:.{digits}f}{SPACE}%"


def decimal(measured: Measured) -> str:
    """A number as `0.978`."""
    value = value_of(measured)
    return DASH if value is None else f"{value:.3f}"


def percent_range(measured: Measured) -> str:
    """A share's interval as `97.0-98.5 %`; empty where it has none."""
    interval = interval_of(measured)
    if interval is None:
        return ""
    return f"{100 * interval[0]:.1f}{DASH}{100 * interval[1]:.1f}{SPACE}%"


def decimal_range(measured: Measured) -> str:
    """A number's interval as `0.970-0.985`; empty where it has none."""
    interval = interval_of(measured)
    return "" if interval is None else f"{interval[0]:.3f}{DASH}{interval[1]:.3f}"


def signed_points(share: float) -> str:
    """A difference between shares, in percentage points, as `+0.4`."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def points(new: Measured, old: Measured) -> str:
    """How far a share has moved, in percentage points, as `+0.4`."""
    after, before = value_of(new), value_of(old)
    if after is None or before is None:
        return DASH
    return signed_points(after - before)


def count(number: float) -> str:
    """A number of things as `1,204`."""
    return f"{number:,.0f}" if number == round(number) or number >= 100 else f"{number:.1f}"


def plain(value: Any) -> str:
    """A setting of any kind as text: lists without brackets, switches as words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def date(iso: str | None) -> str | None:
    """A moment such as `2026-11-22T16:30:00+00:00` as `22 November 2026, 16:30 UTC`, if known."""
    if iso is None:
        return None
    moment = datetime.fromisoformat(iso)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


FILTERS = {
    each.__name__: each
    for each in (percent, signed_points, decimal, percent_range, decimal_range, count, plain, date)
}
