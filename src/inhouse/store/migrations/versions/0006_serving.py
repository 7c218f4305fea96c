"""Serving: files, jobs and their events, model names, webhooks, keys, the audit log, releases; more of each trace."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add tables and columns; a version that is there counts as changed when it was made."""
    op.add_column("model_versions", sa.Column("changed_at", sa.String, nullable=False, server_default=""))
    op.execute("UPDATE model_versions SET changed_at = created_at")
    for column in (
        sa.Column("route", sa.String, nullable=False, server_default=""),
        sa.Column("key", sa.String, nullable=False, server_default=""),
        sa.Column("user_hash", sa.String, nullable=False, server_default=""),
        sa.Column("ttft_ms", sa.Float),
        sa.Column("asked", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("tags", sa.JSON, nullable=False, server_default="{}"),
    ):
        op.add_column("traces", column)
    _jobs()
    _access()


def _jobs() -> None:
    """Files, jobs and what they make."""
    op.create_table(
        "api_files",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("blob", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("status_details", sa.Text),
        sa.Column("key", sa.String, nullable=False, server_default=""),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("expires_at", sa.String),
        sa.Index("api_files_by_time", "created_at"),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("mime_type", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("file", sa.String),
        sa.Column("key", sa.String, nullable=False, server_default=""),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("expires_at", sa.String, nullable=False),
        sa.Column("file_expires_after", sa.Integer),
    )
    op.create_table(
        "upload_parts",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("upload", sa.String, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("blob", sa.String, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Index("upload_parts_by_upload", "upload"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("task", sa.String),
        sa.Column("run", sa.String),
        sa.Column("model_version", sa.Integer),
        sa.Column("wish", sa.String, nullable=False, server_default=""),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_until", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("not_before", sa.String),
        sa.Column("error", sa.JSON),
        sa.Column("result", sa.JSON),
        sa.Column("key", sa.String, nullable=False, server_default=""),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("started_at", sa.String),
        sa.Column("finished_at", sa.String),
        sa.Index("jobs_by_status", "status", "not_before"),
        sa.Index("jobs_by_digest", "digest"),
    )
    op.create_table(
        "job_events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("job", sa.String, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("data", sa.JSON),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Index("job_events_by_job", "job", "id"),
    )
    op.create_table(
        "job_checkpoints",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("job", sa.String, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Index("job_checkpoints_by_job", "job", "step"),
    )
    op.create_table(
        "model_names",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("job", sa.String),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("deleted_at", sa.String),
        sa.Index("model_names_by_version", "task", "number"),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("event_types", sa.JSON, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("old_secret", sa.LargeBinary),
        sa.Column("old_until", sa.String),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("updated_at", sa.String, nullable=False),
    )


def _access() -> None:
    """Who may, who did, and what is being tried."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("hint", sa.String, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("tasks", sa.JSON),
        sa.Column("per_minute", sa.Integer),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("expires_at", sa.String),
        sa.Column("revoked_at", sa.String),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Index("audit_by_time", "at"),
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("share", sa.Float),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Index("releases_by_task", "task", "id"),
    )
    op.create_table(
        "shadow_answers",
        sa.Column("trace", sa.String, primary_key=True),
        sa.Column("task", sa.String, nullable=False),
        sa.Column("model_version", sa.String, primary_key=True),
        sa.Column("output", sa.Text),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("same", sa.Boolean),
        sa.Column("latency_ms", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Index("shadow_answers_by_task", "task", "created_at"),
    )
