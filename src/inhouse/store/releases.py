"""Which versions are being tried beside the champion, and which a running server is to load before they serve."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, insert, or_, select, update

from inhouse.store import audit, tables
from inhouse.store import database as db
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


# ---------------------------------------------------------------------- canaries

CANARY = "canary"
RUNNING, RETURNED, ENDED = "running", "returned", "ended"
# What a Trace's tag `outcome` says of a request that tells nothing of the version: it could not be read, or the client
# left.
NOT_COUNTED = ("refused", "left")


@dataclass(frozen=True, slots=True)
class Arm:
    """What a version did: requests, those without a valid answer of its own, those for a person or another model."""

    requests: int = 0
    errors: int = 0
    reviews: int = 0


@dataclass(frozen=True, slots=True)
class Canary:
    """A candidate that gets a share of its task's traffic: `running`, `returned` to the champion, or `ended`.

    `counts` is what the sequential tests know.
    """

    id: int
    task: str
    number: int
    share: float
    state: str
    counts: dict[str, Any]
    reason: str
    at: str

    @property
    def champion(self) -> int:
        """The number of the version that it is compared with."""
        return int(self.counts["champion"])


def last_canary(workspace: Workspace, task: str) -> Canary | None:
    """The newest of a task, running or not."""
    with workspace.database.read() as connection:
        return _last_canary(connection, task)


def _last_canary(connection: Connection, task: str) -> Canary | None:
    table = tables.releases
    query = select(table).where(table.c.task == task, table.c.kind == CANARY).order_by(table.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else Canary(**{name: value for name, value in row.items() if name != "kind"})


def was_returned(workspace: Workspace, task: str, number: int) -> bool:
    """Whether a version was returned before: it is not tried again by itself."""
    table = tables.releases
    query = select(table.c.id).where(
        table.c.task == task, table.c.kind == CANARY, table.c.number == number, table.c.state == RETURNED
    )
    with workspace.database.read() as connection:
        return connection.execute(query).first() is not None


def begin_canary(workspace: Workspace, task: str, number: int, champion: int, share: float) -> None:
    """Let a version have a share of the traffic."""
    counts = {"champion": champion}
    values = {"task": task, "kind": CANARY, "number": number, "share": share, "counts": counts, "at": db.now()}
    with workspace.database.begin() as connection:
        connection.execute(insert(tables.releases).values(**values, state=RUNNING, reason=""))
        audit.note_in(connection, "canary begins", f"{task}@{number}", {"share": share, "champion": champion})


def end_canary(workspace: Workspace, canary: Canary, state: str, reason: str) -> None:
    """Let it have none any more."""
    with workspace.database.begin() as connection:
        _end(connection, canary, state, reason)


def _end(connection: Connection, canary: Canary, state: str, reason: str) -> None:
    table = tables.releases
    here = (table.c.id == canary.id, table.c.state == RUNNING)
    if connection.execute(update(table).where(*here).values(state=state, reason=reason)).rowcount:
        audit.note_in(connection, f"canary {state}", f"{canary.task}@{canary.number}", {"reason": reason})


Weigh = Callable[[Canary, Arm, Arm], tuple[dict[str, Any], str]]


def weigh_canary(workspace: Workspace, task: str, weigh: Weigh) -> None:
    """Weigh what was answered since; nothing where none is running.

    Args:
        weigh: of the canary, what the champion did and what the candidate did in its time: what is known now, and why
            it is to be returned, empty where it is not.
    """
    with workspace.database.read() as connection:  # counting takes its time, and must keep no Trace waiting
        canary = _last_canary(connection, task)
        if canary is None or canary.state != RUNNING:
            return
        arms = _arms(connection, canary)
    counts, reason = weigh(canary, arms["champion"], arms[CANARY])
    with workspace.database.begin() as connection:
        now = _last_canary(connection, task)
        if now != canary:  # another server weighed it meanwhile
            return
        connection.execute(update(tables.releases).where(tables.releases.c.id == canary.id).values(counts=counts))
        if reason:
            _end(connection, canary, RETURNED, reason)


def _arms(connection: Connection, canary: Canary) -> dict[str, Arm]:
    """What champion and candidate did for requests to the task's name, also where a fallback answered instead."""
    traces = tables.traces
    tags = traces.c.tags
    route = func.coalesce(tags["route"].as_string(), traces.c.route)
    helped = tags["because"].as_string()
    invalid = or_(and_(traces.c.output.is_(None), helped.is_(None)), helped.in_(("invalid", "late", "fault")))
    query = (
        select(route, func.count(), _how_many(invalid), _how_many(or_(traces.c.needs_review, helped.is_not(None))))
        .where(traces.c.task == canary.task, traces.c.created_at >= canary.at)
        .where(func.coalesce(tags["outcome"].as_string(), "").not_in(NOT_COUNTED))
        .where(
            or_(
                and_(route == "champion", _by(tags, traces) == f"{canary.task}@{canary.champion}"),
                and_(route == CANARY, _by(tags, traces) == f"{canary.task}@{canary.number}"),
            )
        )
        .group_by(route)
    )
    found = {name: Arm(*numbers) for name, *numbers in connection.execute(query)}
    return {"champion": Arm(), CANARY: Arm(), **found}


def _by(tags: ColumnElement[Any], traces: Table) -> ColumnElement[Any]:
    return func.coalesce(tags["instead_of"].as_string(), traces.c.model_version)


def _how_many(which: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((which, 1), else_=0))
