"""The workspace's database: connections, transactions, and migrations up to the newest schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    Table,
    and_,
    create_engine,
    event,
    inspect,
    make_url,
    or_,
    text,
)

from inhouse.errors import Busy, ConfigError
from inhouse.store.paths import disk_guard

SCHEMA_VERSION = "0006"


def now() -> str:
    """The present moment in UTC, ISO 8601 with microseconds: sorts as text."""
    return from_now(0)


def from_now(seconds: float) -> str:
    """The moment in so many seconds, as `now` writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def later(moment: str, seconds: float) -> str:
    """The moment so many seconds after another."""
    return (datetime.fromisoformat(moment) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def paged(query: Select[Any], table: Table, last: Any = None, *, newest_first: bool = True) -> Select[Any]:  # noqa: ANN401
    """Rows of a table in the order of their making, from behind one of them on.

    Args:
        last: has `created_at` and `id` of the last row of the page before; None for the first page.
    """
    time, id_ = table.c.created_at, table.c.id
    if last is not None and newest_first:
        query = query.where(or_(time < last.created_at, and_(time == last.created_at, id_ < last.id)))
    elif last is not None:
        query = query.where(or_(time > last.created_at, and_(time == last.created_at, id_ > last.id)))
    return query.order_by(*((time.desc(), id_.desc()) if newest_first else (time, id_)))


class Database:
    """Connections on the newest schema, as many as there are threads that ask.

    Args:
        url: an SQLAlchemy URL.
        folder: the workspace folder, for messages about a full disk.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        try:
            # No bound on connections: a thread that had to wait for one for half a minute would lose its trace.
            self.engine = create_engine(_with_driver(url), max_overflow=-1)
            self._readers = create_engine(_with_driver(url), max_overflow=-1)
        except Exception as error:
            raise ConfigError(f"`database` = {url!r} is not a usable SQLAlchemy URL: {error}", "mend it") from error
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_immediate)
            event.listen(self._readers, "connect", _prepare_reading)
            event.listen(self._readers, "begin", _begin)
        elif self.engine.dialect.name == "postgresql":
            options = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
            self._readers = self._readers.execution_options(**options)
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

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One look: everything that is read stood there at the same moment. It waits for no writer, and writes nothing.

        What is read to be written back belongs into `begin`.
        """
        with disk_guard(self.folder), self._readers.connect() as connection:
            yield connection

    def at_once(self, select: str, **values: str | int) -> list[Any] | None:
        """The rows that a SELECT of SQLite's finds, for who may not wait: it takes some microseconds.

        None where it cannot be told so, as the database is another or busy: ask again by `read`, in a thread.
        """
        if self._direct is None:
            return None
        try:
            return self._direct.execute(select, values).fetchall()
        except sqlite3.Error:
            return None

    @cached_property
    def _direct(self) -> sqlite3.Connection | None:
        """A connection without SQLAlchemy, which takes a hundred times as long. Between looks it holds no lock."""
        file = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not file:
            return None
        connection = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON").close()
        return connection

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
        if (direct := self.__dict__.pop("_direct", None)) is not None:
            direct.close()
        self._readers.dispose()
        self.engine.dispose()


def _with_driver(url: str) -> URL:
    """The URL, with the driver for PostgreSQL that the extra `sql` installs where it names none."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgresql", "postgres") else parsed


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


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


def _prepare_reading(connection: Any, record: Any) -> None:  # noqa: ANN401 - the driver's own objects
    _prepare_sqlite(connection, record)
    connection.execute("PRAGMA query_only=ON").close()


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
