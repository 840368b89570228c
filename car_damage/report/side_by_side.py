"""Several versions on one page, a column each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from car_damage.errors import UserError
from car_damage.files import write_text
from car_damage.report import analysis, formats, words
from car_damage.report.page import render
from car_damage.report.results import Results, read_results

MOST = 8  # versions: more columns fit no page, and their names no file's name


@dataclass(frozen=True)
class Table:
    """Measured figures, a row each, with a value for each version."""

    caption: str
    rows: dict[str, list[formats.Measured]]  # by title
    scale: formats.Scale


def write_side_by_side(models: Path, versions: Sequence[str]) -> Path:
    """Write `models/report-<versions>.html` in one step and return its path.

    Raises `UserError` when a version is not there or not as it was made, or they are too many.
    """
    if len(versions) > MOST:
        raise UserError(f"{len(versions)} versions do not fit one page: name {MOST} at most")
    results = [read_results(models, version) for version in versions]
    page = render(
        "side_by_side.html",
        results=results,
        facts=_facts(results),
        same_data=len({_data_set(each) for each in results}) == 1,
        tables=[table for table in _tables(results) if table.rows],
        numbers={title for title, is_share, _ in words.MEANINGS.values() if not is_share},
        against_first=[analysis.against(each, results[0]) for each in results[1:]],
    )
    path = models / f"report-{'-'.join(versions)}.html"
    write_text(path, page)
    return path


def _facts(results: Sequence[Results]) -> dict[str, list[Any]]:
    """What the versions are, a row each; rows that none of them fills are left out."""
    manifests = [each.manifest for each in results]
    facts: dict[str, list[Any]] = {
        "Made": [formats.date(each.created) for each in manifests],
        "Backbone": [each.backbone for each in manifests],
        "Weights": [each.weights and each.weights.source for each in manifests],
        "Image": [f"{each.size} pixels a side" for each in manifests],
        "Precision": [each.precision for each in manifests],
        "Data set": [_data_set(each) for each in results],
        "Test photos": [each.metrics.photos and each.metrics.photos.count for each in manifests],
    }
    return {name: row for name, row in facts.items() if any(fact is not None for fact in row)}


def _data_set(results: Results) -> str | None:
    """The beginning of the data set's fingerprint: enough to tell sets apart."""
    dataset = results.manifest.dataset
    return dataset.fingerprint[:12] if dataset else None


def _tables(results: Sequence[Results]) -> Iterable[Table]:
    """All tables, also those without rows."""
    for better, names in (("Higher", words.HIGHER_IS_BETTER), ("Lower", words.LOWER_IS_BETTER)):
        titles = {words.MEANINGS[name][0]: name for name in names}
        yield _table(f"{better} is better", results, titles, _of("photos"))
    names = ("accuracy", "false_negative_rate", "ece")
    titles = {words.MEANINGS[name][0]: name for name in names}
    yield _table("Same size and quality", results, titles, _of("same_size_and_quality"))
    decided = {"Decided without a person": "decided", "Right among these": "accuracy"}
    yield _table("With the review band", results, decided, _of("review", "test"))
    for group, caption in (("slices", "Slices"), ("held_out_sources", "Held-out sources")):
        rows = {row: row for each in results for row in getattr(each.metrics, group) or {}}
        for name, (title, whole) in words.OF_A_SLICE.items():
            heading = f"{caption}: {title.lower()}, share {whole}"
            yield _table(heading, results, rows, _of_slice(group, name))


def _of(*parts: str) -> Callable[[Results, str], formats.Measured]:
    """What looks a metric up by its name in the part that lies at `parts`; None where absent."""

    def look_up(results: Results, name: str) -> formats.Measured:
        value: Any = results.metrics
        for part in (*parts, name):
            value = value and getattr(value, part)
        measured: formats.Measured = value
        return measured

    return look_up


def _of_slice(group: str, metric: str) -> Callable[[Results, str], formats.Measured]:
    """What looks up the `metric` of the slice of a name; None where absent."""

    def look_up(results: Results, name: str) -> formats.Measured:
        found = (getattr(results.metrics, group) or {}).get(name)
        measured: formats.Measured = found and getattr(found, metric)
        return measured

    return look_up


def _table(
    caption: str,
    results: Sequence[Results],
    titles: dict[str, str],
    look_up: Callable[[Results, str], formats.Measured],
) -> Table:
    """A row for each title whose figure any of the versions has."""
    rows = {title: [look_up(each, name) for each in results] for title, name in titles.items()}
    rows = {title: row for title, row in rows.items() if row != [None] * len(row)}
    return Table(caption, rows, formats.scale_for(chain.from_iterable(rows.values())))
