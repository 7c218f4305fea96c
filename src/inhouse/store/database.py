"""The workspace's database: tables, connection, and migrations up to the newest schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
    text,
)

from inhouse.errors import Busy, ConfigError
from inhouse.store.paths import disk_guard

SCHEMA_VERSION = "0005"

metadata = MetaData()

datasets = Table(
    "datasets",
    metadata,
    Column("task", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("parent", Integer),
    Column("reason", Text, nullable=False),
    Column("blob", String, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Column("erased", JSON),
    Column("test_given", Boolean),
)
sources = Table(
    "sources",
    metadata,
    Column("task", String, primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("role", String, primary_key=True),
    Column("part", String, primary_key=True, server_default=""),
    Column("file", String, nullable=False),
    Column("dataset", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("created_at", String, nullable=False),
    Column("forgotten_at", String),
    Column("reading", String, nullable=False, server_default=""),
)
SOURCE_KEY = ("task", "sha256", "role", "part")
findings = Table(
    "findings",
    metadata,
    Column("task", String, primary_key=True),
    Column("dataset", Integer, primary_key=True),
    Column("id", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("finding", JSON, nullable=False),
    Column("position", Integer, nullable=False, server_default="0"),
)
runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("task", String, nullable=False),
    Column("dataset", Integer, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("status", String, nullable=False),
    Column("result", JSON),
    Column("created_at", String, nullable=False),
    Column("finished_at", String),
)
run_metrics = Table(
    "run_metrics",
    metadata,
    Column("run", String, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("metrics", JSON, nullable=False),
    Column("created_at", String, nullable=False),
)
model_versions = Table(
    "model_versions",
    metadata,
    Column("task", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("run", String, nullable=False),
    Column("version", JSON, nullable=False),
    Column("created_at", String, nullable=False),
)
aliases = Table(
    "aliases",
    metadata,
    Column("task", String, primary_key=True),
    Column("alias", String, primary_key=True),
    Column("number", Integer, nullable=False),
)
alias_moves = Table(
    "alias_moves",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("task", String, nullable=False),
    Column("alias", String, nullable=False),
    Column("before", Integer),
    Column("after", Integer),
    Column("action", String, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", String, nullable=False),
)
traces = Table(
    "traces",
    metadata,
    Column("id", String, primary_key=True),
    Column("task", String, nullable=False),
    Column("model_version", String, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("output", Text),
    Column("confidence", Float, nullable=False),
    Column("needs_review", Boolean, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("answer_tokens", Integer, nullable=False),
    Column("error", Text),
    Column("created_at", String, nullable=False),
    Index("traces_by_task", "task", "created_at"),
)
feedback = Table(
    "feedback",
    metadata,
    Column("id", String, primary_key=True),
    Column("trace", String, nullable=False),
    Column("correction", Text),
    Column("accepted", Boolean, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Index("feedback_by_trace", "trace"),
)
predictions = Table(
    "predictions",
    metadata,
    Column("task", String, nullable=False),
    Column("model_version", String, nullable=False),
    Column("contender", String, nullable=False),
    Column("dataset_fingerprint", String, nullable=False),
    Column("blob", String, nullable=False),
    Column("created_at", String, nullable=False),
    UniqueConstraint("task", "model_version", "contender", "dataset_fingerprint"),
)

pool = Table(
    "pool",
    metadata,
    Column("task", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("group", String, nullable=False),
    Column("file", String, nullable=False),
    Column("line", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("part", String, nullable=False),
    Column("answer", Text),
    Column("answered_by", String),
    Column("answered_at", String),
    Column("dataset", Integer),
)


def now() -> str:
    """The present moment in UTC, ISO 8601 with microseconds: sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Database:
    """A connection pool on the newest schema.

    Args:
        url: an SQLAlchemy URL.
        folder: the workspace folder, for messages about a full disk.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        try:
            self.engine = create_engine(url)
        except Exception as error:
            raise ConfigError(f"`database` = {url!r} is not a usable SQLAlchemy URL: {error}", "mend it") from error
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_immediate)
        try:
            with disk_guard(folder):
                migrate(self.engine)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any error."""
        with disk_guard(self.folder), self.engine.begin() as connection:
            yield connection

    def scrub(self) -> None:
        """Leave nothing of deleted rows in the database's files: not in free pages, and not in the log.

        Raises:
            Busy: another process is reading, so that the log cannot be emptied.
        """
        with disk_guard(self.folder):
            if self.engine.dialect.name == "sqlite":
                self._scrub_sqlite()
            elif self.engine.dialect.name == "postgresql":  # the server's own log and backups are its keeper's
                with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text("VACUUM FULL"))

    def _scrub_sqlite(self) -> None:
        raw = self.engine.raw_connection()
        try:
            cursor = raw.cursor()
            try:
                for command in ("PRAGMA secure_delete=ON", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                    cursor.execute(command)
                    found = cursor.fetchone()
                busy = bool(found and found[0])
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                busy = True
            finally:
                cursor.close()
        finally:
            raw.close()
        if busy:
            raise Busy(
                "another process is reading the database, so what was deleted cannot be erased from its files",
                "stop it (`inhouse serve`?) and run the same command again",
            )

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: what a transaction reads is then still so when it writes, in every process."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_sqlite(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own object
    # Without this the driver begins transactions by itself, late, and none at all around CREATE TABLE.
    connection.isolation_level = None
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()
    except BaseException:  # nobody else would close it
        connection.close()
        raise


def migrate(engine: Engine) -> None:
    """Bring the schema up to `SCHEMA_VERSION`; alembic is loaded only when there is something to do."""
    if _is_newest(engine):
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:  # whole or not at all, and one process after another
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _is_newest(engine: Engine) -> bool:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and found > SCHEMA_VERSION:
        raise ConfigError(
            f"the workspace's database is of schema {found}; this inhouse knows up to {SCHEMA_VERSION}",
            "install the inhouse that made it, or a newer one",
        )
    return found == SCHEMA_VERSION
