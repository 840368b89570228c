"""Load a version and classify photos with it, using LiteRT and NumPy instead of TensorFlow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from car_damage import model_store, photos
from car_damage.chatter import without_chatter
from car_damage.decision import LABELS, Label
from car_damage.errors import UserError
from car_damage.manifest import Manifest
from car_damage.photo_warnings import (
    Quality,
    WarningLimits,
    WarningWord,
    find_warnings,
    measure_quality,
)

SIGNATURE = "serving_default"
Shapes = dict[str, tuple[str, tuple[int | None, ...]]]  # dtype and sides by name; None: any side


@dataclass(frozen=True)
class GraphOutput:
    """The outputs of the exported graph for one image."""

    logit: float
    heatmap: np.ndarray  # float32 (h, w); its mean is the logit minus the head's bias
    embedding: np.ndarray  # float32 (d,)


@dataclass(frozen=True)
class Prediction:
    """A version's answer for one photo."""

    label: Label
    probability: float  # calibrated probability of damage, rounded to four digits
    threshold: float  # at or above this probability, the label is "damaged"
    model_version: str
    review: bool  # the probability is in the review band: a person should look at the photo
    warnings: tuple[WarningWord, ...]  # what makes the answer doubtful, in a fixed order
    # float32 (h, w), calibrated log-odds: the answer for each place, as if the whole photo looked
    # like it. Their mean is the log-odds of the unrounded `probability`. Above 0 means damage.
    heatmap: np.ndarray = field(repr=False, compare=False)
    embedding: np.ndarray = field(repr=False, compare=False)  # float32 (d,), the graph's
    quality: Quality = field(repr=False, compare=False)
    seconds: dict[str, float] = field(repr=False, compare=False)  # for "fit" and "graph"


class Graph:
    """An exported graph. `run` is not safe in several threads, so each thread needs its own."""

    def __init__(self, path: Path, threads: int = 1):
        with without_chatter():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
            self._run = interpreter.get_signature_runner(SIGNATURE)

    def check(self, manifest: Manifest) -> None:
        """Raise `ValueError` with a clause if an input or output has a wrong type or shape."""
        limits = manifest.warning_limits
        components = None if limits is None else limits.components
        features = None if components is None else components.shape[1]
        inputs: Shapes = {"photo": ("uint8", (1, manifest.size, manifest.size, 3))}
        outputs: Shapes = {
            "logit": ("float32", (1, 1)),
            "heatmap": ("float32", (1, None, None)),
            "embedding": ("float32", (1, features)),
        }
        _check_tensors("input", self._run.get_input_details(), inputs)
        _check_tensors("output", self._run.get_output_details(), outputs)

    def run(self, image: photos.Photo) -> GraphOutput:
        """Run the graph on an image, `uint8` (size, size, 3) RGB."""
        outputs = self._run(photo=image[np.newaxis])
        return GraphOutput(
            float(outputs["logit"][0, 0]), outputs["heatmap"][0], outputs["embedding"][0]
        )


class Predictor:
    """A loaded version. It is not safe in several threads, so each thread needs its own."""

    def __init__(self, record: model_store.Record, threads: int = 1):
        self.record = record
        try:
            self._graph = Graph(record.graph, threads)
            self._graph.check(record.manifest)
        except (ValueError, RuntimeError) as error:  # from LiteRT and from `check`
            reason = str(error).strip().partition("\n")[0]
            what = f"{record.graph.name} cannot be used: {reason}"
            raise model_store.damaged(record.folder, what) from error

    def predict(self, photo: photos.Photo) -> Prediction:
        """Classify an upright photo, `uint8` (height, width, 3) RGB, from `photos.decode`.

        Decode it with at least the version's size, or the `low_resolution` warning may be wrong.
        Raises `UserError` if the graph gives NaN, which would otherwise mean "not damaged".
        """
        manifest, decision = self.record.manifest, self.record.manifest.decision
        begun = perf_counter()
        image = photos.fit(photo, manifest.size)
        fitted = perf_counter()
        output = self._graph.run(image)
        seconds = {"fit": fitted - begun, "graph": perf_counter() - fitted}
        if not math.isfinite(output.logit):
            raise UserError(
                f"{self.record.graph} returned {output.logit} for a photo instead of a finite "
                "number. Use another version or train again."
            )
        probability = decision.probabilities(output.logit)
        quality = measure_quality(image, short_side=min(photo.shape[:2]))
        limits = manifest.warning_limits or WarningLimits()  # without limits, no warnings
        return Prediction(
            label=LABELS[int(decision.is_damaged(probability))],
            probability=float(probability),
            threshold=decision.threshold,
            model_version=self.record.version,
            review=bool(decision.needs_review(probability)),
            warnings=find_warnings(quality, output.embedding, limits),
            heatmap=_log_odds(output, decision.temperature),
            embedding=output.embedding,
            quality=quality,
            seconds=seconds,
        )


def load(models: Path, version: str | None = None, threads: int = 1) -> Predictor:
    """Load a version, the current one by default. Raises `UserError` if missing or damaged."""
    return Predictor(model_store.load_record(models, version), threads)


def _check_tensors(kind: str, found: Mapping[str, Mapping[str, Any]], expected: Shapes) -> None:
    """Raise `ValueError` for a tensor that is missing or has a wrong type or shape."""
    for name, (dtype, shape) in expected.items():
        if name not in found:
            raise ValueError(f"it has no {kind} {name}")
        has = tuple(int(side) for side in found[name]["shape"])
        fits = len(has) == len(shape) and all(
            wanted in (None, side) for side, wanted in zip(has, shape, strict=True)
        )
        if not fits or np.dtype(found[name]["dtype"]) != dtype:
            wanted = "x".join("?" if side is None else str(side) for side in shape)
            sides, of = "x".join(map(str, has)), np.dtype(found[name]["dtype"]).name
            raise ValueError(f"its {kind} {name} is {of} {sides} instead of {dtype} {wanted}")


def _log_odds(output: GraphOutput, temperature: float) -> np.ndarray:
    """The heatmap with bias and temperature applied, so that its mean is logit / temperature."""
    bias = output.logit - float(output.heatmap.mean())
    return ((output.heatmap + bias) / temperature).astype(np.float32)
