"""A query on a database as a source: read in one read-only transaction, row by row from the server."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from inhouse.core import Provenance, Record, Rejection
from inhouse.core.json_schema import compact
from inhouse.errors import OutboundForbidden, SourceError
from inhouse.sources.registry import Source

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_SCHEME = re.compile(r"[a-zA-Z][\w.-]*(\+\w+)?://")
# Rows that one request brings from the server.
_AT_ONCE = 1000
# Seconds after which a server that does not answer counts as not there.
_PATIENCE = 10
# Keys after the `?` of a URL that hold what nobody else may read.
_SECRET = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
# Where PostgreSQL's client looks for its server when the URL does not say.
_HOST_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSERVICE")
_TABLES_LISTED = 20


def is_url(path: object) -> bool:
    """Whether a path that was given is the URL of a database."""
    return isinstance(path, str) and _SCHEME.match(path) is not None


def without_password(url: str) -> str:
    """The URL as it may be shown and stored.

    Raises:
        SourceError: it is none.
    """
    parsed = _parsed(url)
    kept = {key: value for key, value in parsed.query.items() if not _SECRET.search(key)}
    return parsed.set(query=kept)._replace(password=None).render_as_string(hide_password=False)


def hosts_of(url: str) -> list[str]:
    """The hosts that the URL leads to; none for a file or a socket of this machine.

    Raises:
        SourceError: it is no URL.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return []
    named = [parsed.host or "", *(text for key in ("host", "hostaddr", "service") for text in _texts(parsed, key))]
    if parsed.get_backend_name() != "postgresql" and not any(named):
        return [parsed.get_backend_name()]  # a service that needs no host name is somewhere else
    if parsed.get_backend_name() == "postgresql" and not any(named):
        named = [os.environ.get(variable, "") for variable in _HOST_VARIABLES]
    return [host for text in named for host in text.split(",") if host and not host.startswith("/")]


def read_database(url: str, query: str) -> Source:
    """The rows of a query, each column as text; numbers, lists and objects as JSON has them.

    The transaction is read-only, and rolled back. The provenance of a row is the URL without password and the row's
    number in the result; the source's checksum is of the content of the rows.

    Raises:
        SourceError: no such driver, no connection, a query that fails or brings no table, or a connection that breaks.
    """
    from sqlalchemy.exc import SQLAlchemyError

    shown = without_password(url)
    engine = _engine(url, shown)
    count = [0]
    try:
        with engine.connect() as connection:
            if not query.strip():
                raise _no_query(connection, shown)
            return _source(_rows(connection, query, count), shown, count)
    except SQLAlchemyError as error:
        raise _failed(error, url, shown, count[0]) from None
    finally:
        engine.dispose()


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        scheme = url.partition("://")[0]
        raise SourceError(
            f"this is no URL of a database: {scheme}://...",
            "it has the form postgresql://USER@HOST/DATABASE or sqlite:///FILE",
        ) from None
    return parsed.set(drivername="postgresql") if parsed.drivername == "postgres" else parsed


