"""The exported graph: calibrated on the validation photos, measured on the test photos."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from car_damage.dataset.arrays import Dataset, Row, Split
from car_damage.parallel import map_in_order
from car_damage.predictor import Graph
from car_damage.training.calibration import choose_threshold, fit_temperature, probabilities
from car_damage.training.evaluation import as_json, figures
from car_damage.training.export import to_tflite

CALIBRATION_SQUARES = 200  # training squares that the ranges of int8 are taken from
MAX_LOSS = 0.005  # of accuracy, by exporting in int8
FALL_BACK = {"int8": "float16", "float16": "float32"}


@dataclass(frozen=True)
class Calibration:
    """What turns a logit into an answer; fitted on validation photos."""

    temperature: float
    threshold: float

    def answers(self, logits: np.ndarray) -> np.ndarray:
        """1 for damaged, 0 for not damaged: int (n,)."""
        return (probabilities(logits, self.temperature) >= self.threshold).astype(int)


@dataclass(frozen=True)
class Exported:
    """A graph that was written, how it answers, and how that compares with the Keras model."""

    precision: str
    calibration: Calibration
    test_logits: np.ndarray  # float (n,), of all test squares, close-ups too
    comparison: dict[str, Any]


def export_checked(
    model: keras.Model, dataset: Dataset, precision: str, path: Path, seed: int
) -> Exported:
    """Write the graph to `path` and run it on every validation and test square.

    Where it is right on over half a point less of the test set than the Keras model, the next
    finer precision is written instead, and said.
    """
    exported = _export(model, dataset, precision, path, seed)
    lost = exported.comparison["keras_accuracy"] - exported.comparison["graph_accuracy"]
    if round(lost, 9) <= MAX_LOSS or precision not in FALL_BACK:
        return exported
    finer = FALL_BACK[precision]
    print(f"{precision} loses {lost:.1%} of accuracy: exporting in {finer} instead")
    return export_checked(model, dataset, finer, path, seed)


def measure(exported: Exported, test: Split, seed: int) -> dict[str, Any]:
    """Every figure of the test photos, and apart from them those of close-ups and data folders."""
    calibration = exported.calibration
    calibrated = probabilities(exported.test_logits, calibration.temperature)
    groups = np.array([row.group for row in test.rows])

    def of(chosen: np.ndarray) -> dict[str, Any]:
        found = figures(
            test.y[chosen], calibrated[chosen], calibration.threshold, groups[chosen], seed
        )
        return {"count": int(chosen.sum()), **as_json(found)}

    photos, close_ups = test.of_kind("photo"), test.of_kind("close_up")
    return {
        "photos": of(photos),
        "close_ups": _accuracy_only(of(close_ups)) if close_ups.any() else None,
        "data_folders": {
            name: _accuracy_only(of(chosen)) for name, chosen in _by_data_folder(test.rows).items()
        },
        "export": exported.comparison,
    }


def graph_logits(path: Path, squares: np.ndarray) -> np.ndarray:
    """The logits that the exported graph gives squares (n, size, size, 3), on all cores."""
    of_this_thread = threading.local()  # an interpreter serves one thread at a time

    def logit(square: np.ndarray) -> float:
        if not hasattr(of_this_thread, "graph"):
            of_this_thread.graph = Graph(path)
        return of_this_thread.graph.run(np.asarray(square)).logit

    return np.array(list(map_in_order(logit, squares)))


def calibrate(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit temperature, then threshold, on validation photos."""
    temperature = fit_temperature(logits, labels)
    return Calibration(temperature, choose_threshold(probabilities(logits, temperature), labels))


def _export(
    model: keras.Model, dataset: Dataset, precision: str, path: Path, seed: int
) -> Exported:
    print(f"exporting model.tflite in {precision}")
    squares = _calibration_squares(dataset.train, seed)
    path.write_bytes(to_tflite(model, dataset.about["size"], precision, squares))
    val, test = dataset.val, dataset.test
    val_photos = val.of_kind("photo")
    graph = calibrate(graph_logits(path, val.X)[val_photos], val.y[val_photos])
    of_keras = calibrate(_keras_logits(model, val)[val_photos], val.y[val_photos])
    test_logits, keras_test_logits = graph_logits(path, test.X), _keras_logits(model, test)
    comparison = {
        "precision": precision,
        "squares": len(test.y),
        "keras_accuracy": float(np.mean(of_keras.answers(keras_test_logits) == test.y)),
        "graph_accuracy": float(np.mean(graph.answers(test_logits) == test.y)),
        "largest_logit_difference": float(np.abs(test_logits - keras_test_logits).max()),
    }
    return Exported(precision, graph, test_logits, comparison)


def _calibration_squares(train: Split, seed: int) -> np.ndarray:
    count = min(CALIBRATION_SQUARES, len(train.y))
    rows = np.random.default_rng(seed).choice(len(train.y), count, replace=False)
    return train.X[np.sort(rows)]


def _keras_logits(model: keras.Model, split: Split) -> np.ndarray:
    return np.asarray(model.predict(split.X, batch_size=32, verbose=0)["logit"], np.float64)[:, 0]


def _by_data_folder(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Which rows are photos of each data folder, named from where all of them lie together."""
    folders = [Path(row.path).parent.as_posix() for row in rows]
    together = os.path.commonpath(folders if len(set(folders)) > 1 else [Path(folders[0]).parent])
    photos = np.array([row.kind == "photo" for row in rows])
    return {
        Path(folder).relative_to(together).as_posix(): photos & (np.array(folders) == folder)
        for folder in sorted(set(folders))
    }


def _accuracy_only(of_one_class: dict[str, Any]) -> dict[str, Any]:
    """Where all photos are of one class, the share answered rightly is the only figure."""
    return {key: of_one_class[key] for key in ("count", "accuracy")}
