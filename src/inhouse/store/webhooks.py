"""Webhook endpoints: where events are told of, and the secrets that these messages are signed with."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from inhouse.errors import InputError, NotFound
from inhouse.store import audit, tables
from inhouse.store import database as db
from inhouse.store.vault import mask_key, seal, unseal
from inhouse.store.workspace import Workspace

# What is told of: how jobs of two kinds end.
EventType = Literal[
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
_KINDS = {"batch": "batch", "fine-tune": "fine_tuning.job"}
PREFIX = "whsec_"
SECRET_BYTES = 32
OLD_SECONDS = 86_400
_MAGIC = b"inhouse-webhook-1\n"


@dataclass(frozen=True)
class Endpoint:
    """An address that is told of events, without its secret."""

    id: str
    name: str
    url: str
    event_types: tuple[str, ...]
    created_at: str
    updated_at: str


def create(workspace: Workspace, name: str, url: str, event_types: Collection[str]) -> tuple[Endpoint, str]:
    """Keep an endpoint; return it with its secret, which is never shown again.

    Raises:
        ConfigError: there is no key to keep the secret with, and none can be made.
    """
    secret, at = _new_secret(), db.now()
    made = Endpoint(f"we_{uuid.uuid4().hex[:24]}", name, url, tuple(event_types), at, at)
    sealed = _sealed(workspace, secret)
    with workspace.database.begin() as connection:
        values = {**vars(made), "event_types": list(event_types)}
        connection.execute(insert(tables.webhook_endpoints).values(**values, secret=sealed))
        audit.note_in(connection, "webhook create", made.id, {"name": name, "event_types": list(event_types)})
    return made, secret


def find(workspace: Workspace, endpoint: str) -> Endpoint:
    """The endpoint with that id.

    Raises:
        NotFound: there is none.
    """
    return _endpoint(_row(workspace, endpoint))


def newest(workspace: Workspace, *, limit: int, after: str = "") -> list[Endpoint]:
    """Endpoints, newest first.

    Args:
        after: the id of the last one of the page before.

    Raises:
        NotFound: there is no endpoint `after`.
    """
    table = tables.webhook_endpoints
    query = db.paged(select(table), table, find(workspace, after) if after else None)
    with workspace.database.read() as connection:
        return [_endpoint(row) for row in connection.execute(query.limit(limit)).mappings()]


def change(workspace: Workspace, endpoint: str, **values: Any) -> Endpoint:  # noqa: ANN401 - columns
    """Set its name, URL or event types.

    Raises:
        NotFound: there is none.
    """
    table, before = tables.webhook_endpoints, vars(find(workspace, endpoint))
    new = {key: list(value) if key == "event_types" else value for key, value in values.items()}
    if any(before[key] != (tuple(value) if key == "event_types" else value) for key, value in new.items()):
        with workspace.database.begin() as connection:
            connection.execute(update(table).where(table.c.id == endpoint).values(**new, updated_at=db.now()))
            audit.note_in(connection, "webhook update", endpoint, {key: new[key] for key in new if key != "url"})
    return find(workspace, endpoint)


def remove(workspace: Workspace, endpoint: str) -> None:
    """Tell an address nothing more.

    Raises:
        NotFound: there is none.
    """
    find(workspace, endpoint)
    table = tables.webhook_endpoints
    with workspace.database.begin() as connection:
        connection.execute(delete(table).where(table.c.id == endpoint))
        audit.note_in(connection, "webhook delete", endpoint)


def rotate(workspace: Workspace, endpoint: str, *, keep_old: bool) -> tuple[Endpoint, str]:
    """Give an endpoint another secret.

    Args:
        keep_old: messages are signed with the one before as well, for a day.

    Raises:
        NotFound: there is none.
    """
    row, secret, table = _row(workspace, endpoint), _new_secret(), tables.webhook_endpoints
    old = {
        "old_secret": row["secret"] if keep_old else None,
        "old_until": db.from_now(OLD_SECONDS) if keep_old else None,
    }
    values = {"secret": _sealed(workspace, secret), **old, "updated_at": db.now()}
    with workspace.database.begin() as connection:
        connection.execute(update(table).where(table.c.id == endpoint).values(**values))
        audit.note_in(connection, "webhook rotate", endpoint, {"keep_old": keep_old})
    return find(workspace, endpoint), secret


def secrets_of(workspace: Workspace, endpoint: str) -> list[bytes]:
    """The secrets that a message to it is signed with now, the newest first.

    Raises:
        NotFound: there is no such endpoint.
        ConfigError, InputError: there is no key to read them with, or another one.
    """
    row, key = _row(workspace, endpoint), mask_key(workspace.paths.root, make=False)
    sealed = [row["secret"]]
    if row["old_secret"] is not None and row["old_until"] > db.now():
        sealed.append(row["old_secret"])
    found = [unseal(one, key, _MAGIC) for one in sealed]
    if None in found:
        raise InputError(
            f"the secret of the webhook endpoint {endpoint} cannot be read with the key of {key.source}",
            "set INHOUSE_MASK_KEY to the key that it was kept with, or rotate the secret",
        )
    return [one for one in found if one is not None]


def announce_in(connection: Connection, kind: str, job: str, status: str) -> None:
    """Put a message into the queue for each endpoint that wants to be told how a job ended."""
    event = f"{_KINDS.get(kind)}.{status}"
    if event not in EVENT_TYPES:
        return
    table, at = tables.webhook_endpoints, db.now()
    for row in connection.execute(select(table.c.id, table.c.event_types)).all():
        if event in row.event_types:
            request = {"endpoint": row.id, "event": payload(event, job)}
            values = {"id": f"whd_{uuid.uuid4().hex[:24]}", "kind": "webhook", "status": "queued", "request": request}
            connection.execute(insert(tables.jobs).values(**values, digest="", created_at=at))


def payload(event: str, subject: str) -> dict[str, Any]:
    """What a message says: that something happened to something, and nothing of what that holds."""
    made = {"id": f"evt_{uuid.uuid4().hex[:24]}", "object": "event", "created_at": int(datetime.now(UTC).timestamp())}
    return {**made, "type": event, "data": {"id": subject}}


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _sealed(workspace: Workspace, secret: str) -> bytes:
    return seal(base64.b64decode(secret.removeprefix(PREFIX)), mask_key(workspace.paths.root), _MAGIC)


def _row(workspace: Workspace, endpoint: str) -> RowMapping:
    table = tables.webhook_endpoints
    with workspace.database.read() as connection:
        row = connection.execute(select(table).where(table.c.id == endpoint)).mappings().first()
    if row is None:
        raise NotFound(f"No such webhook endpoint: {endpoint}")
    return row


def _endpoint(row: RowMapping) -> Endpoint:
    values = {name: row[name] for name in Endpoint.__dataclass_fields__}
    return Endpoint(**{**values, "event_types": tuple(row["event_types"])})
