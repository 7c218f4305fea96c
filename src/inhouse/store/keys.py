"""Access keys: made, found by their secret, revoked. Only a hash of the secret is kept."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import RowMapping, insert, select, update

from inhouse.errors import NotFound, UsageError, did_you_mean
from inhouse.store import audit, tables
from inhouse.store import database as db
from inhouse.store.workspace import Workspace

Scope = Literal["infer", "train", "review", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "sk-inhouse-"
# 256 bits: no guess finds one, so a plain hash keeps it as well as a slow one would.
SECRET_BYTES = 32
MOST_DAYS = 36500


@dataclass(frozen=True)
class ApiKey:
    """An access key, without its secret.

    Attributes:
        hint: the last letters of the secret, to recognise it by.
        tasks: the tasks that it may use; None for all, and for what belongs to no task.
        per_minute: how many requests a minute it may make; None for any number.
    """

    id: str
    name: str
    hint: str
    scopes: tuple[Scope, ...]
    tasks: tuple[str, ...] | None
    per_minute: int | None
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None

    @property
    def in_force(self) -> bool:
        """Whether it opens anything: neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or db.now() < self.expires_at)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**vars(self), "in_force": self.in_force}


def create(
    workspace: Workspace,
    name: str,
    *,
    scopes: Collection[str] = ("infer",),
    tasks: Collection[str] = (),
    per_minute: int | None = None,
    days: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; return it with its secret, which is kept nowhere.

    Args:
        scopes: what it may do; `admin` includes all others.
        tasks: the tasks that it may use; none named: all, and the base models.
        per_minute: how many requests a minute it may make; None: any number.
        days: how long it is in force; None: until it is revoked.

    Raises:
        UsageError: an unknown scope, a number out of range, a name without letters or in use by a key in force.
        NotFound: there is no such task.
    """
    name = _checked_name(workspace, name)
    for scope in scopes:
        if scope not in SCOPES:
            raise UsageError(f"unknown scope {scope!r}", f"{did_you_mean(scope, SCOPES)}known are {', '.join(SCOPES)}")
    if per_minute is not None and per_minute < 1:
        raise UsageError(f"{per_minute} requests a minute are none", "give at least 1, or leave the limit out")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise UsageError(f"{days} days cannot be set", f"give 1 to {MOST_DAYS}, or leave it out")
    for task in tasks:
        workspace.load_task(task)
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        id=f"key_{uuid.uuid4().hex[:12]}",
        name=name,
        hint=secret[-4:],
        scopes=tuple(s for s in SCOPES if s in (scopes or ("infer",))),
        tasks=tuple(sorted(set(tasks))) or None,
        per_minute=per_minute,
        created_at=db.now(),
        expires_at=None if days is None else db.from_now(days * 86_400),
    )
    with workspace.database.begin() as connection:
        connection.execute(insert(tables.api_keys).values(**vars(key), hash=hash_of(secret)))
        may = {"scopes": key.scopes, "tasks": key.tasks, "per_minute": per_minute, "expires_at": key.expires_at}
        audit.note_in(connection, "keys create", key.id, {"name": name, **may})
    return key, secret


def _checked_name(workspace: Workspace, name: str) -> str:
    name = name.strip()
    if not name or not name.isprintable() or len(name) > 100:
        raise UsageError(f"{name[:100]!r} cannot be a key's name", "give 1 to 100 letters, such as `web-shop`")
    if any(key.name == name and key.in_force for key in every(workspace)):
        raise UsageError(f"a key named {name!r} is in force", f"take another name, or: inhouse keys revoke {name}")
    return name


def every(workspace: Workspace) -> list[ApiKey]:
    """All keys ever made, oldest first."""
    return list(by_hash(workspace).values())


def by_hash(workspace: Workspace) -> dict[str, ApiKey]:
    """All keys ever made by the hash of their secret, oldest first."""
    table = tables.api_keys
    with workspace.database.read() as connection:
        rows = connection.execute(select(table).order_by(table.c.created_at)).mappings().all()
    return {row["hash"]: _key(row) for row in rows}


def _key(row: RowMapping) -> ApiKey:
    values = {name: row[name] for name in ApiKey.__dataclass_fields__}
    values["scopes"] = tuple(row["scopes"])
    values["tasks"] = None if row["tasks"] is None else tuple(row["tasks"])
    return ApiKey(**values)


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def revoke(workspace: Workspace, which: str) -> ApiKey:
    """End a key, by its id or name, for good.

    Raises:
        NotFound: no key in force is called so.
    """
    in_force = [key for key in every(workspace) if key.in_force]
    found = next((key for key in in_force if which in (key.id, key.name)), None)
    if found is None:
        raise NotFound(f"no key in force is called {which!r}", _remedy(which, in_force))
    table = tables.api_keys
    with workspace.database.begin() as connection:
        connection.execute(update(table).where(table.c.id == found.id).values(revoked_at=db.now()))
        audit.note_in(connection, "keys revoke", found.id, {"name": found.name})
    return next(key for key in every(workspace) if key.id == found.id)


def _remedy(which: str, in_force: Sequence[ApiKey]) -> str:
    names = [key.name for key in in_force]
    return f"{did_you_mean(which, names)}in force are {', '.join(names)}" if names else "there is none in force"
