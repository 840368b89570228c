"""Export the trained model, calibrate it, and compare it with the Keras model."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np

from car_damage.dataset.arrays import Dataset, Split
from car_damage.decision import Decision
from car_damage.evaluation.calibration import fit_decision
from car_damage.evaluation.inference import Outputs, graph_outputs
from car_damage.manifest import Costs, ExportComparison
from car_damage.release.precisions import PRECISIONS
from car_damage.release.tflite import to_tflite
from car_damage.training.classifier import predicted_logits

CALIBRATION_IMAGES = 200  # training images that the int8 ranges are based on
MAX_LOSS = 0.005  # the largest accepted loss of accuracy from exporting
MAX_LOGIT_DIFFERENCE = 4.0  # after calibration; it turns 50 % into 98 %
FALL_BACK = dict(pairwise(PRECISIONS))


@dataclass(frozen=True)
class Exported:
    """A graph that was written, its outputs, and its comparison with the Keras model."""

    decision: Decision
    val: Outputs  # of all validation images, close-ups too
    test: Outputs  # of all test images
    comparison: ExportComparison


def export_checked(
    model: keras.Model,
    dataset: Dataset,
    precision: str,
    path: Path,
    seed: int,
    abroad: Decision | None = None,
    costs: Costs | None = None,
) -> Exported:
    """Write the graph to `path` and run it on every validation and test image.

    `abroad` is the decision fitted on held-out sources. Without it, the decision is fitted on the
    validation photos, with `costs` if there are any.

    If the graph loses more than half a point of accuracy on the validation images, or if any of
    their log-odds changes a lot, the next finer precision is used instead, with a message. Test
    images are not used for this choice, because their metrics would become too good.
    """
    exported = _export(model, dataset, precision, path, seed, abroad, costs)
    if not (fault := _fault(exported)) or precision not in FALL_BACK:
        return exported
    finer = FALL_BACK[precision]
    print(f"{precision} {fault}: exporting in {finer} instead")
    return export_checked(model, dataset, finer, path, seed, abroad, costs)


def _fault(exported: Exported) -> str | None:
    """What the graph does too much worse than the Keras model; None if nothing."""
    comparison = exported.comparison
    lost = comparison.keras_accuracy - comparison.graph_accuracy
    if round(lost, 9) > MAX_LOSS:
        return f"loses {100 * lost:.1f} points of accuracy"
    # Accuracy does not show a single photo that becomes confidently wrong.
    moved = comparison.largest_logit_difference / exported.decision.temperature
    if moved > MAX_LOGIT_DIFFERENCE:
        return f"changes the log-odds of a photo by {moved:.1f}"
    return None


def _export(
    model: keras.Model,
    dataset: Dataset,
    precision: str,
    path: Path,
    seed: int,
    abroad: Decision | None,
    costs: Costs | None,
) -> Exported:
    print(f"exporting model.tflite in {precision}: this can take some minutes")
    images = _calibration_images(dataset.train, seed)
    path.write_bytes(to_tflite(model, dataset.config.size, precision, images))
    val, photos = dataset.val, dataset.val.of_kind("photo")
    outputs = graph_outputs(path, val.X)
    keras_logits = predicted_logits(model, val)
    decision = abroad or fit_decision(outputs.logits[photos], val.y[photos], costs=costs)
    of_keras = abroad or fit_decision(keras_logits[photos], val.y[photos], costs=costs)
    comparison = ExportComparison(
        precision=precision,
        images=len(val.y),
        keras_accuracy=_accuracy(of_keras, keras_logits, val.y),
        graph_accuracy=_accuracy(decision, outputs.logits, val.y),
        largest_logit_difference=float(np.abs(outputs.logits - keras_logits).max()),
    )
    return Exported(decision, outputs, graph_outputs(path, dataset.test.X), comparison)


def _accuracy(decision: Decision, logits: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(decision.is_damaged(decision.probabilities(logits)) == (labels == 1)))


def _calibration_images(train: Split, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).permutation(len(train.y))[:CALIBRATION_IMAGES]
    return np.asarray(train.X[np.sort(rows)])
