"""The sections of a version's report: which there are, and what each one shows.

A section is a title and the data that `templates/sections/<name>.html` lays out. One whose part was
not measured is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from car_damage import model_store
from car_damage.evaluation.predictions import PredictionRow
from car_damage.manifest import DecidedEstimate, MetricSet
from car_damage.predictor import Predictor
from car_damage.report import analysis, formats, pictures, plots, words
from car_damage.report.results import Results, labels_and_probabilities

SHOWN = 8  # photos, of the most wrong and of the least sure
ISSUES_SHOWN = 20


@dataclass(frozen=True)
class Section:
    """A part of the page; `name` is its template and its anchor."""

    name: str
    title: str  # a question, for everyone
    term: str  # what the field calls it
    data: dict[str, Any]


@dataclass(frozen=True)
class Cells:
    """A table of metrics: titles of its columns, their scales, and its rows."""

    columns: dict[str, tuple[str, str]]  # a metric's name to its title and what it is the share of
    scales: dict[str, formats.Scale]
    rows: Mapping[str, MetricSet]  # by title


def sections(results: Results, rival: Results | None, predictor: Predictor | None) -> list[Section]:
    """All sections that can be filled, in order.

    `rival` is the version to compare with; without a `predictor` nothing of the photos is shown.
    """
    made = (
        metrics(results),
        confusion(results),
        curves(results),
        learning(results),
        slices(results),
        same_size_and_quality(results),
        review(results),
        mistakes(results, predictor),
        attention(results),
        warnings(results),
        label_issues(results, with_photos=predictor is not None),
        data(results),
        comparison(results, rival),
        making(results),
    )
    return [section for section in made if section is not None]


def metrics(results: Results) -> Section | None:
    """Every metric of the test photos with its interval."""
    photos = results.metrics.photos
    if photos is None:
        return None
    groups = []
    for better, names in (("higher", words.HIGHER_IS_BETTER), ("lower", words.LOWER_IS_BETTER)):
        there = {name: getattr(photos, name) for name in names if getattr(photos, name)}
        scale = formats.scale_for(there.values())
        groups.append({"better": better, "scale": scale, "metrics": there})
    return Section(
        "metrics",
        "How good are the answers?",
        "Metrics with 95 % intervals",
        {
            "groups": [group for group in groups if group["metrics"]],
            "meanings": words.MEANINGS,
            "photos": photos,
            "close_ups": results.metrics.close_ups,
        },
    )


def confusion(results: Results) -> Section | None:
    """The confusion matrix of the test photos."""
    test = results.photos("test")
    if not test:
        return None
    return Section(
        "confusion",
        "Which mistakes does it make?",
        "Confusion matrix",
        {"matrix": analysis.confusion_matrix(test, results.manifest.decision)},
    )


def curves(results: Results) -> Section | None:
    """ROC, precision and recall, calibration."""
    test = results.photos("test")
    if not test:
        return None
    of_test = (*labels_and_probabilities(test), results.manifest.decision)
    both_classes = len(np.unique(of_test[0])) == 2
    return Section(
        "curves",
        "Is the threshold well placed, and the probability true?",
        "ROC, precision and recall, calibration",
        {
            "roc": plots.roc(*of_test) if both_classes else None,
            "precision_recall": plots.precision_recall(*of_test) if both_classes else None,
            "calibration": plots.calibration(*of_test),
        },
    )


def learning(results: Results) -> Section | None:
    """The learning curves."""
    if not results.history:
        return None
    curve = plots.learning_curves(results.history)
    return Section(
        "learning",
        "How did the training go?",
        "Learning curves",
        {"curve": curve, "epochs": len(results.history)},
    )


def slices(results: Results) -> Section | None:
    """Slices, data folders and held-out sources."""
    names = ("slices", "data_folders", "held_out_sources")
    there = {name: getattr(results.metrics, name) for name in names}
    tables = {name: cells(rows) for name, rows in there.items() if rows}
    if not tables:
        return None
    return Section(
        "slices",
        "On which photos is it better, on which worse?",
        "Slices, data folders, held-out sources",
        {"tables": tables},
    )


def same_size_and_quality(results: Results) -> Section | None:
    """The test photos as they are, and with both classes brought to one size and quality."""
    before, after = results.metrics.photos, results.metrics.same_size_and_quality
    if before is None or after is None:
        return None
    names = ("accuracy", "false_negative_rate", "roc_auc", "ece")
    return Section(
        "same_size_and_quality",
        "Does it judge the car, or the size and quality of the photo?",
        "Same size and quality",
        {
            "rows": {
                name: (getattr(before, name), getattr(after, name))
                for name in names
                if getattr(after, name)
            },
            "meanings": words.MEANINGS,
            "slices": cells(after.slices) if after.slices else None,
            "points": formats.points,
        },
    )


def review(results: Results) -> Section | None:
    """The coverage curve, and what the review band leaves to a person."""
    decision, measured = results.manifest.decision, results.metrics.review
    splits = {"test photos": results.photos("test"), "validation photos": results.photos("val")}
    there = {name: analysis.coverage_curve(rows, decision) for name, rows in splits.items() if rows}
    if not (there or measured):
        return None
    chosen = _point(measured.test) if measured else None
    return Section(
        "review",
        "What can be decided without a person?",
        "Risk, coverage and review band",
        {
            "curve": plots.coverage(there, chosen) if there else None,
            "band": decision.review_band,
            "measured": measured,
        },
    )


def mistakes(results: Results, predictor: Predictor | None) -> Section | None:
    """The most wrong and the least sure test photos, with their heatmaps."""
    test = results.photos("test")
    if predictor is None or not test:
        return None
    decision = results.manifest.decision
    chosen = {
        "most_wrong": analysis.most_wrong(test, decision, SHOWN),
        "least_sure": analysis.least_sure(test, decision, SHOWN),
    }
    shown = {name: _with_heatmaps(rows, predictor) for name, rows in chosen.items()}
    return Section(
        "mistakes",
        "Where is it most wrong, and least sure?",
        "Errors and heatmaps",
        {**shown, "threshold": decision.threshold},
    )


def attention(results: Results) -> Section | None:
    """Whether the model looks at the car."""
    measured = results.metrics.attention
    if measured is None:
        return None
    return Section("attention", "Does it look at the car?", "Attention", {"measured": measured})


def warnings(results: Results) -> Section | None:
    """How often each warning comes, on cars and on what is none."""
    measured = results.metrics.warnings
    if not measured:
        return None
    names = sorted({word for shares in measured.values() for word in shares})
    return Section(
        "warnings",
        "Does it notice what it does not know?",
        "Warnings",
        {"shares": measured, "words": names},
    )


def label_issues(results: Results, with_photos: bool) -> Section | None:
    """The photos whose label looks wrong, the worst first."""
    if results.label_issues is None:
        return None
    issues = results.label_issues[:ISSUES_SHOWN] if with_photos else []
    return Section(
        "label_issues",
        "Which labels look wrong?",
        "Label issues",
        {
            "count": len(results.label_issues),
            "shown": [(issue, pictures.picture(issue.path)) for issue in issues],
        },
    )


def data(results: Results) -> Section | None:
    """What the splits hold, what was left out and why, and the copies that were kept together."""
    config = results.manifest.dataset
    if config is None:
        return None
    return Section(
        "data",
        "What was it taught and tested with?",
        "Data and copies",
        {
            "config": config,
            "rejected": {
                words.REASONS.get(word, word): number for word, number in config.rejected.items()
            },
            "moved": results.manifest.moved_to_training,
        },
    )


def comparison(results: Results, rival: Results | None) -> Section | None:
    """The version against the one in use, or the one before it."""
    if rival is None:
        return None
    of_rival, of_this = rival.metrics.photos, results.metrics.photos
    names = ("accuracy", "false_negative_rate", "ece")
    return Section(
        "comparison",
        "Is it as good as another version?",
        "Non-inferiority",
        {
            "rival": rival.version,
            "test": analysis.against(results, rival),
            "rows": {name: (getattr(of_rival, name), getattr(of_this, name)) for name in names}
            if of_rival and of_this
            else {},
            "meanings": words.MEANINGS,
        },
    )


def making(results: Results) -> Section:
    """Settings, fingerprints and versions: what is needed to make it again."""
    manifest = results.manifest
    facts = {
        "Version": results.version,
        "Made": formats.date(manifest.created),
        "Backbone": manifest.backbone,
        "Initial weights": manifest.weights and manifest.weights.source,
        "Layers from random values": manifest.weights and list(manifest.weights.missing_layers),
        "Image": f"{manifest.size} pixels a side",
        "Temperature": manifest.decision.temperature,
        "Threshold": manifest.decision.threshold,
        "Precision of the exported graph": manifest.precision,
        "Fingerprint of the data set": manifest.dataset and manifest.dataset.fingerprint,
        "SHA-256 of the exported graph": manifest.files.get(model_store.GRAPH),
    }
    return Section(
        "making",
        "How was it made?",
        "Settings and fingerprints",
        {
            "facts": {name: fact for name, fact in facts.items() if fact not in (None, [])},
            "settings": manifest.settings and manifest.settings.model_dump(),
            "libraries": manifest.libraries,
            "export": results.metrics.export,
        },
    )


def cells(rows: Mapping[str, MetricSet]) -> Cells:
    """A table of slices: a column for each metric that any of them has."""
    columns = {
        name: title
        for name, title in words.OF_A_SLICE.items()
        if any(getattr(row, name) for row in rows.values())
    }
    scales = {
        name: formats.scale_for(getattr(row, name) for row in rows.values()) for name in columns
    }
    return Cells(columns, scales, rows)


def _point(measured: DecidedEstimate) -> tuple[float, float] | None:
    decided, accuracy = measured.decided.value, measured.accuracy.value
    return None if decided is None or accuracy is None else (decided, accuracy)


def _with_heatmaps(
    rows: list[PredictionRow], predictor: Predictor
) -> list[tuple[PredictionRow, pictures.Pair | None]]:
    return [(row, pictures.with_heatmap(row.path, predictor)) for row in rows]
