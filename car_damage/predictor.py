"""One version, loaded: a photo goes in, an answer comes out. LiteRT and NumPy, no TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from car_damage import model_store, photos
from car_damage.photo_warnings import Limits, WarningWord, find_warnings, measure_quality

SIGNATURE = "serving_default"
DIGITS = 4  # of a probability


@dataclass(frozen=True)
class Outputs:
    """What the exported graph says of one image."""

    logit: float
    heatmap: np.ndarray  # float32 (h, w); averages to the logit less the head's bias
    embedding: np.ndarray  # float32 (d,)


@dataclass(frozen=True)
class Answer:
    """What a version says of one photo."""

    prediction: Literal["damaged", "not_damaged"]
    probability: float  # calibrated, of damaged; to four digits
    threshold: float  # from this probability on the prediction is "damaged"
    model_version: str
    review: bool  # the probability lies where the version needs a person to look
    warnings: tuple[WarningWord, ...]  # what makes the answer doubtful, in a fixed order
    # float32 (h, w), calibrated log-odds: each place as if the whole photo looked like it. They
    # average to the log-odds of `probability` unrounded; above 0 a place speaks for damage.
    heatmap: np.ndarray = field(repr=False, compare=False)
    seconds: dict[str, float] = field(repr=False, compare=False)  # that "fit" and "graph" took


class Graph:
    """An exported graph; `run` serves one thread at a time, so each thread needs its own."""

    def __init__(self, path: Path, threads: int = 1):
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        self._run = interpreter.get_signature_runner(SIGNATURE)

    def run(self, image: photos.Photo) -> Outputs:
        """Put an image, `uint8` (size, size, 3) RGB, through the graph."""
        outputs = self._run(photo=image[np.newaxis])
        return Outputs(
            float(outputs["logit"][0, 0]), outputs["heatmap"][0], outputs["embedding"][0]
        )


class Predictor:
    """A version that answers photos; serves one thread at a time, so each thread needs its own."""

    def __init__(self, record: model_store.Record, threads: int = 1):
        self.record = record
        doubts = record.about.get("doubt")
        self._limits = None if doubts is None else Limits.from_json(doubts)
        self._graph = Graph(record.graph, threads)

    def predict(self, photo: photos.Photo) -> Answer:
        """Answer an upright photo, `uint8` (height, width, 3) RGB, as `photos.decode` gives it.

        Decoded at the version's size or more, it is small here only if the file's photo is.
        """
        about = self.record.about
        begun = perf_counter()
        image = photos.fit(photo, about["size"], about["fit"])
        fitted = perf_counter()
        outputs = self._graph.run(image)
        seconds = {"fit": fitted - begun, "graph": perf_counter() - fitted}
        # Rounded before it is compared, so that whoever compares what they were told agrees.
        probability = round(sigmoid(outputs.logit / about["temperature"]), DIGITS)
        return Answer(
            prediction="damaged" if probability >= about["threshold"] else "not_damaged",
            probability=probability,
            threshold=about["threshold"],
            model_version=self.record.version,
            review=needs_review(probability, about.get("review_band")),
            warnings=self._warnings(photo, image, outputs.embedding),
            heatmap=_log_odds(outputs, about["temperature"]),
            seconds=seconds,
        )

    def _warnings(
        self, photo: photos.Photo, image: photos.Photo, embedding: np.ndarray
    ) -> tuple[WarningWord, ...]:
        if self._limits is None:
            return ()
        height, width = photo.shape[:2]
        shown = photos.shown(image, width, height, self.record.about["fit"])
        return find_warnings(measure_quality(shown, min(height, width)), embedding, self._limits)


def load(models: Path, version: str | None = None, threads: int = 1) -> Predictor:
    """Load a version, the current one by default. Raises `UserError` unless it is there, whole."""
    return Predictor(model_store.load_record(models, version), threads)


def needs_review(probability: float, band: Sequence[float] | None) -> bool:
    """Whether a probability lies in the band `(low, high)`: from low on, below high."""
    return band is not None and band[0] <= probability < band[1]


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)), without overflow however large the logit."""
    return float(np.exp(-np.logaddexp(0.0, -logit)))


def _log_odds(outputs: Outputs, temperature: float) -> np.ndarray:
    """The heatmap with the bias and the temperature in it: averages to logit / temperature."""
    bias = outputs.logit - float(outputs.heatmap.mean())
    return ((outputs.heatmap + bias) / temperature).astype(np.float32)
