"""From a photo's path or URL to its answer, and from answers to a Parquet file."""

import errno
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from car_damage import photos
from car_damage.buckets import NO_BUCKET, is_url, opened, refusal, unreachable
from car_damage.errors import UserError
from car_damage.predictor import Prediction, Predictor

# Errors that can concern a single photo: S3's codes for an archived object or one with its own
# rights, and the system's numbers for a file. Others, such as those of an expired token or a lost
# network drive, concern all photos, so the run has to stop.
OF_ONE_OBJECT = ("AccessDenied", "InvalidObjectState")
OF_ONE_FILE = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
UNREADABLE = "unreadable"  # the `error` of a photo that `read_photo` could not read


@dataclass(frozen=True)
class Answer:
    """What is known about a photo: a prediction, or the reason why there is none."""

    path: str  # valid Unicode even if the path is not
    prediction: Prediction | None = None
    error: str = ""


def answer(predictor: Predictor, path: str, read: Callable[[], bytes]) -> Answer:
    """Classify the photo whose bytes `read` returns. `read` may raise what `read_photo` raises."""
    name = readable(path)
    try:
        photo = photos.decode(read(), at_least=predictor.record.manifest.size)
        return Answer(name, predictor.predict(photo))
    except photos.UnusablePhoto as error:
        return Answer(name, error=error.reason)
    except OSError:
        return Answer(name, error=UNREADABLE)


def readable(path: str) -> str:
    """The path as valid Unicode; systems also allow other bytes in names."""
    return os.fsencode(path).decode("utf-8", "replace")


def read_photo(path: str) -> bytes:
    """Read a photo.

    Raises `OSError` if only this photo cannot be read, `UserError` if its disk or bucket does not
    work.
    """
    return _read_object(path) if is_url(path) else _read_file(path)


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        if error.errno in OF_ONE_FILE:
            raise
        raise UserError(
            f"{path} cannot be read now ({error.strerror or error}). Check its disk or network "
            "drive, then run this again."
        ) from error


def _read_object(url: str) -> bytes:
    try:
        system, name = opened(url)
        content: bytes = system.cat_file(name)
    except Exception as error:  # each client has its own kinds
        code = refusal(error)
        if code in OF_ONE_OBJECT:
            raise PermissionError(f"{url} may not be read") from error
        if isinstance(error, FileNotFoundError) and code != NO_BUCKET:
            raise
        raise unreachable(url, error) from error
    return content


def parquet(answers: Sequence[Answer], version: str, embeddings: bool) -> bytes:
    """A Parquet file with a row for each answer.

    The columns are path, prediction, probability (float64), review, warnings (list), model_version
    and error, and with `embeddings` also embedding (list of float32). What a photo lacks is null.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    predictions = [answer.prediction for answer in answers]
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "path": (pa.string(), [answer.path for answer in answers]),
        "prediction": (pa.string(), [each and each.label for each in predictions]),
        "probability": (pa.float64(), [each and each.probability for each in predictions]),
        "review": (pa.bool_(), [each and each.review for each in predictions]),
        "warnings": (pa.list_(pa.string()), [each and each.warnings for each in predictions]),
        "model_version": (pa.string(), [version] * len(answers)),
        "error": (pa.string(), [answer.error or None for answer in answers]),
    }
    if embeddings:
        vectors = [each and each.embedding for each in predictions]
        columns["embedding"] = (pa.list_(pa.float32()), vectors)
    table = pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def check_parquet() -> None:
    """Raise `UserError` if Parquet files cannot be written."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(
            "--out needs PyArrow. Run: pip install -r requirements-cluster.txt"
        ) from None
