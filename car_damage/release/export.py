"""The trained model exported, calibrated, and held against the Keras model that it was made of."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np

from car_damage.dataset.arrays import Dataset, Split
from car_damage.evaluation.calibration import (
    Calibration,
    calibrate,
    choose_review_band,
    probabilities,
)
from car_damage.evaluation.inference import Outputs, graph_outputs
from car_damage.release.precisions import PRECISIONS
from car_damage.release.tflite import to_tflite

CALIBRATION_IMAGES = 200  # training images that the ranges of int8 are taken from
MAX_LOSS = 0.005  # of accuracy, by exporting in int8
MAX_LOGIT_DIFFERENCE = 4.0  # calibrated: an even chance becomes 98 %
FALL_BACK = dict(pairwise(PRECISIONS))


@dataclass(frozen=True)
class Exported:
    """A graph that was written, how it answers, and how that compares with the Keras model."""

    precision: str
    calibration: Calibration
    review_band: tuple[float, float]  # see `calibration.choose_review_band`
    val: Outputs  # of all validation images, close-ups too
    test: Outputs  # of all test images
    comparison: dict[str, Any]


def export_checked(
    model: keras.Model, dataset: Dataset, precision: str, path: Path, seed: int
) -> Exported:
    """Write the graph to `path` and run it on every validation and test image.

    Where it is right on over half a point less of the test set than the Keras model, or far surer
    or less sure of any one test image, the next finer precision is written instead, and said.
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


def _export(
    model: keras.Model, dataset: Dataset, precision: str, path: Path, seed: int
) -> Exported:
    print(f"exporting model.tflite in {precision}")
    images = _calibration_images(dataset.train, seed)
    path.write_bytes(to_tflite(model, dataset.about["size"], precision, images))
    val, test = dataset.val, dataset.test
    val_outputs, test_outputs = graph_outputs(path, val.X), graph_outputs(path, test.X)
    val_photos = val.of_kind("photo")
    graph = calibrate(val_outputs.logits[val_photos], val.y[val_photos])
    of_keras = calibrate(_keras_logits(model, val)[val_photos], val.y[val_photos])
    keras_test_logits = _keras_logits(model, test)
    comparison = {
        "precision": precision,
        "images": len(test.y),
        "keras_accuracy": float(np.mean(of_keras.predict(keras_test_logits) == test.y)),
        "graph_accuracy": float(np.mean(graph.predict(test_outputs.logits) == test.y)),
        "largest_logit_difference": float(np.abs(test_outputs.logits - keras_test_logits).max()),
    }
    calibrated = probabilities(val_outputs.logits[val_photos], graph.temperature)
    band = choose_review_band(calibrated, val.y[val_photos], graph.threshold)
    return Exported(precision, graph, band, val_outputs, test_outputs, comparison)


def _calibration_images(train: Split, seed: int) -> np.ndarray:
    count = min(CALIBRATION_IMAGES, len(train.y))
    rows = np.random.default_rng(seed).choice(len(train.y), count, replace=False)
    return train.X[np.sort(rows)]


def _keras_logits(model: keras.Model, split: Split) -> np.ndarray:
    return np.asarray(model.predict(split.X, batch_size=32, verbose=0)["logit"], np.float64)[:, 0]
