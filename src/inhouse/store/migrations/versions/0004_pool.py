"""The pool: records that have no target yet, and the answers that people gave to them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "pool",
        sa.Column("task", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("group", sa.String, nullable=False),
        sa.Column("file", sa.String, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("part", sa.String, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("answered_by", sa.String),
        sa.Column("answered_at", sa.String),
        sa.Column("dataset", sa.Integer),
    )
