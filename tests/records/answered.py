"""Predictions that are already in the database, and a client that reviews them."""

import hashlib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine, insert, select

from car_damage.records.application import add_records
from car_damage.records.kept_photos import KeptPhotos
from car_damage.records.tables import feedback, kept_photos, predictions
from car_damage.service.settings import Settings
from tests.clients import RED, client_of
from tests.tiny_model import VERSION

SHA256 = hashlib.sha256(RED).hexdigest()


def row_of(probability: float = 0.9, **columns: Any) -> dict[str, Any]:
    """A prediction's row; `columns` replace the defaults."""
    return {
        "id": secrets.token_hex(16),
        "time": datetime.now(UTC),
        "week": "2026-W48",
        "owner": "",
        "model_version": VERSION,
        "sha256": SHA256,
        "phash": bytes(8),
        "width": 120,
        "height": 80,
        "bytes": 9000,
        "brightness": 120.0,
        "sharpness": 0.5,
        "prediction": "damaged" if probability >= 0.5 else "not_damaged",
        "probability": probability,
        "review": False,
        "warnings": "",
        "audit": False,
        "awaits_review": False,
        "sureness": abs(probability - 0.5),
    } | columns


def add(engine: Engine, probability: float = 0.9, **columns: Any) -> str:
    """Add a prediction and return its id."""
    row = row_of(probability, **columns)
    with engine.begin() as connection:
        connection.execute(insert(predictions).values(**row))
    return row["id"]


def add_unsure(engine: Engine, probability: float = 0.5, **columns: Any) -> str:
    """Add a prediction that waits for review."""
    return add(engine, probability, **{"review": True, "awaits_review": True} | columns)


def add_audit(engine: Engine, probability: float = 0.95, **columns: Any) -> str:
    """Add a sure prediction that was drawn for an audit."""
    return add(engine, probability, **{"audit": True, "awaits_review": True} | columns)


def keep(engine: Engine, folder: Path, photo: bytes = RED) -> None:
    """Keep a photo as the service does."""
    sha256 = hashlib.sha256(photo).hexdigest()
    KeptPhotos(str(folder)).write(sha256, photo)
    with engine.begin() as connection:
        connection.execute(insert(kept_photos).values(sha256=sha256, written=datetime.now(UTC)))


def labels(engine: Engine) -> dict[str, tuple[str, bool]]:
    """The label of each prediction, and whether it comes from a review."""
    columns = predictions.c.id, feedback.c.label, feedback.c.in_review
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).join(feedback)).all()
    return {row.id: (row.label, row.in_review) for row in rows}


def waiting(engine: Engine) -> set[str]:
    """The ids that wait for review."""
    with engine.connect() as connection:
        return {*connection.scalars(select(predictions.c.id).where(predictions.c.awaits_review))}


def client_with(models: Path, database_url: str, **settings: Any) -> FlaskClient:
    """A client, on the service's own computer, of a service with this database."""
    client = client_of(models, database_url=database_url, **settings)
    add_records(client.application, Settings(database_url=database_url, **settings))  # type: ignore[arg-type]
    return client
