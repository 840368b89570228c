"""One answered photo, as the writer stores it."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from random import random
from typing import Any, NamedTuple

import numpy as np

from car_damage.predictor import Prediction
from car_damage.service.classify import Result

STORED = np.dtype("<f2")  # of embeddings: half precision, whatever the machine's byte order


class PhotoFile(NamedTuple):
    """What is stored about a photo's file."""

    sha256: str  # hexadecimal
    phash: bytes  # of car_damage/perceptual_hash.py
    size: int  # bytes
    photo: bytes | None  # the file, if it is kept


@dataclass(frozen=True)
class Entry:
    """A row of `predictions`, its embedding, and the photo if it is kept."""

    row: dict[str, Any]
    embedding: bytes
    photo: bytes | None

    @property
    def size(self) -> int:
        """Return about how many bytes of memory the entry takes."""
        return 2000 + len(self.embedding) + len(self.photo or b"")


def entry_of(result: Result, owner: str, file: PhotoFile, audit_share: float) -> Entry:
    """Make the entry of an answer, with a new id. Draw some of the sure answers for an audit."""
    answer, now = result.answer, datetime.now(UTC)
    year, week, _ = now.isocalendar()
    audit = not answer.review and random() < audit_share
    row = {
        "id": secrets.token_hex(16),
        "time": now,
        "week": f"{year}-W{week:02}",
        "owner": owner,
        "sha256": file.sha256,
        "phash": file.phash,
        "width": result.header.width,
        "height": result.header.height,
        "bytes": file.size,
        "audit": audit,
        "awaits_review": answer.review or audit,
    }
    return Entry(row | _columns_of(answer), answer.embedding.astype(STORED).tobytes(), file.photo)


def _columns_of(answer: Prediction) -> dict[str, Any]:
    return {
        "model_version": answer.model_version,
        "brightness": answer.quality.brightness,
        "sharpness": answer.quality.sharpness,
        "prediction": answer.label,
        "probability": answer.probability,
        "review": answer.review,
        "warnings": " ".join(answer.warnings),
        "sureness": abs(answer.probability - 0.5),
    }
