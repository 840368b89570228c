"""One photo's way from bytes to an answer, each stage timed and noted for log and metrics."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import IO, Any

import cv2

from car_damage import heatmap, photos
from car_damage.predictor import Prediction, Predictor

OVERLAY_SHORT, OVERLAY_LONG = 480, 960  # pixels: sides of a drawn heatmap, if the photo has them


@dataclass
class Job:
    """A photo to answer; `facts` gathers what log and metrics tell of it, also if it is refused."""

    stream: IO[bytes]
    with_heatmap: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how many milliseconds the block takes."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.note_time(stage, perf_counter() - begun)

    def note_time(self, stage: str, seconds: float) -> None:
        """Note what a stage took."""
        self.facts[f"{stage}_ms"] = round(seconds * 1000, 3)


@dataclass(frozen=True)
class Result:
    """An answer, and where it was asked for what the heatmap shows."""

    answer: Prediction
    overlay: str | None = None  # a PNG as a data URI
    box: photos.Box | None = None  # in pixels of the upright photo


def classify(predictor: Predictor, job: Job) -> Result:
    """Answer a photo. Raises `UnusablePhoto`.

    Bytes are read only now, so that photos that wait for their turn need no memory.
    """
    data = job.stream.read()
    job.facts |= {"photo_bytes": len(data), "photo_sha256": hashlib.sha256(data).hexdigest()}
    size = predictor.record.manifest.size
    with job.timed("decode"):
        photo = photos.decode(data, at_least=size)
    answer = predictor.predict(photo)
    for stage, seconds in answer.seconds.items():
        job.note_time(stage, seconds)
    job.facts |= {
        "prediction": answer.label,
        "probability": answer.probability,
        "review": answer.review,
        "warnings": list(answer.warnings),
        "model_version": answer.model_version,
    }
    if not job.with_heatmap:
        return Result(answer)
    with job.timed("heatmap"):
        box = heatmap.strongest_place(answer.heatmap, *photos.header_size(data))
        return Result(answer, _overlay(data, answer), box)


def _overlay(data: bytes, answer: Prediction) -> str:
    # Decoded anew: the answer must not depend on whether a picture is drawn.
    photo = _shrunk(photos.decode(data, at_least=OVERLAY_SHORT))
    drawn = heatmap.overlay(photo, answer.heatmap)
    png = cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1]
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode("ascii")


def _shrunk(photo: photos.Photo) -> photos.Photo:
    """The photo with no side above `OVERLAY_LONG`: only JPEGs come small from the decoder."""
    scale = OVERLAY_LONG / max(photo.shape[:2])
    if scale >= 1:
        return photo
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
