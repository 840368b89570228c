"""Entries of made-up answers, and a client of a service that records."""

from pathlib import Path
from typing import Any

import numpy as np
from flask.testing import FlaskClient

from car_damage import photos
from car_damage.photo_warnings import Quality
from car_damage.predictor import Prediction
from car_damage.records import database
from car_damage.records.application import add_records
from car_damage.records.entry import Entry, PhotoFile, entry_of
from car_damage.records.recorder import Recorder
from car_damage.service.api import QUEUE
from car_damage.service.application import create_app
from car_damage.service.classify import Result
from car_damage.service.recording import RECORDER
from car_damage.service.settings import Settings


def entry(
    probability: float = 0.9,
    owner: str = "clerk",
    sha256: str = "5" * 64,
    review: bool = False,
    photo: bytes | None = None,
    audit_share: float = 0.0,
    **columns: Any,
) -> Entry:
    """An entry as the service makes it; `columns` replace those of its row."""
    answer = Prediction(
        label="damaged" if probability >= 0.5 else "not_damaged",
        probability=probability,
        threshold=0.5,
        model_version="20260311-1402-0a1b",
        review=review,
        warnings=("blurred", "dark"),
        heatmap=np.zeros((4, 4), np.float32),
        embedding=np.arange(8, dtype=np.float32),
        quality=Quality(sharpness=0.5, brightness=120, blown=0, short_side=80),
        seconds={},
    )
    header = photos.Header(width=120, height=80, memory=0)
    phash = np.random.default_rng(int(sha256, 16)).bytes(120)
    file = PhotoFile(sha256, phash, 9000, photo)
    made = entry_of(Result(answer, header), owner, file, audit_share)
    return Entry(made.row | columns, made.embedding, photo)


def recording_client(models: Path, database_url: str, **settings: Any) -> FlaskClient:
    """A client on the service's own computer, after the model has been loaded."""
    database.prepare(database_url) if database_url.startswith("sqlite") else database.migrate(
        database_url
    )
    chosen = Settings(database_url=database_url, **settings)
    app = create_app(chosen, models)
    add_records(app, chosen)
    app.extensions[QUEUE].loading.result()
    return app.test_client()


def wait_until_written(client: FlaskClient) -> None:
    """Wait until the answers so far are in the database."""
    recorder: Recorder = client.application.extensions[RECORDER]
    assert recorder.writer.flush(seconds=10)
