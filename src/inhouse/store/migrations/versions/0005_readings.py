"""What of a file was read (a sheet), and how: two sheets are two sources, and another encoding is another reading."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_KEPT = "task, sha256, role, file, dataset, rows, rejected, created_at, forgotten_at"


def upgrade() -> None:
    """Make the table anew, as a primary key cannot be widened in SQLite."""
    op.rename_table("sources", "sources_before")
    op.create_table(
        "sources",
        sa.Column("task", sa.String, primary_key=True),
        sa.Column("sha256", sa.String, primary_key=True),
        sa.Column("role", sa.String, primary_key=True),
        sa.Column("part", sa.String, primary_key=True, server_default=""),
        sa.Column("file", sa.String, nullable=False),
        sa.Column("dataset", sa.Integer, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("rejected", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("forgotten_at", sa.String),
        sa.Column("reading", sa.String, nullable=False, server_default=""),
    )
    op.execute(f"INSERT INTO sources ({_KEPT}) SELECT {_KEPT} FROM sources_before")
    op.drop_table("sources_before")
