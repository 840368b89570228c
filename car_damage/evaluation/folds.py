"""The folds of cross-source validation: which sources are held out together.

A source is where photos come from. Testing a model on sources it was not trained on shows how good
it is on photos from new sources. This is leave-one-group-out cross-validation. The groups are
several sources, because many sources have photos of one class only.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from car_damage.dataset.arrays import Row
from car_damage.errors import UserError

DEFAULT_FOLDS = 6
FEWEST_FOLDS = 2  # one to test on and one to train on


@dataclass(frozen=True)
class _Unit:
    """Sources that stay together, with the number of photos of each class."""

    sources: tuple[str, ...]
    damaged: int
    undamaged: int

    def __add__(self, other: "_Unit") -> "_Unit":
        return _Unit(
            tuple(sorted(self.sources + other.sources)),
            self.damaged + other.damaged,
            self.undamaged + other.undamaged,
        )

    @property
    def photos(self) -> int:
        return self.damaged + self.undamaged

    @property
    def shows_both(self) -> bool:
        return bool(self.damaged and self.undamaged)


def deal_folds(rows: Sequence[Row], count: int | None) -> list[tuple[str, ...]]:
    """Deal the sources of a data set into folds; each fold gets photos of both classes.

    `rows` are those of all splits; close-ups do not count. Each source is in exactly one fold, and
    the result does not depend on the order of the rows. `count` None means `DEFAULT_FOLDS`, or as
    many as the sources allow if that is fewer.

    Units of sources allow as many folds as there are units with both classes, plus the smaller of
    the numbers of units with only damaged and with only undamaged photos. The rule:

    1. Each source is a unit. Two sources that share near copies become one unit if `count` folds
       are still possible afterwards. The pair with the most shared groups comes first. (Almost all
       real sources are linked by a few near copies, so joining all would leave one unit.
       `leave_out` removes the remaining copies from a fold's training.)
    2. Units with both classes start a fold each, the largest first, up to `count` folds. If there
       are too few, units with only damaged photos start the others, the largest first.
    3. Each remaining unit with both classes goes to the fold with the fewest photos. Then each
       remaining unit with only damaged photos goes to the fold with the fewest damaged photos.
    4. Units with only undamaged photos, the largest first, go to folds without undamaged photos,
       then to the fold with the fewest sources. In a tie, the fold with the largest surplus of
       damaged over undamaged photos gets the unit.

    Raises `UserError` if the sources do not allow `count` folds, or not even two.
    """
    photos = [row for row in rows if row.kind == "photo"]
    units = _one_per_source(photos)
    count = check_folds(photos, count)
    folds = _dealt(_with_copies_joined(units, photos, count), count)
    return [fold.sources for fold in folds]


def check_folds(photos: Sequence[Row], count: int | None) -> int:
    """The number of folds that `deal_folds` would make; raises the same errors."""
    return _checked(count, _possible_folds(_one_per_source(photos)))


def _one_per_source(photos: Sequence[Row]) -> list[_Unit]:
    counts = Counter((row.source, row.label) for row in photos)
    return [
        _Unit((source,), counts[source, "damaged"], counts[source, "not-damaged"])
        for source in sorted({row.source for row in photos})
    ]


def _possible_folds(units: Sequence[_Unit]) -> int:
    both = sum(unit.shows_both for unit in units)
    damaged_only = sum(not unit.undamaged for unit in units)
    return both + min(damaged_only, len(units) - both - damaged_only)


def _checked(count: int | None, possible: int) -> int:
    if possible < FEWEST_FOLDS:
        raise UserError(
            "Cross-source validation needs at least two sources with photos of both classes (or "
            "pairs of sources that have both together), but the sources of this data set allow "
            f"{possible} {'fold' if possible == 1 else 'folds'}. Add photos from more sources."
        )
    if count is None:
        return min(DEFAULT_FOLDS, possible)
    if not FEWEST_FOLDS <= count <= possible:
        raise UserError(
            f"{count} {'fold is' if count == 1 else 'folds are'} not possible. The sources of this "
            f"data set allow {FEWEST_FOLDS} to {possible} folds."
        )
    return count


def _with_copies_joined(units: Sequence[_Unit], photos: Sequence[Row], count: int) -> list[_Unit]:
    unit_of = {source: unit for unit in units for source in unit.sources}
    for first, second in _sources_that_share_copies(photos):
        one, other = unit_of[first], unit_of[second]
        apart = set(unit_of.values()) - {one, other}
        if one != other and _possible_folds([*apart, one + other]) >= count:
            unit_of |= dict.fromkeys((one + other).sources, one + other)
    return list(set(unit_of.values()))


def _sources_that_share_copies(photos: Sequence[Row]) -> list[tuple[str, str]]:
    """Pairs of sources that share groups of copies; the pair with the most shared groups first."""
    sources: dict[str, set[str]] = {}
    for row in photos:
        sources.setdefault(row.group, set()).add(row.source)
    shared = Counter(pair for names in sources.values() for pair in combinations(sorted(names), 2))
    return sorted(shared, key=lambda pair: (-shared[pair], pair))


def _dealt(units: Sequence[_Unit], count: int) -> list[_Unit]:
    """The folds, each as one unit."""
    ordered = sorted(units, key=lambda unit: (-unit.photos, unit.sources))
    both = [unit for unit in ordered if unit.shows_both]
    damaged_only = [unit for unit in ordered if not unit.undamaged]
    undamaged_only = [unit for unit in ordered if not unit.damaged]
    folds = (both + damaged_only)[:count]
    for unit in both[count:]:
        _add_to_lowest(folds, unit, lambda fold: fold.photos)
    for unit in damaged_only[max(count - len(both), 0) :]:
        _add_to_lowest(folds, unit, lambda fold: fold.damaged)
    for unit in undamaged_only:
        _add_to_lowest(folds, unit, _need_of_undamaged)
    return folds


def _need_of_undamaged(fold: _Unit) -> tuple[bool, int, int]:
    return fold.undamaged > 0, len(fold.sources), fold.undamaged - fold.damaged


def _add_to_lowest(folds: list[_Unit], unit: _Unit, rank: Callable[[_Unit], Any]) -> None:
    lowest = min(range(len(folds)), key=lambda at: rank(folds[at]))
    folds[lowest] += unit
