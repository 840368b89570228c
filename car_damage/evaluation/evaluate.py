"""Every metric of an exported graph, measured on the test photos."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from car_damage.dataset.arrays import Dataset, Row
from car_damage.evaluation.calibration import REVIEW_TARGET, Calibration
from car_damage.evaluation.inference import Outputs, graph_logits
from car_damage.evaluation.predictions import Predictions, predictions_from
from car_damage.evaluation.robustness import attention, equalise
from car_damage.evaluation.slices import data_folders, slices


def evaluate(
    dataset: Dataset,
    graph: Path,
    val_outputs: Outputs,
    test_outputs: Outputs,
    calibration: Calibration,
    review_band: tuple[float, float],
    seed: int,
) -> dict[str, Any]:
    """Every figure, as `model.json` holds them; all but `review.val` are of the test photos.

    `graph`, which gave the outputs, runs again: on test images equalised, and on photos with their
    middle greyed out.
    """
    val = predictions_from(dataset.val, val_outputs.logits, calibration)
    test = predictions_from(dataset.test, test_outputs.logits, calibration)
    alike_logits = graph_logits(graph, (equalise(np.asarray(image)) for image in dataset.test.X))
    alike = predictions_from(dataset.test, alike_logits, calibration)
    of_slices = slices(dataset.test)
    return {
        **figures_of_photos(test, _rows(dataset), seed),
        "slices": figures_of_slices(test, of_slices, seed),
        "same_size_and_quality": {
            **alike.figures(dataset.test.of_kind("photo"), seed),
            "slices": figures_of_slices(alike, of_slices, seed),
        },
        "review": figures_of_review(val, test, review_band, seed),
        "attention": attention(test, test_outputs, graph, calibration.temperature, seed),
    }


def figures_of_photos(test: Predictions, among: Sequence[Row], seed: int) -> dict[str, Any]:
    """All figures of the photos, and apart from them those of close-ups and data folders.

    Folders are named as seen from the innermost one that all of `among` lie in.
    """
    split = test.split
    photos, close_ups = split.of_kind("photo"), split.of_kind("close_up")
    return {
        "photos": test.figures(photos, seed),
        "close_ups": _of_one_class(test.shares(close_ups, seed)) if close_ups.any() else None,
        "data_folders": {
            name: _of_one_class(test.shares(photos & rows, seed))
            for name, rows in data_folders(split.rows, among).items()
        },
    }


def figures_of_slices(
    predictions: Predictions, of_slices: Mapping[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """The shares right, missed and cleared in each slice, by its title."""
    return {title: predictions.shares(rows, seed) for title, rows in of_slices.items()}


def figures_of_review(
    val: Predictions, test: Predictions, band: tuple[float, float], seed: int
) -> dict[str, Any]:
    """What share of photos lies outside of the band, and how many of those are answered rightly.

    The validation photos, which the band was chosen on, come without an interval: it would be that
    of new photos, and the test photos have it.
    """

    def decided(predictions: Predictions) -> dict[str, Any]:
        outside = (predictions.probabilities < band[0]) | (predictions.probabilities >= band[1])
        right = predictions.right

        def shares(rows: np.ndarray) -> dict[str, float]:
            of_outside = right[rows][outside[rows]]
            return {
                "decided": float(outside[rows].mean()),
                "accuracy": float(of_outside.mean()) if of_outside.size else float("nan"),
            }

        return predictions.bootstrap(shares, predictions.split.of_kind("photo"), seed)

    of_val = {name: figure["value"] for name, figure in decided(val).items()}
    return {"target": REVIEW_TARGET, "val": of_val, "test": decided(test)}


def _rows(dataset: Dataset) -> list[Row]:
    return [*dataset.train.rows, *dataset.val.rows, *dataset.test.rows]


def _of_one_class(shares: dict[str, Any]) -> dict[str, Any]:
    """Where all photos are of one class, the share answered rightly is the only figure."""
    return {key: shares[key] for key in ("count", "damaged", "accuracy")}
