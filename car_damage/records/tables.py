"""The tables of the records. migrations/ creates them; tests compare the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite stores it without its time zone, so it is added again here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC before it is stored."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return a stored time with its time zone."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only an INTEGER

metadata = MetaData()

# A row for each photo that got an answer.
predictions = Table(
    "predictions",
    metadata,
    Column("number", NUMBER, primary_key=True),  # ascending in time, for the other tables
    Column("id", String(32), nullable=False, unique=True),  # the API's prediction_id
    Column("time", UtcTime, nullable=False),
    Column("week", String(8), nullable=False),  # ISO 8601, such as 2026-W48
    Column("owner", String(100), nullable=False),  # the name of the key, "" without keys
    Column("model_version", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("phash", LargeBinary, nullable=False),  # of car_damage/perceptual_hash.py
    Column("width", Integer, nullable=False),  # pixels of the upright photo
    Column("height", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),  # of the photo's file
    Column("brightness", Float, nullable=False),  # 0 to 255, of photo_warnings.Quality
    Column("sharpness", Float, nullable=False),  # 0 to 1, of photo_warnings.Quality
    Column("prediction", String(20), nullable=False),
    Column("probability", Float, nullable=False),
    Column("review", Boolean, nullable=False),
    Column("warnings", String(200), nullable=False),  # words, separated by spaces
    Column("audit", Boolean, nullable=False),  # a sure answer that was drawn for review
    Column("awaits_review", Boolean, nullable=False),
    Column("sureness", Float, nullable=False),  # |probability - 0.5|: 0 is most unsure
    Index("predictions_same", "sha256", "owner", "number"),
    Index("predictions_of_owner", "owner", "time"),
    Index("predictions_time", "time"),
    Index(
        "predictions_to_review",
        "owner",
        "sureness",
        postgresql_where=text("awaits_review"),
        sqlite_where=text("awaits_review"),
    ),
    sqlite_autoincrement=True,  # a deleted row's number is never used again
)

# The model's embeddings. They would make the other table several times as large, and so slower.
embeddings = Table(
    "embeddings",
    metadata,
    Column(
        "prediction", NUMBER, ForeignKey(predictions.c.number, ondelete="CASCADE"), primary_key=True
    ),
    Column("embedding", LargeBinary, nullable=False),  # float16, little-endian
)

# The index of similar photos: similarity.py makes the keys from a perceptual hash.
similarity_keys = Table(
    "similarity_keys",
    metadata,
    Column("key", BigInteger, primary_key=True),
    Column("owner", String(100), primary_key=True),
    Column("prediction", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)

# What a person says about a photo: the last word counts.
feedback = Table(
    "feedback",
    metadata,
    Column(
        "prediction", NUMBER, ForeignKey(predictions.c.number, ondelete="CASCADE"), primary_key=True
    ),
    Column("label", String(20), nullable=False),  # damaged, not_damaged or cannot_tell
    Column("time", UtcTime, nullable=False),
    Column("given_by", String(100), nullable=False),  # the name of the key
    Column("in_review", Boolean, nullable=False),  # otherwise the client said it by itself
)

# Who is reviewing a photo at the moment.
leases = Table(
    "leases",
    metadata,
    Column(
        "prediction", NUMBER, ForeignKey(predictions.c.number, ondelete="CASCADE"), primary_key=True
    ),
    Column("reviewer", String(64), nullable=False),
    Column("until", UtcTime, nullable=False),
)

# The files in KEEP_PHOTOS. Whoever writes or deletes a file locks its row first.
kept_photos = Table(
    "kept_photos",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("written", UtcTime, nullable=False),
)

# What drift_check.py compares with: averages of blocks of photos, no single photo. The newest of a
# version counts. `first` and `last` are the numbers of its first and last prediction.
drift_baselines = Table(
    "drift_baselines",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("time", UtcTime, nullable=False),
    Column("model_version", String(100), nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),  # of drift/baseline.py
)

# The results of drift_check.py, for /metrics.
drift_checks = Table(
    "drift_checks",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("time", UtcTime, nullable=False),
    Column("model_version", String(100), nullable=False),
    Column("verdict", String(20), nullable=False),  # no drift, drift or too few photos
    Column("photos", Integer, nullable=False),
    Column("far_from_training", Float),  # share of photos; None if the version has no reference
    Column("ratios", JSON, nullable=False),  # by what was compared: difference over its limit
)

# The ids of deleted predictions, and nothing else about them.
forgotten = Table("forgotten", metadata, Column("id", String(32), primary_key=True))
