"""The first schema. Migrations are append-only: a later change is a file of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    text, integer, json, boolean = sa.String, sa.Integer, sa.JSON, sa.Boolean
    op.create_table(
        "datasets",
        sa.Column("task", text, primary_key=True),
        sa.Column("number", integer, primary_key=True),
        sa.Column("fingerprint", text, nullable=False),
        sa.Column("parent", integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("blob", text, nullable=False),
        sa.Column("counts", json, nullable=False),
        sa.Column("created_at", text, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("task", text, primary_key=True),
        sa.Column("sha256", text, primary_key=True),
        sa.Column("role", text, primary_key=True),
        sa.Column("file", text, nullable=False),
        sa.Column("dataset", integer, nullable=False),
        sa.Column("rows", integer, nullable=False),
        sa.Column("rejected", integer, nullable=False),
        sa.Column("created_at", text, nullable=False),
    )
    op.create_table(
        "findings",
        sa.Column("task", text, primary_key=True),
        sa.Column("dataset", integer, primary_key=True),
        sa.Column("id", text, primary_key=True),
        sa.Column("status", text, nullable=False),
        sa.Column("finding", json, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", text, primary_key=True),
        sa.Column("task", text, nullable=False),
        sa.Column("dataset", integer, nullable=False),
        sa.Column("recipe", json, nullable=False),
        sa.Column("status", text, nullable=False),
        sa.Column("result", json),
        sa.Column("created_at", text, nullable=False),
        sa.Column("finished_at", text),
    )
    op.create_table(
        "model_versions",
        sa.Column("task", text, primary_key=True),
        sa.Column("number", integer, primary_key=True),
        sa.Column("run", text, nullable=False),
        sa.Column("version", json, nullable=False),
        sa.Column("created_at", text, nullable=False),
    )
    op.create_table(
        "aliases",
        sa.Column("task", text, primary_key=True),
        sa.Column("alias", text, primary_key=True),
        sa.Column("number", integer, nullable=False),
    )
    op.create_table(
        "alias_moves",
        sa.Column("id", integer, primary_key=True, autoincrement=True),
        sa.Column("task", text, nullable=False),
        sa.Column("alias", text, nullable=False),
        sa.Column("before", integer),
        sa.Column("after", integer),
        sa.Column("action", text, nullable=False),
        sa.Column("forced", boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", text, nullable=False),
    )
    op.create_table(
        "traces",
        sa.Column("id", text, primary_key=True),
        sa.Column("task", text, nullable=False),
        sa.Column("model_version", text, nullable=False),
        sa.Column("inputs", json, nullable=False),
        sa.Column("output", sa.Text),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("needs_review", boolean, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=False),
        sa.Column("prompt_tokens", integer, nullable=False),
        sa.Column("answer_tokens", integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", text, nullable=False),
    )
    op.create_index("traces_by_task", "traces", ["task", "created_at"])
    op.create_table(
        "feedback",
        sa.Column("id", text, primary_key=True),
        sa.Column("trace", text, nullable=False),
        sa.Column("correction", sa.Text),
        sa.Column("accepted", boolean, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_at", text, nullable=False),
    )
    op.create_index("feedback_by_trace", "feedback", ["trace"])
    op.create_table(
        "predictions",
        sa.Column("task", text, nullable=False),
        sa.Column("model_version", text, nullable=False),
        sa.Column("contender", text, nullable=False),
        sa.Column("dataset_fingerprint", text, nullable=False),
        sa.Column("blob", text, nullable=False),
        sa.Column("created_at", text, nullable=False),
        sa.UniqueConstraint("task", "model_version", "contender", "dataset_fingerprint"),
    )
