"""The exported graph: calibrated on the validation photos, measured on the test photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from car_damage.dataset.arrays import Dataset, Row, Split
from car_damage.training.answers import Answers, answered
from car_damage.training.attention import attention
from car_damage.training.calibration import (
    REVIEW_TARGET,
    Calibration,
    calibrate,
    choose_review_band,
    probabilities,
)
from car_damage.training.equalised import equalise
from car_damage.training.export import to_tflite
from car_damage.training.leaks import leaks
from car_damage.training.outputs import Outputs, graph_logits, graph_outputs
from car_damage.training.slices import data_folders, slices

CALIBRATION_SQUARES = 200  # training squares that the ranges of int8 are taken from
MAX_LOSS = 0.005  # of accuracy, by exporting in int8
MAX_LOGIT_DIFFERENCE = 4.0  # calibrated: an even chance becomes 98 %
FALL_BACK = {"int8": "float16", "float16": "float32"}


@dataclass(frozen=True)
class Exported:
    """A graph that was written, how it answers, and how that compares with the Keras model."""

    precision: str
    calibration: Calibration
    review_band: tuple[float, float]  # see `calibration.choose_review_band`
    val: Outputs  # of all validation squares, close-ups too
    test: Outputs  # of all test squares
    comparison: dict[str, Any]


def export_checked(
    model: keras.Model, dataset: Dataset, precision: str, path: Path, seed: int
) -> Exported:
    """Write the graph to `path` and run it on every validation and test square.

    Where it is right on over half a point less of the test set than the Keras model, or far surer
    or less sure of any one test square, the next finer precision is written instead, and said.
    """
    exported = _export(model, dataset, precision, path, seed)
    fault = _fault(exported)
    if fault is None or precision not in FALL_BACK:
        return exported
    finer = FALL_BACK[precision]
    print(f"{precision} {fault}: exporting in {finer} instead")
    return export_checked(model, dataset, finer, path, seed)


def _fault(exported: Exported) -> str | None:
    """What the graph does worse than the Keras model by more than may be; None where nothing."""
    comparison = exported.comparison
    lost = comparison["keras_accuracy"] - comparison["graph_accuracy"]
    if round(lost, 9) > MAX_LOSS:
        return f"loses {lost:.1%} of accuracy"
    # A share of right answers hides the one photo that is called surely what it is not.
    moved = comparison["largest_logit_difference"] / exported.calibration.temperature
    if moved > MAX_LOGIT_DIFFERENCE:
        return f"moves the log-odds of a photo by {moved:.1f}"
    return None


def measure(exported: Exported, dataset: Dataset, graph: Path, seed: int) -> dict[str, Any]:
    """Every figure, as `model.json` holds them; all but `review.val` are of the test photos.

    `graph` runs again: on test squares equalised, on photos with their middle greyed out, and on
    training photos that have copies.
    """
    val = answered(dataset.val, exported.val.logits, exported.calibration)
    test = answered(dataset.test, exported.test.logits, exported.calibration)
    alike_logits = graph_logits(graph, (equalise(np.asarray(square)) for square in dataset.test.X))
    alike = answered(dataset.test, alike_logits, exported.calibration)
    of_slices = slices(dataset.test)
    return {
        **figures_of_photos(test, _rows(dataset), seed),
        "slices": figures_of_slices(test, of_slices, seed),
        "same_size_and_quality": {
            **alike.figures(dataset.test.of_kind("photo"), seed),
            "slices": figures_of_slices(alike, of_slices, seed),
        },
        "review": figures_of_review(val, test, exported.review_band, seed),
        "attention": attention(test, exported.test, graph, exported.calibration.temperature, seed),
        "leaks": leaks(dataset, test, graph, exported.calibration),
        "export": exported.comparison,
    }


def figures_of_photos(test: Answers, among: Sequence[Row], seed: int) -> dict[str, Any]:
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
    answers: Answers, of_slices: Mapping[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """The shares right, missed and cleared in each slice, by its title."""
    return {title: answers.shares(rows, seed) for title, rows in of_slices.items()}


def figures_of_review(
    val: Answers, test: Answers, band: tuple[float, float], seed: int
) -> dict[str, Any]:
    """What share of photos lies outside of the band, and how many of those are answered rightly.

    The validation photos, which the band was chosen on, come without an interval: it would be that
    of new photos, and the test photos have it.
    """

    def decided(answers: Answers) -> dict[str, Any]:
        outside = (answers.probabilities < band[0]) | (answers.probabilities >= band[1])
        right = answers.right

        def shares(rows: np.ndarray) -> dict[str, float]:
            of_outside = right[rows][outside[rows]]
            return {
                "decided": float(outside[rows].mean()),
                "accuracy": float(of_outside.mean()) if of_outside.size else float("nan"),
            }

        return answers.bootstrap(shares, answers.split.of_kind("photo"), seed)

    of_val = {name: figure["value"] for name, figure in decided(val).items()}
    return {"target": REVIEW_TARGET, "val": of_val, "test": decided(test)}


def _rows(dataset: Dataset) -> list[Row]:
    return [*dataset.train.rows, *dataset.val.rows, *dataset.test.rows]


def _export(
    model: keras.Model, dataset: Dataset, precision: str, path: Path, seed: int
) -> Exported:
    print(f"exporting model.tflite in {precision}")
    squares = _calibration_squares(dataset.train, seed)
    path.write_bytes(to_tflite(model, dataset.about["size"], precision, squares))
    val, test = dataset.val, dataset.test
    val_outputs, test_outputs = graph_outputs(path, val.X), graph_outputs(path, test.X)
    val_photos = val.of_kind("photo")
    graph = calibrate(val_outputs.logits[val_photos], val.y[val_photos])
    of_keras = calibrate(_keras_logits(model, val)[val_photos], val.y[val_photos])
    keras_test_logits = _keras_logits(model, test)
    comparison = {
        "precision": precision,
        "squares": len(test.y),
        "keras_accuracy": float(np.mean(of_keras.answers(keras_test_logits) == test.y)),
        "graph_accuracy": float(np.mean(graph.answers(test_outputs.logits) == test.y)),
        "largest_logit_difference": float(np.abs(test_outputs.logits - keras_test_logits).max()),
    }
    calibrated = probabilities(val_outputs.logits[val_photos], graph.temperature)
    band = choose_review_band(calibrated, val.y[val_photos], graph.threshold)
    return Exported(precision, graph, band, val_outputs, test_outputs, comparison)


def _calibration_squares(train: Split, seed: int) -> np.ndarray:
    count = min(CALIBRATION_SQUARES, len(train.y))
    rows = np.random.default_rng(seed).choice(len(train.y), count, replace=False)
    return train.X[np.sort(rows)]


def _keras_logits(model: keras.Model, split: Split) -> np.ndarray:
    return np.asarray(model.predict(split.X, batch_size=32, verbose=0)["logit"], np.float64)[:, 0]


def _of_one_class(shares: dict[str, Any]) -> dict[str, Any]:
    """Where all photos are of one class, the share answered rightly is the only figure."""
    return {key: shares[key] for key in ("count", "damaged", "accuracy")}
