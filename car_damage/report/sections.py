"""The data for each section of a version's report; `templates/sections/` has the layout."""

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from car_damage import model_store
from car_damage.decision import FEWEST_DECIDED, Decision
from car_damage.evaluation.label_issues import LabelIssue
from car_damage.evaluation.predictions import PredictionRow
from car_damage.manifest import (
    CrossSourceMetrics,
    DatasetConfig,
    Estimate,
    Manifest,
    Metrics,
    MetricSet,
)
from car_damage.predictor import Predictor
from car_damage.report import analysis, formats, pictures, plots, words
from car_damage.report.results import Results, labels_and_probabilities

SHOWN = 8  # photos: the worst mistakes, and the least certain ones
ISSUES_SHOWN = 20
FEWEST_SHOWN = 10  # photos of a class from one source; a share of fewer means nothing

Pairs = dict[str, tuple[Estimate | None, Estimate]]  # a metric before and after, by its name


def sections(
    results: Results, rival: Results | None, predictor: Predictor | None
) -> dict[str, Any]:
    """The data of each section by its name, in order, without sections that were not measured.

    `rival` is the version to compare with. Without a `predictor`, no photos are shown.
    """
    manifest, metrics, test = results.manifest, results.metrics, results.photos("test")
    issues = results.label_issues
    data = {
        "metrics": metrics.photos and metric_groups(metrics.photos),
        "cost": metrics.cost,
        "confusion": test and analysis.confusion_matrix(test, manifest.decision),
        "curves": test and curves(test, manifest.decision),
        "learning": results.history and plots.learning_curves(results.history),
        "slices": slices(metrics),
        "abroad": metrics.abroad and abroad(metrics.abroad),
        "same_size_and_quality": pairs(metrics.photos, metrics.same_size_and_quality, "roc_auc"),
        "review": review(results),
        "mistakes": test and predictor and mistakes(test, manifest.decision, predictor),
        "attention": metrics.attention,
        "warnings": metrics.warnings,
        "label_issues": None if issues is None else label_issues(issues if predictor else []),
        "data": manifest.dataset,
        "comparison": rival and comparison(results, rival),
        "making": making(manifest),
    }
    return {name: each for name, each in data.items() if each}


def metric_groups(photos: MetricSet) -> list[tuple[str, dict[str, Estimate], formats.Scale]]:
    """The metrics where higher is better, and those where lower is better, with their scales."""
    groups = []
    for better, names in (("Higher", words.HIGHER_IS_BETTER), ("Lower", words.LOWER_IS_BETTER)):
        there = {name: getattr(photos, name) for name in names if getattr(photos, name)}
        groups.append((better, there, formats.scale_for(there.values())))
    return [group for group in groups if group[1]]


def curves(test: list[PredictionRow], decision: Decision) -> dict[str, Markup]:
    """Calibration and, if there are photos of both classes, ROC, precision and recall."""
    labels, probabilities = labels_and_probabilities(test)
    found = {"calibration": plots.calibration(labels, probabilities, decision)}
    if len(np.unique(labels)) == 2:
        found["roc"] = plots.roc(labels, probabilities, decision)
        found["precision_recall"] = plots.precision_recall(labels, probabilities, decision)
    return found


def slices(metrics: Metrics) -> dict[str, dict[str, MetricSet]]:
    """The metrics of slices and of data folders."""
    names = ("slices", "data_folders")
    return {name: getattr(metrics, name) for name in names if getattr(metrics, name)}


def abroad(metrics: CrossSourceMetrics) -> dict[str, Any]:
    """Cross-source validation, the fewest photos for a share, and the scale of the bars."""
    shown = [
        found.accuracy
        for source in metrics.sources.values()
        for found in (source.damaged, source.not_damaged)
        if found and found.count >= FEWEST_SHOWN
    ]
    return {"metrics": metrics, "fewest": FEWEST_SHOWN, "scale": formats.scale_for(shown)}


def pairs(before: MetricSet | None, after: MetricSet | None, *more: str) -> Pairs:
    """The three main metrics and `more` from both sets, as far as `after` has them."""
    names = ("accuracy", "false_negative_rate", *more, "ece")
    return {
        name: (getattr(before, name), getattr(after, name))
        for name in names
        if before and getattr(after, name, None)
    }


def review(results: Results) -> dict[str, Any] | None:
    """The coverage curves, and how many photos a review band needs."""
    decision, measured = results.manifest.decision, results.metrics.review
    splits = {"test photos": results.photos("test"), "validation photos": results.photos("val")}
    there = {name: analysis.coverage_curve(rows, decision) for name, rows in splits.items() if rows}
    if not (there or measured):
        return None
    chosen = measured.test if measured else None
    return {
        "curve": plots.coverage(there, chosen) if there else None,
        "fewest_decided": FEWEST_DECIDED,
        "photos_needed": photos_for_a_band(results.manifest.dataset),
    }


def photos_for_a_band(dataset: DatasetConfig | None) -> int | None:
    """About how many photos give enough validation photos for a review band, if none is wrong."""
    if dataset is None:
        return None
    return 10 * math.ceil(FEWEST_DECIDED / dataset.shares["val"] / 10)


def mistakes(
    test: list[PredictionRow], decision: Decision, predictor: Predictor
) -> dict[str, list[tuple[PredictionRow, pictures.Pair | None]]]:
    """The worst mistakes and the least certain test photos, with their heatmaps."""
    chosen = {
        "most_wrong": analysis.most_wrong(test, decision, SHOWN),
        "least_sure": analysis.least_sure(test, decision, SHOWN),
    }
    return {
        name: [(row, pictures.with_heatmap(row.path, predictor)) for row in rows]
        for name, rows in chosen.items()
    }


def label_issues(issues: list[LabelIssue]) -> dict[str, list[tuple[LabelIssue, str | None]]]:
    """The photos with the most suspicious labels, to show on the page."""
    return {"shown": [(issue, pictures.picture(issue.path)) for issue in issues[:ISSUES_SHOWN]]}


def comparison(results: Results, rival: Results) -> dict[str, Any]:
    """The comparison of the version with another one."""
    promotion = results.against_current
    by_promotion = promotion if promotion and promotion.current == rival.version else None
    return {
        "rival": rival.version,
        "test": analysis.against(results, rival),
        "feedback": by_promotion and by_promotion.feedback,
        "counts_feedback": by_promotion and by_promotion.counts_feedback,
        "same_photos": analysis.have_same_test_photos(results, rival),
        "rows": pairs(rival.metrics.photos, results.metrics.photos),
    }


def making(manifest: Manifest) -> dict[str, Any]:
    """The settings and files that the version was made from, as far as known."""
    facts = {
        "Version": manifest.version,
        "Made": formats.date(manifest.created),
        "Backbone": manifest.backbone,
        "Initial weights": manifest.weights and manifest.weights.source,
        "Layers from random values": manifest.weights and manifest.weights.missing_layers,
        "Image": f"{manifest.size} pixels a side",
        "Temperature": manifest.decision.temperature,
        "Threshold": manifest.decision.threshold,
        "Precision of the exported graph": manifest.precision,
        "Fingerprint of the data set": manifest.dataset and manifest.dataset.fingerprint,
        "SHA-256 of the exported graph": manifest.files.get(model_store.GRAPH),
    }
    return {name: fact for name, fact in facts.items() if fact not in (None, ())}
