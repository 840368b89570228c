"""Add what drift_check.py stores."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "drift_baselines",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.String(100), nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "drift_checks",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.String(100), nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("photos", sa.Integer, nullable=False),
        sa.Column("far_from_training", sa.Float),
        sa.Column("ratios", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    """Delete the tables."""
    op.drop_table("drift_checks")
    op.drop_table("drift_baselines")
