"""Classify one photo from its bytes, and record each stage's time for the log and the metrics."""

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import IO, Any

from car_damage import heatmap, photos
from car_damage.data_uri import data_uri
from car_damage.predictor import Prediction, Predictor
from car_damage.service import decoding, large_photos
from car_damage.service.problems import Problem

# Pixels of a picture in the answer: the short side's minimum, if the photo is that large, and the
# long side's maximum.
SHOWN_SIDES = (480, 960)


@dataclass
class Job:
    """A photo to classify, with its fields for the log and the metrics."""

    photo: IO[bytes] | Problem  # unread, or the reason why there is no photo
    with_heatmap: bool = False
    with_picture: bool = False
    log_fields: dict[str, Any] = field(default_factory=dict)  # refused photos have some too
    deadline: float = math.inf  # by `monotonic`; after it, nobody waits for the answer
    # Called with the photo's bytes and pixels just before the model works on it.
    on_decoded: Callable[[bytes, photos.Photo], None] | None = None

    def seconds_left(self) -> float:
        """Return the time that the photo's decoder may take."""
        return self.deadline - monotonic()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Record the time that the block takes."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.note_time(stage, perf_counter() - begun)

    def note_time(self, stage: str, seconds: float) -> None:
        """Record the time that a stage took."""
        self.log_fields[f"{stage}_ms"] = round(seconds * 1000, 3)


@dataclass(frozen=True)
class Result:
    """A prediction, with the heatmap and the picture if the request wants them."""

    answer: Prediction
    header: photos.Header
    overlay: str | None = None  # a PNG as a data URI
    box: photos.Box | None = None  # in pixels of the upright photo
    picture: str | None = None  # a JPEG as a data URI
    recorded: dict[str, Any] = field(default_factory=dict)  # members that a recorder adds


def classify(predictor: Predictor, job: Job) -> Result:
    """Classify a photo. Raises `UnusablePhoto`, or the job's `Problem` if it has no photo.

    The bytes are read only now, so waiting photos take no memory.
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
        if job.on_decoded is not None:
            job.on_decoded(data, photo)
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
        return Result(answer, header, picture=picture)
    with job.timed("heatmap"):
        box = heatmap.strongest_place(answer.heatmap, header.width, header.height)
        png = heatmap.png(_shown(job, data), answer.heatmap)
        return Result(answer, header, data_uri(png, "image/png"), box, picture)


def _shown(job: Job, data: bytes) -> photos.Photo:
    """Return the photo for people. It is decoded again, so that the prediction stays the same."""
    short, long = SHOWN_SIDES
    return photos.shrink(decoding.decode(data, short, job.seconds_left()), long)
