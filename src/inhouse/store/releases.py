"""Which versions are being tried beside the champion, and which a running server is to load before they serve."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import insert, select, update

from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.paths import disk_guard
from inhouse.store.workspace import Workspace

PROMOTION = "promotion"
LOADING, LOADED, FAILED = "loading", "loaded", "failed"


@contextmanager
def serving(workspace: Workspace) -> Iterator[None]:
    """While inside, this process serves the workspace; the system knows when it has died, however it did."""
    with _lock(workspace) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_served(workspace: Workspace) -> bool:
    """Whether some process on this machine serves the workspace."""
    with _lock(workspace) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _lock(workspace: Workspace) -> IO[str]:
    file: Path = workspace.paths.root / "locks" / "serving.lock"
    with disk_guard(workspace.paths.root):
        file.parent.mkdir(exist_ok=True)
    return file.open("a")


def ask_to_load(workspace: Workspace, task: str, number: int) -> int:
    """Ask the server to load a version that is about to serve; the id of the wish."""
    values = {"task": task, "kind": PROMOTION, "number": number, "state": LOADING, "counts": {}, "reason": ""}
    with workspace.database.begin() as connection:
        made = connection.execute(insert(tables.releases).values(**values, at=db.now()).returning(tables.releases.c.id))
        return int(made.scalar_one())


def to_load(workspace: Workspace) -> list[tuple[int, str, int]]:
    """What is to be loaded: id of the wish, task, number."""
    table = tables.releases
    query = select(table.c.id, table.c.task, table.c.number).where(table.c.kind == PROMOTION, table.c.state == LOADING)
    with workspace.database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(table.c.id))]


def told(workspace: Workspace, wish: int, state: str, reason: str = "") -> None:
    """Note what became of a wish."""
    table = tables.releases
    with workspace.database.begin() as connection:
        connection.execute(update(table).where(table.c.id == wish).values(state=state, reason=reason))


def state_of(workspace: Workspace, wish: int) -> tuple[str, str]:
    """What became of a wish, and why."""
    table = tables.releases
    with workspace.database.read() as connection:
        return tuple(connection.execute(select(table.c.state, table.c.reason).where(table.c.id == wish)).one())
