"""One answered photo, as the writer stores it."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from random import random
from typing import Any

import numpy as np

from car_damage.predictor import Prediction
from car_damage.service.classify import Result

STORED = np.dtype("<f2")  # of embeddings: half precision, whatever the machine's byte order


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


def entry_of(
    result: Result, owner: str, sha256: str, phash: bytes, photo: bytes | None, audit_share: float
) -> Entry:
    """Make the entry of an answer, with a new id. Draw some of the sure answers for an audit."""
    answer, now = result.answer, datetime.now(UTC)
    year, week, _ = now.isocalendar()
    audit = not answer.review and random() < audit_share
    row = {
        "id": secrets.token_hex(16),
        "time": now,
        "week": f"{year}-W{week:02}",
        "owner": owner,
        "sha256": sha256,
        "phash": phash,
        "width": result.header.width,
        "height": result.header.height,
        "audit": audit,
        "awaits_review": answer.review or audit,
    }
    return Entry(row | _columns_of(answer), answer.embedding.astype(STORED).tobytes(), photo)


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
