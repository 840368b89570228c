"""All metrics of an exported graph on the test photos."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from car_damage.dataset.arrays import Dataset, Row
from car_damage.decision import EVERY_PHOTO, Decision
from car_damage.evaluation.costs import cost_metrics
from car_damage.evaluation.inference import Outputs, graph_logits
from car_damage.evaluation.predictions import Predictions, predictions_from
from car_damage.evaluation.robustness import attention, equalise
from car_damage.evaluation.slices import data_folders, slices
from car_damage.manifest import (
    Costs,
    Decided,
    DecidedEstimate,
    Metrics,
    MetricSet,
    ReviewMetrics,
)


def evaluate(
    dataset: Dataset,
    graph: Path,
    val_outputs: Outputs,
    test_outputs: Outputs,
    decision: Decision,
    target: float,
    seed: int,
    costs: Costs | None = None,
) -> Metrics:
    """Measure all metrics of a version; all but `review.val` are on the test photos.

    `target` is the share of correct answers that the review band was chosen for, unless `costs`
    chose it. `graph`, which gave the outputs, also runs on equalised and greyed-out test images.
    """
    val = predictions_from(dataset.val, val_outputs.logits, decision)
    test = predictions_from(dataset.test, test_outputs.logits, decision)
    equalised_logits = graph_logits(graph, (equalise(np.asarray(x)) for x in dataset.test.X))
    equalised = predictions_from(dataset.test, equalised_logits, decision)
    photos, close_ups = dataset.test.of_kind("photo"), dataset.test.of_kind("close_up")
    parts = slices(dataset.test)
    rows = [*dataset.train.rows, *dataset.val.rows, *dataset.test.rows]
    return Metrics(
        photos=test.metrics(photos, seed),
        close_ups=test.accuracy(close_ups, seed) if close_ups.any() else None,
        data_folders=metrics_of_folders(test, rows, seed),
        slices=metrics_of_slices(test, parts, seed),
        same_size_and_quality=equalised.metrics(photos, seed).model_copy(
            update={"slices": metrics_of_slices(equalised, parts, seed)}
        ),
        review=review_metrics(val, test, target, seed),
        attention=attention(test, test_outputs, graph, seed),
        cost=costs and cost_metrics(test, photos, costs, seed),
    )


def metrics_of_folders(test: Predictions, among: Sequence[Row], seed: int) -> dict[str, MetricSet]:
    """The accuracy on each data folder's photos.

    Folder names are relative to the innermost folder that contains all of `among`.
    """
    photos = test.split.of_kind("photo")
    return {
        name: test.accuracy(photos & rows, seed)
        for name, rows in data_folders(test.split.rows, among).items()
    }


def metrics_of_slices(
    predictions: Predictions, parts: Mapping[str, np.ndarray], seed: int
) -> dict[str, MetricSet]:
    """`Predictions.shares` of each slice, by its title."""
    return {title: predictions.shares(rows, seed) for title, rows in parts.items()}


def review_metrics(val: Predictions, test: Predictions, target: float, seed: int) -> ReviewMetrics:
    """The share of photos outside the review band, and the accuracy on them.

    The figures on validation photos have no interval, because the band was chosen on these photos.
    An interval describes new photos, which the test photos stand for.
    """
    photos = np.flatnonzero(val.split.of_kind("photo"))
    shares = _decided(val)(photos)
    accuracy = None if np.isnan(shares["accuracy"]) else shares["accuracy"]
    return ReviewMetrics(
        target=target,
        val=Decided(photos=len(photos), decided=shares["decided"], accuracy=accuracy),
        test=decided_estimate(test, seed),
    )


def decided_estimate(test: Predictions, seed: int) -> DecidedEstimate:
    """The share of photos outside the review band, and the accuracy on them."""
    decided = ~test.needs_review
    wholes = {"accuracy": decided}
    if not _decides_all_or_none(test.decision):  # otherwise the share is certain
        wholes["decided"] = np.ones(len(decided), bool)
    estimates = test.bootstrap(_decided(test), test.split.of_kind("photo"), seed, wholes)
    return DecidedEstimate(**estimates)


def _decides_all_or_none(decision: Decision) -> bool:
    band = decision.review_band
    return band is None or band.low == band.high or band == EVERY_PHOTO


def _decided(predictions: Predictions) -> Callable[[np.ndarray], dict[str, float]]:
    decided = ~predictions.needs_review
    correct = predictions.damaged == (predictions.split.y == 1)

    def shares(rows: np.ndarray) -> dict[str, float]:
        of_decided = correct[rows][decided[rows]]
        return {
            "decided": float(decided[rows].mean()),
            "accuracy": float(of_decided.mean()) if of_decided.size else float("nan"),
        }

    return shares
