"""Create the tables of tables.py as they were at first."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "predictions",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("week", sa.String(8), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("model_version", sa.String(100), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("phash", sa.LargeBinary, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("brightness", sa.Float, nullable=False),
        sa.Column("sharpness", sa.Float, nullable=False),
        sa.Column("prediction", sa.String(20), nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("review", sa.Boolean, nullable=False),
        sa.Column("warnings", sa.String(200), nullable=False),
        sa.Column("audit", sa.Boolean, nullable=False),
        sa.Column("awaits_review", sa.Boolean, nullable=False),
        sa.Column("sureness", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("predictions_same", "predictions", ["sha256", "owner", "number"])
    op.create_index("predictions_of_owner", "predictions", ["owner", "time"])
    op.create_index("predictions_time", "predictions", ["time"])
    waiting = sa.text("awaits_review")
    op.create_index(
        "predictions_to_review",
        "predictions",
        ["owner", "sureness"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    op.create_table(
        "embeddings", _of_prediction(), sa.Column("embedding", sa.LargeBinary, nullable=False)
    )
    op.create_table(
        "similarity_keys",
        sa.Column("key", sa.BigInteger, primary_key=True),
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("prediction", sa.BigInteger, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "feedback",
        _of_prediction(),
        sa.Column("label", sa.String(20), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("given_by", sa.String(100), nullable=False),
        sa.Column("in_review", sa.Boolean, nullable=False),
    )
    op.create_table(
        "leases",
        _of_prediction(),
        sa.Column("reviewer", sa.String(64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "kept_photos",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("written", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table("forgotten", sa.Column("id", sa.String(32), primary_key=True))


def downgrade() -> None:
    """Delete the tables with all records."""
    of_predictions = ("leases", "feedback", "similarity_keys", "embeddings", "predictions")
    for name in ("forgotten", "kept_photos", *of_predictions):
        op.drop_table(name)


def _of_prediction() -> sa.Column[int]:
    """Return the primary key of a table that adds to predictions."""
    prediction = sa.ForeignKey("predictions.number", ondelete="CASCADE")
    return sa.Column("prediction", NUMBER, prediction, primary_key=True)
