"""The format of numbers in a report, and their position on a bar."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from car_damage.evaluation.slices import is_too_small
from car_damage.manifest import Estimate, MetricSet
from car_damage.report.words import OF_A_SLICE
from car_damage.wording import counted

DASH = "\N{EN DASH}"  # in a range, or instead of an undefined figure
SPACE = "\N{NO-BREAK SPACE}"

Measured = Estimate | float | None  # a value alone; None where it is undefined


@dataclass(frozen=True)
class Scale:
    """The values at a bar's left and right end."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """The value's position on the bar, 0 to 100 % of its length; values outside are clipped."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0), 1), 2)


def scale_for(measured: Iterable[Measured]) -> Scale:
    """The narrowest scale in steps of 10 % that shows all figures with their intervals."""
    ends = [number for each in measured for number in _numbers(each) if number is not None]
    if not ends:
        return Scale(0, 1)
    low = math.floor(round(10 * min(ends), 6)) / 10
    high = math.ceil(round(10 * max(ends), 6)) / 10
    return Scale(low, high) if low < high else Scale(max(low - 0.1, 0), max(high, 0.1))


def columns(rows: Mapping[str, MetricSet]) -> list[tuple[str, str, str, Scale]]:
    """The metrics that at least one slice has: name, title, what it is a share of, and scale."""
    return [
        (name, *OF_A_SLICE[name], scale_for(shown_in_slice(row, name) for row in rows.values()))
        for name in OF_A_SLICE
        if any(getattr(row, name) for row in rows.values())
    ]


def shown_in_slice(row: MetricSet, name: str) -> Estimate | None:
    """A slice's figure; None if it has too few photos."""
    figure: Estimate | None = getattr(row, name)
    return None if is_too_small(row, name) else figure


def percent(measured: Measured, digits: int = 1) -> str:
    """A share as `97.8 %`."""
    value, _, _ = _numbers(measured)
    return DASH if value is None else f"{100 * value:.{digits}f}{SPACE}%"


def decimal(measured: Measured) -> str:
    """A number as `0.978`."""
    value, _, _ = _numbers(measured)
    return DASH if value is None else f"{value:.3f}"


def percent_range(measured: Measured) -> str:
    """A share's interval as `97.0-98.5 %`; empty if it has none."""
    _, low, high = _numbers(measured)
    return "" if low is None or high is None else f"{100 * low:.1f}{DASH}{percent(high)}"


def decimal_range(measured: Measured) -> str:
    """A number's interval as `0.970-0.985`; empty if it has none."""
    _, low, high = _numbers(measured)
    return "" if low is None or high is None else f"{low:.3f}{DASH}{high:.3f}"


def lacks_interval(figures: Mapping[str, Estimate]) -> bool:
    """Whether any of the figures has a value but no interval."""
    numbers = [_numbers(figure) for figure in figures.values()]
    return any(value is not None and low is None for value, low, _ in numbers)


def signed_points(share: float) -> str:
    """A difference between shares, in percentage points, as `+0.4`."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def points(new: Measured, old: Measured) -> str:
    """The change of a share in percentage points, as `+0.4`."""
    after, before = _numbers(new)[0], _numbers(old)[0]
    return DASH if after is None or before is None else signed_points(after - before)


def count(number: int) -> str:
    """A count as `1,204`."""
    return f"{number:,}"


def amount(money: float | None) -> str:
    """An amount of money as `1,204`; a small one with two decimals, as `0.25`."""
    if money is None:
        return DASH
    return f"{money:,.0f}" if money >= 10 or money == int(money) else f"{money:.2f}"


def plain(value: Any) -> str:
    """A setting as text; a list without brackets."""
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def date(iso: str | None) -> str | None:
    """A time such as `2026-11-22T16:30:00+00:00` as `22 November 2026, 16:30 UTC`."""
    if iso is None:
        return None
    moment = datetime.fromisoformat(iso)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _numbers(measured: Measured) -> tuple[float | None, float | None, float | None]:
    """The value and the ends of its interval.

    Earlier versions gave a share of 0 or 1 an interval without width. It is treated as missing.
    """
    if isinstance(measured, Estimate) and measured.low != measured.high:
        return measured.value, measured.low, measured.high
    if isinstance(measured, Estimate):
        return measured.value, None, None
    return measured, None, None


FILTERS = {
    each.__name__: each
    for each in (
        *(
            amount,
            columns,
            count,
            counted,
            date,
            decimal,
            decimal_range,
            is_too_small,
            lacks_interval,
            percent,
        ),
        *(percent_range, plain, points, signed_points),
    )
}
