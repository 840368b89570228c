"""Made-up rows of answers. Neighbouring rows are similar, as if one customer sent their photos."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert, select

from car_damage.drift.features import Photos, log_odds
from car_damage.records.entry import STORED
from car_damage.records.tables import embeddings, predictions
from tests.records.answered import row_of
from tests.tiny_model import VERSION

RUN = 10  # similar photos in a row
DIMENSIONS = 6


def random_photos(
    count: int, seed: int, brighter: float = 0.0, moved: float = 0.0, threshold: float = 0.5
) -> Photos:
    """Photos, `RUN` similar ones in a row; `moved` shifts one dimension of their embeddings."""
    random = np.random.default_rng(seed)
    runs = random.standard_normal((count // RUN + 1, 4 + DIMENSIONS)).repeat(RUN, axis=0)[:count]
    own = random.standard_normal(runs.shape)
    mixed = (runs + own) / np.sqrt(2)
    odds = log_odds(np.round(1 / (1 + np.exp(-2 * mixed[:, 0])), 4))
    measured = np.column_stack(
        [
            *(odds, 150 + brighter + 30 * mixed[:, 1], 0.6 + 0.1 * mixed[:, 2]),
            *(np.full(count, 12.0), np.full(count, 4 / 3), 2 + 0.2 * mixed[:, 3]),
        ]
    )
    is_damaged = 1 / (1 + np.exp(-odds)) >= threshold
    answers = np.column_stack([is_damaged, np.abs(odds) < 0.5, np.zeros(count)]).astype(float)
    embedded = mixed[:, 4:] * np.array([5, 3, 2, 1, 1, 1]) + moved * np.eye(DIMENSIONS)[3]
    return Photos(measured, answers, embedded.astype(np.float32))


def record(
    engine: Engine, photos: Photos, days_ago: float = 0.0, version: str = VERSION, **columns: Any
) -> None:
    """Write photos into the database as the service does, all at one time."""
    begin = datetime.now(UTC) - timedelta(days=days_ago)
    rows = [
        row_of(
            round(float(1 / (1 + np.exp(-odds))), 4),
            time=begin,
            model_version=version,
            **{"width": 4000, "height": 3000, "bytes": round(bits * 12e6 / 8)},
            **{"brightness": brightness, "sharpness": sharpness, "review": bool(review)},
            **columns,
        )
        for (odds, brightness, sharpness, _, _, bits), (_, review, _) in zip(
            photos.measured, photos.answers, strict=True
        )
    ]
    with engine.begin() as connection:
        connection.execute(insert(predictions), rows)
        ids = [row["id"] for row in rows]
        found = connection.execute(select(predictions.c.id, predictions.c.number))
        numbers = {row.id: row.number for row in found}
        connection.execute(
            insert(embeddings),
            [
                {"prediction": numbers[one], "embedding": vector.astype(STORED).tobytes()}
                for one, vector in zip(ids, photos.embeddings, strict=True)
            ],
        )
