"""The sections of a version's report: which there are, and what each one shows.

A section is a title and the data that `templates/sections/<name>.html` lays out. One whose part was
not measured is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from car_damage.predictor import Predictor
from car_damage.report import analysis, formats, pictures, plots, words
from car_damage.report.results import Answer, Results, labels_and_probabilities

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
    """A table of measured figures: titles of its columns, their scales, and its rows."""

    columns: dict[str, tuple[str, str]]  # a figure's name to its title and what it is the share of
    scales: dict[str, formats.Scale]
    rows: dict[str, Mapping[str, Any]]  # a row's title to its count and figures


def sections(results: Results, rival: Results | None, predictor: Predictor | None) -> list[Section]:
    """All sections that can be filled, in order.

    `rival` is the version to compare with; without a `predictor` nothing of the photos is shown.
    """
    made = (
        figures(results),
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


def figures(results: Results) -> Section | None:
    """Every figure of the test photos with its interval."""
    of_photos = results.figures.get("photos")
    if not of_photos:
        return None
    groups = []
    for better, names in (("higher", words.HIGHER_IS_BETTER), ("lower", words.LOWER_IS_BETTER)):
        there = {name: of_photos[name] for name in names if name in of_photos}
        scale = formats.scale_for(there.values())
        groups.append({"better": better, "scale": scale, "figures": there})
    return Section(
        "figures",
        "How good are the answers?",
        "Figures with 95 % intervals",
        {
            "groups": [group for group in groups if group["figures"]],
            "meanings": words.MEANINGS,
            "count": of_photos.get("count"),
            "close_ups": results.figures.get("close_ups"),
        },
    )


def confusion(results: Results) -> Section | None:
    """The confusion matrix of the test photos."""
    test = results.photos("test")
    if not test:
        return None
    matrix = analysis.confusion_matrix(test, results.about["threshold"])
    return Section(
        "confusion",
        "Which mistakes does it make?",
        "Confusion matrix",
        {"matrix": matrix, "test": len(test)},
    )


def curves(results: Results) -> Section | None:
    """ROC, precision and recall, calibration."""
    test = results.photos("test")
    if not test:
        return None
    of_test = (*labels_and_probabilities(test), results.about["threshold"])
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
    """Slices, data folders and left-out data folders."""
    tables = {
        name: cells(results.figures[name])
        for name in ("slices", "data_folders", "left_out")
        if results.figures.get(name)
    }
    if not tables:
        return None
    return Section(
        "slices",
        "On which photos is it better, on which worse?",
        "Slices, data folders, folders left out",
        {"tables": tables},
    )


def same_size_and_quality(results: Results) -> Section | None:
    """The test photos as they are, and with both classes brought to one size and quality."""
    same = results.figures.get("same_size_and_quality")
    if not same:
        return None
    before = results.figures.get("photos") or {}
    names = ("accuracy", "missed", "roc_auc", "ece")
    rows = {name: (before.get(name), same[name]) for name in names if name in same}
    return Section(
        "same_size_and_quality",
        "Does it judge the car, or the size and quality of the photo?",
        "Same size and quality",
        {
            "rows": rows,
            "meanings": words.MEANINGS,
            "slices": cells(same["slices"]) if same.get("slices") else None,
            "points": formats.points,
        },
    )


def review(results: Results) -> Section | None:
    """The coverage curve, and what the review band leaves to a person."""
    threshold = results.about["threshold"]
    measured = results.figures.get("review")
    splits = {"test photos": results.photos("test"), "validation photos": results.photos("val")}
    there = {
        name: analysis.coverage_curve(rows, threshold) for name, rows in splits.items() if rows
    }
    if not (there or measured):
        return None
    chosen = _point(measured["test"]) if measured else None
    return Section(
        "review",
        "What can be decided without a person?",
        "Risk, coverage and review band",
        {
            "curve": plots.coverage(there, chosen) if there else None,
            "band": results.about.get("review_band"),
            "measured": measured,
        },
    )


def mistakes(results: Results, predictor: Predictor | None) -> Section | None:
    """The most wrong and the least sure test photos, with their heatmaps."""
    test = results.photos("test")
    if predictor is None or not test:
        return None
    threshold = results.about["threshold"]
    chosen = {
        "most_wrong": analysis.most_wrong(test, threshold, SHOWN),
        "least_sure": analysis.least_sure(test, threshold, SHOWN),
    }
    shown = {name: _with_heatmaps(rows, predictor) for name, rows in chosen.items()}
    return Section(
        "mistakes",
        "Where is it most wrong, and least sure?",
        "Errors and heatmaps",
        {**shown, "threshold": threshold},
    )


def attention(results: Results) -> Section | None:
    """Whether the model looks at the car."""
    measured = results.figures.get("attention")
    if not measured:
        return None
    return Section("attention", "Does it look at the car?", "Attention", {"measured": measured})


def warnings(results: Results) -> Section | None:
    """How often each warning comes, on cars and on what is none."""
    measured = results.figures.get("warnings")
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
    """What was left out and why, and the copies that were kept together."""
    about = results.about.get("data")
    if not about:
        return None
    rejected = about.get("rejected") or {}
    return Section(
        "data",
        "What was it taught and tested with?",
        "Data and copies",
        {
            "counts": about.get("counts"),
            "rejected": {
                words.REASONS.get(word, word): number for word, number in rejected.items()
            },
            "copies": about.get("copies"),
        },
    )


def comparison(results: Results, rival: Results | None) -> Section | None:
    """The version beside the one in use, or the one before it."""
    if rival is None:
        return None
    return Section(
        "comparison",
        "Is it better than another version?",
        "McNemar's test",
        {
            "rival": rival.version,
            "test": analysis.against(results, rival),
            "photos": len(results.photos("test")),
            "rows": {
                name: (rival.figures["photos"].get(name), results.figures["photos"].get(name))
                for name in ("accuracy", "missed", "ece")
                if rival.figures.get("photos") and results.figures.get("photos")
            },
            "meanings": words.MEANINGS,
        },
    )


def making(results: Results) -> Section:
    """Settings, fingerprints and versions: what is needed to make it again."""
    about = results.about
    weights, data_set = about.get("weights") or {}, about.get("data") or {}
    facts = {
        "Version": results.version,
        "Made": formats.date(about.get("created")),
        "Backbone": about.get("backbone"),
        "Weights it started from": weights.get("source"),
        "Layers from random values": weights.get("missing_layers"),
        "Photo": f"{about['fit']} to an image of {about['size']} pixels",
        "Temperature": about["temperature"],
        "Threshold": about["threshold"],
        "Precision of the exported graph": about.get("precision"),
        "Fingerprint of the data set": data_set.get("fingerprint"),
        "SHA-256 of the exported graph": about["files"].get("model.tflite"),
    }
    return Section(
        "making",
        "How was it made?",
        "Settings and fingerprints",
        {
            "facts": {name: fact for name, fact in facts.items() if fact not in (None, [])},
            "settings": about.get("settings"),
            "libraries": about.get("libraries"),
            "export": results.figures.get("export"),
        },
    )


def cells(rows: Mapping[str, Mapping[str, Any]]) -> Cells:
    """A table of slices: a column for each figure that any of them has."""
    columns = {
        name: title
        for name, title in words.OF_A_SLICE.items()
        if any(name in row for row in rows.values())
    }
    scales = {name: formats.scale_for(_column(rows.values(), name)) for name in columns}
    return Cells(columns, scales, dict(rows))


def _column(rows: Iterable[Mapping[str, Any]], name: str) -> list[formats.Measured]:
    return [row.get(name) for row in rows]


def _point(measured: Mapping[str, formats.Measured]) -> tuple[float, float] | None:
    decided = formats.value_of(measured["decided"])
    accuracy = formats.value_of(measured["accuracy"])
    return None if decided is None or accuracy is None else (decided, accuracy)


def _with_heatmaps(
    rows: list[Answer], predictor: Predictor
) -> list[tuple[Answer, pictures.Pair | None]]:
    return [(row, pictures.with_heatmap(row.path, predictor)) for row in rows]
