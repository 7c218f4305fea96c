"""The audit log: who trained, promoted, rolled back, erased, and made keys. It is only ever added to."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.workspace import Workspace

_actor: ContextVar[str] = ContextVar("actor", default="")


@dataclass(frozen=True)
class Entry:
    """One act: when, who, what, on what. `detail` holds counts and names, no text of examples or requests."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """What is done inside is done by `actor`; elsewhere it is the user of the machine who runs the process."""
    before = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(before)


def note(workspace: Workspace, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """Note an act by itself."""
    with workspace.database.begin() as connection:
        note_in(connection, action, subject, detail)


def note_in(connection: Connection, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """Note an act in the transaction that does it, so that there is never one without the other."""
    values = {"at": db.now(), "actor": _actor.get() or _user(), "action": action, "subject": subject}
    connection.execute(insert(tables.audit).values(**values, detail=dict(detail or {})))


def entries(workspace: Workspace, subject: str = "", *, newest: int) -> list[Entry]:
    """The newest acts, oldest of them first.

    Args:
        subject: only those on this key, task, or version, or on a version of this task.
        newest: at most so many; 0 for all.
    """
    table = tables.audit
    query = select(table).order_by(table.c.id.desc())
    if subject:
        query = query.where((table.c.subject == subject) | table.c.subject.startswith(f"{subject}@", autoescape=True))
    if newest:
        query = query.limit(newest)
    with workspace.database.read() as connection:
        rows = connection.execute(query).mappings().all()
    return [Entry(**row) for row in reversed(rows)]


def _user() -> str:
    try:
        return f"user {getpass.getuser()}"
    except (OSError, KeyError):  # a container may have a number without a name
        return f"user {os.getuid()}"