def _engine(url: str, shown: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    parsed = _parsed(url)
    arguments: dict[str, Any] = {}
    if parsed.get_backend_name() == "sqlite":
        parsed = _read_only_file(parsed, shown)
    elif parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        arguments = {} if "connect_timeout" in parsed.query else {"connect_timeout": _PATIENCE}
    try:
        return create_engine(parsed, poolclass=NullPool, connect_args=arguments)
    except (NoSuchModuleError, ModuleNotFoundError, ArgumentError) as error:
        raise SourceError(
            f"there is no driver for {parsed.drivername} here ({error})",
            "install it with pip, such as psycopg for postgresql or pymysql for mysql+pymysql",
            file=shown,
        ) from None


def _read_only_file(parsed: URL, shown: str) -> URL:
    """A SQLite file opened so that nothing can change it, or come to be."""
    name = parsed.database or ""
    path = Path(name)
    if not name or name == ":memory:" or not path.is_file():
        raise SourceError(
            "there is no such SQLite file",
            "sqlite:///FILE is relative to the folder you are in, sqlite:////FILE begins at the root",
            file=shown,
        )
    return parsed.set(database=path.absolute().as_uri(), query={"mode": "ro", "uri": "true"})


def _rows(connection: Connection, query: str, count: list[int]) -> Iterator[Sequence[Any]]:
    """The names of the columns, then the rows; `count` says how many rows have come."""
    options: dict[str, Any] = {"stream_results": True, "yield_per": _AT_ONCE, "no_parameters": True}
    if connection.dialect.name == "postgresql":
        connection = connection.execution_options(postgresql_readonly=True)
    result = connection.exec_driver_sql(query.strip().removesuffix(";"), execution_options=options)
    if not result.returns_rows:
        raise SourceError("the query brings no rows", "it must be a SELECT")
    yield tuple(result.keys())
    for row in result:
        count[0] += 1
        yield row
    connection.rollback()


def _source(rows: Iterator[Sequence[Any]], shown: str, count: list[int]) -> Source:
    try:
        columns = tuple(map(str, next(rows)))
        _check_names(columns)
        digest, kept = hashlib.sha256(compact(list(columns)).encode()), []
        for row in rows:
            cells = [_cell(value) for value in row]
            content = compact([text for text, _ in cells])
            digest.update(content.encode("utf-8", "surrogatepass"))
            kept.append((count[0], cells))
    except SourceError as error:
        error.file = shown
        raise
    if not kept:
        raise SourceError("the query brings no rows", "look at its conditions", file=shown)
    return _with_places(columns, kept, shown, digest.hexdigest())


def _with_places(
    columns: tuple[str, ...], kept: list[tuple[int, list[tuple[str, str]]]], shown: str, sha256: str
) -> Source:
    records: list[Record] = []
    rejections: list[Rejection] = []
    nested: set[str] = set()
    for number, cells in kept:
        place = Provenance(shown, number, sha256)
        values = dict(zip(columns, (text for text, _ in cells), strict=True))
        forms = dict(zip(columns, (form for _, form in cells), strict=True))
        if wrong := next((name for name, form in forms.items() if form == "bytes"), ""):
            reason = f"column {wrong!r} holds bytes, not text"
            rejections.append(Rejection(place, reason, compact(values), values))
            continue
        nested.update(name for name, form in forms.items() if form == "nested")
        records.append(Record(values, place, frozenset(name for name, form in forms.items() if form)))
    return Source(Path(shown), sha256, columns, records, rejections, frozenset(nested))


def _check_names(columns: Sequence[str]) -> None:
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"the column name {twice!r} stands twice in the result", "give one of them another: AS NAME")
    if any(not name.strip() or name == "?column?" for name in columns):
        raise SourceError("a column of the result has no name", "give it one: AS NAME")


def _cell(value: Any) -> tuple[str, str]:  # noqa: ANN401 - whatever a driver brings
    """A value as text, and how it is to be understood: `json` (a number, true or false), `nested`, `bytes`, or text."""
    match value:
        case None:
            return "", ""
        case str():
            return value.replace("\0", ""), ""
        case bool() | int():
            return json.dumps(value), "json"
        case Decimal() if value.is_finite():
            return format(value, "f"), "json"
        case float() if math.isfinite(value):
            return json.dumps(value), "json"
        case dict() | list() | tuple():
            return compact(json.loads(json.dumps(value, default=str))), "nested"
        case datetime():
            return value.isoformat(" "), ""
        case date() | time():
            return value.isoformat(), ""
        case bytes() | bytearray() | memoryview():
            return "", "bytes"
        case UUID():
            return str(value), ""
    return str(value), ""


def _no_query(connection: Connection, shown: str) -> SourceError:
    from sqlalchemy import inspect

    there = inspect(connection)
    names = [*there.get_table_names(), *there.get_view_names()]
    told = ", ".join(names[:_TABLES_LISTED]) + (", ..." if len(names) > _TABLES_LISTED else "")
    return SourceError(
        "a database needs a query",
        f'--query "SELECT ... FROM {names[0]}"; there are {told}' if names else "it has no tables",
        file=shown,
    )


def _failed(error: Exception, url: str, shown: str, rows: int) -> SourceError:
    """What an error of the database means for the user; a driver's own words, without a password in them."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    if isinstance(getattr(error, "orig", None), OutboundForbidden):
        raise error.orig  # type: ignore[attr-defined]
    parts = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    said = parts[0][:300]
    for secret in _secrets(url):
        said = said.replace(secret, "***")
    if rows:
        what, remedy = f"the database went away after {rows:,} rows: {said}", "nothing was added; run the command again"
    elif isinstance(error, DBAPIError) and error.connection_invalidated:
        what, remedy = f"the database went away: {said}", "nothing was added; run the command again"
    elif isinstance(error, OperationalError) and error.statement is None:
        what = f"no connection to the database: {said}"
        remedy = "check host, port, database, user and password, and that it runs; PGPASSWORD or ~/.pgpass may hold it"
    else:
        what, remedy = f"the query failed: {said}", "mend the --query; only reading is allowed"
    return SourceError(what, remedy, file=shown)


def _secrets(url: str) -> list[str]:
    parsed = _parsed(url)
    inside = [text for key in parsed.query if _SECRET.search(key) for text in _texts(parsed, key)]
    return [secret for secret in (parsed.password or "", *inside) if secret]


def _texts(parsed: URL, key: str) -> tuple[str, ...]:
    value = parsed.query.get(key, ())
    return (value,) if isinstance(value, str) else tuple(value)
