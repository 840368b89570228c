"""One photo's way from bytes to an answer, each stage timed and noted for log and metrics."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import IO, Any

from car_damage import heatmap, photos
from car_damage.data_uri import data_uri
from car_damage.predictor import Prediction, Predictor
from car_damage.service import decoding, large_photos
from car_damage.service.problems import Problem

# Pixels of what is shown: the short side has at least, if the photo has them, the long side at most
SHOWN_SIDES = (480, 960)


@dataclass
class Job:
    """A photo to answer, with what the log and the metrics say about it."""

    photo: IO[bytes] | Problem  # unread, or why there is nothing to read
    with_heatmap: bool = False
    with_picture: bool = False
    log_fields: dict[str, Any] = field(default_factory=dict)  # also of a photo that is refused
    deadline: float = math.inf  # when nobody waits for the answer any more, by `monotonic`

    def seconds_left(self) -> float:
        """How long the photo's decoder may take."""
        return self.deadline - monotonic()

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
    size = predictor.record.manifest.size
    with job.timed("decode"):
        header, photo = decoding.begin(data, size, large_photos.LARGE - 1, job.seconds_left())
    with large_photos.turn(header.memory):
        if photo is None:
            with job.timed("decode"):
                photo = decoding.decode(data, size, job.seconds_left())
        return _answer(predictor, job, data, photo, header)


def _answer(
    predictor: Predictor, job: Job, data: bytes, photo: photos.Photo, header: photos.Header
) -> Result:
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
    picture = None
    if job.with_picture:
        picture = data_uri(photos.encode_jpeg(_shown(job, data)), "image/jpeg")
    if not job.with_heatmap:
        return Result(answer, picture=picture)
    with job.timed("heatmap"):
        box = heatmap.strongest_place(answer.heatmap, header.width, header.height)
        png = heatmap.png(_shown(job, data), answer.heatmap)
        return Result(answer, data_uri(png, "image/png"), box, picture)


def _shown(job: Job, data: bytes) -> photos.Photo:
    """The photo as people see it; decoded again, so that the answer does not depend on it."""
    short, long = SHOWN_SIDES
    return photos.shrink(decoding.decode(data, short, job.seconds_left()), long)
