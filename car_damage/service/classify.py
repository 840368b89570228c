"""One photo's way from bytes to an answer, each stage timed and noted for log and metrics."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import IO, Any

from car_damage import heatmap, photos
from car_damage.data_uri import data_uri
from car_damage.predictor import Prediction, Predictor
from car_damage.service import large_photos
from car_damage.service.problems import Problem

HEATMAP_SIDES = (480, 960)  # pixels: see `heatmap.png`; those of the plain picture, too


@dataclass
class Job:
    """A photo to answer, with what the log and the metrics say about it."""

    photo: IO[bytes] | Problem  # unread, or why there is nothing to read
    with_heatmap: bool = False
    with_picture: bool = False
    log_fields: dict[str, Any] = field(default_factory=dict)  # also of a photo that is refused

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note what the block takes."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.note_time(stage, perf_counter() - begun)

    def note_time(self, stage: str, seconds: float) -> None:
        """Note what a stage took."""
        self.log_fields[f"{stage}_ms"] = round(seconds * 1000, 3)


@dataclass(frozen=True)
class Result:
    """An answer and, if the request asks for it, what the heatmap shows."""

    answer: Prediction
    overlay: str | None = None  # a PNG as a data URI
    box: photos.Box | None = None  # in pixels of the upright photo
    picture: str | None = None  # a JPEG as a data URI


def classify(predictor: Predictor, job: Job) -> Result:
    """Answer a photo. Raises `UnusablePhoto`, or the `Problem` that came instead of one.

    Bytes are read only now, so that photos that wait for their turn need no memory.
    """
    if isinstance(job.photo, Problem):
        raise job.photo
    data = job.photo.read()
    job.log_fields |= {"photo_bytes": len(data), "photo_sha256": hashlib.sha256(data).hexdigest()}
    with large_photos.turn(photos.decoding_memory(data)):
        return _answer(predictor, job, data)


def _answer(predictor: Predictor, job: Job, data: bytes) -> Result:
    with job.timed("decode"):
        photo = photos.decode(data, at_least=predictor.record.manifest.size)
    answer = predictor.predict(photo)
    for stage, seconds in answer.seconds.items():
        job.note_time(stage, seconds)
    job.log_fields |= {
        "prediction": answer.label,
        "probability": answer.probability,
        "review": answer.review,
        "warnings": list(answer.warnings),
        "model_version": answer.model_version,
    }
    picture = _picture(data) if job.with_picture else None
    if not job.with_heatmap:
        return Result(answer, picture=picture)
    with job.timed("heatmap"):
        box = heatmap.strongest_place(answer.heatmap, *photos.header_size(data))
        png = heatmap.png(data, answer.heatmap, HEATMAP_SIDES)
        return Result(answer, data_uri(png, "image/png"), box, picture)


def _picture(data: bytes) -> str:
    short, long = HEATMAP_SIDES
    photo = photos.shrink(photos.decode(data, at_least=short), long)
    return data_uri(photos.encode_jpeg(photo), "image/jpeg")
