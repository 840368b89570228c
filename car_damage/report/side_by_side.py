"""Several versions on one page, with a column for each."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from car_damage.errors import UserError
from car_damage.evaluation.slices import FEWEST_SHOWN
from car_damage.files import write_text
from car_damage.manifest import CrossSourceMetrics, DecidedEstimate, Estimate, Metrics, MetricSet
from car_damage.report import analysis, formats, words
from car_damage.report.page import render
from car_damage.report.results import Results, read_results

MOST = 8  # versions; more columns would not fit on a page, and more names not in a file name

Row = list[Estimate | None]  # one metric, for each version
Rows = dict[str, Row]  # by title


def write_side_by_side(models: Path, versions: Sequence[str]) -> Path:
    """Write `models/report-<versions>.html` in one step and return its path.

    Raises `UserError` if a version is missing or damaged, or if there are more than `MOST`.
    """
    if len(versions) > MOST:
        raise UserError(f"{len(versions)} versions do not fit on a page. Name {MOST} or fewer.")
    results = [read_results(models, version) for version in versions]
    page = render(
        "side_by_side.html",
        results=results,
        facts=_facts(results),
        same_data=len({_data_set(each) for each in results}) == 1,
        tables=list(_tables(results)),
        numbers={title for title, is_share, _ in words.MEANINGS.values() if not is_share},
        against_first=[analysis.against(each, results[0]) for each in results[1:]],
    )
    path = models / f"report-{'-'.join(versions)}.html"
    write_text(path, page)
    return path


def _facts(results: Sequence[Results]) -> dict[str, list[str | int | None]]:
    """Facts about the versions, one row each; rows without any entry are left out."""
    manifests = [each.manifest for each in results]
    photos = [each.metrics.photos for each in manifests]
    facts: dict[str, list[str | int | None]] = {
        "Made": [formats.date(each.created) for each in manifests],
        "Backbone": [each.backbone for each in manifests],
        "Weights": [each.weights.source if each.weights else None for each in manifests],
        "Image": [f"{each.size} pixels a side" for each in manifests],
        "Precision": [each.precision for each in manifests],
        "Data set": [_data_set(each) for each in results],
        "Test photos": [each.count if each else None for each in photos],
    }
    return {name: row for name, row in facts.items() if any(fact is not None for fact in row)}


def _data_set(results: Results) -> str | None:
    """The first 12 digits of the data set's fingerprint, which are enough to compare data sets."""
    dataset = results.manifest.dataset
    return dataset.fingerprint[:12] if dataset else None


def _tables(results: Sequence[Results]) -> Iterator[tuple[str, Rows, formats.Scale]]:
    """The caption, rows and scale of each table with a figure for at least one version."""
    for caption, rows in _figures([each.metrics for each in results]):
        there = {title: row for title, row in rows.items() if any(row)}
        if there:
            yield caption, there, formats.scale_for(chain(*there.values()))


def _figures(metrics: Sequence[Metrics]) -> Iterator[tuple[str, Rows]]:
    """The caption and rows of each table, including those without figures."""
    photos = [each.photos for each in metrics]
    yield "Higher is better", _rows(photos, words.HIGHER_IS_BETTER)
    yield "Lower is better", _rows(photos, words.LOWER_IS_BETTER)
    same = [each.same_size_and_quality for each in metrics]
    yield "Same size and quality", _rows(same, ("accuracy", "false_negative_rate", "ece"))
    band = [each.review.test if each.review else None for each in metrics]
    decided = {"Decided without a person": "decided", "Correct among these": "accuracy"}
    yield "With the review band", {title: _row(band, name) for title, name in decided.items()}
    abroad = {
        "Damaged cars recognised": "recall",
        "Undamaged cars recognised": "specificity",
        "Mean of both": "balanced_accuracy",
    }
    measured = [each.abroad for each in metrics]
    yield (
        "Cross-source validation",
        {title: _row(measured, name) for title, name in abroad.items()},
    )
    slices = [each.slices or {} for each in metrics]
    titles = dict.fromkeys(chain(*slices))
    for name, (title, whole) in words.OF_A_SLICE.items():
        rows = {row: [_of_slice(each.get(row), name) for each in slices] for row in titles}
        of_which = f"share {whole} ({FEWEST_SHOWN} photos or more)"
        yield f"Slices: {title.lower()}, {of_which}", rows


def _rows(measured: Sequence[MetricSet | None], names: Sequence[str]) -> Rows:
    return {words.MEANINGS[name][0]: _row(measured, name) for name in names}


def _of_slice(row: MetricSet | None, name: str) -> Estimate | None:
    return formats.shown_in_slice(row, name) if row else None


def _row(
    measured: Sequence[MetricSet | DecidedEstimate | CrossSourceMetrics | None], name: str
) -> Row:
    return [getattr(each, name, None) for each in measured]
