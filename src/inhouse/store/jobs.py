"""The queue of jobs: who may work on one (a lease), what was said of it (events), what it made (checkpoints).

A job is open until it has `finished_at`; its `status` is a word of its kind. Who works on a job holds its lease and
renews it by `beat`; a lease that was not renewed is anybody's, so that a job outlives whoever worked on it.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, insert, or_, select, update

from inhouse.errors import NotFound
from inhouse.store import audit, tables, webhooks
from inhouse.store import database as db
from inhouse.store.workspace import Workspace

JobKind = Literal["fine-tune", "batch", "webhook"]
Level = Literal["info", "warn", "error"]

# How long a lease lasts that is not renewed, and how often it is.
LEASE_SECONDS, BEAT_SECONDS = 60.0, 15.0
# Within so long the same request, sent again by a client that got no answer, is the same job. Clients wait ten minutes.
SAME_SECONDS = 900.0

_EVENT, _CHECKPOINT = "ftevent-", "ftckpt_"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `wish` is what somebody wants of whoever works on it: `pause`, or nothing.

    Attributes:
        request: the body that made it.
        digest: of who sent what, by which the same request sent again is known.
        attempts: how often whoever worked on it broke off.
        not_before: it is not worked on earlier.
        error: `code`, `message` and `param` of a job that failed.
        result: what it has made so far.
        key: the id of the access key that made it; empty without one.
    """

    id: str
    kind: JobKind
    status: str
    request: dict[str, Any]
    digest: str = ""
    task: str | None = None
    run: str | None = None
    model_version: int | None = None
    wish: str = ""
    lease_owner: str | None = None
    lease_until: str | None = None
    attempts: int = 0
    not_before: str | None = None
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    key: str = ""
    created_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.finished_at is None

    @property
    def is_leased(self) -> bool:
        """Whether somebody works on it now."""
        return self.lease_until is not None and self.lease_until > db.now()


class ColumnsAtEnd(TypedDict, total=False):
    """What may be set of a job beside its status; see `Job`."""

    run: str | None
    model_version: int | None
    wish: str
    attempts: int
    not_before: str | None
    error: dict[str, Any] | None
    result: dict[str, Any] | None
    started_at: str | None


class Columns(ColumnsAtEnd, total=False):
    """What may be set of a job."""

    status: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was said of a job."""

    id: str
    level: Level
    type: Literal["message", "metrics"]
    message: str
    data: dict[str, Any] | None
    created_at: str


@dataclass(frozen=True, slots=True)
class JobCheckpoint:
    """A model of a job as it was after a step, under a name of its own."""

    id: str
    job: str
    step: int
    name: str
    metrics: dict[str, float]
    created_at: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and whether there is more of it."""

    rows: list[T]
    has_more: bool


def page_of(rows: list[T], limit: int) -> Page[T]:
    """The first `limit` of rows, of which one more was asked for."""
    return Page(rows[:limit], len(rows) > limit)


def new_id(prefix: str) -> str:
    """A new id of 24 letters and digits behind its prefix."""
    return f"{prefix}{uuid.uuid4().hex[:24]}"


# ---------------------------------------------------------------------- making and finding


def add(workspace: Workspace, job: Job, *, sent_again: bool = False, act: str = "") -> tuple[Job, bool]:
    """Put a job into the queue.

    Args:
        sent_again: the client says that it sent this before: what it sent then is the job, where it came through.
        act: what the audit log calls it; empty: it is not noted there.

    Returns:
        The job, and whether it is new.
    """
    table = tables.jobs
    with workspace.database.begin() as connection:
        if sent_again and job.digest:
            recent = and_(table.c.digest == job.digest, table.c.created_at > db.from_now(-SAME_SECONDS))
            row = connection.execute(select(table).where(recent).order_by(table.c.created_at.desc())).mappings().first()
            if row is not None:
                return _job(row), False
        values = {field.name: getattr(job, field.name) for field in fields(Job)} | {"created_at": db.now()}
        connection.execute(insert(table).values(**values))
        if act:
            audit.note_in(connection, act, job.id)
    return Job(**values), True


def find(workspace: Workspace, job: str, kind: JobKind | None = None) -> Job:
    """The job with that id.

    Raises:
        NotFound: there is none, or it is of another kind.
    """
    with workspace.database.read() as connection:
        found = _find(connection, job)
    if found is None or (kind is not None and found.kind != kind):
        raise NotFound(f"there is no job {job!r}", "list the jobs to see their ids")
    return found


def newest(
    workspace: Workspace,
    kind: JobKind,
    *,
    after: str = "",
    limit: int = 20,
    matches: Callable[[Job], bool] = lambda _: True,
) -> Page[Job]:
    """Jobs of a kind, the newest first.

    Args:
        after: the id of the last one of the page before.

    Raises:
        NotFound: there is no job `after`.
    """
    table = tables.jobs
    last = find(workspace, after, kind) if after else None
    query = db.paged(select(table).where(table.c.kind == kind), table, last)
    found: list[Job] = []
    with workspace.database.read() as connection:
        for row in connection.execute(query).mappings():
            if matches(job := _job(row)):
                found.append(job)
            if len(found) > limit:
                break
    return page_of(found, limit)


def change(workspace: Workspace, job: str, *, owner: str = "", **values: Unpack[Columns]) -> Job | None:
    """Set columns of an open job; None where it has ended meanwhile.

    Args:
        owner: only while this one holds the lease.
    """
    return _change(workspace, job, owner, values)


def _change(workspace: Workspace, job: str, owner: str, values: Mapping[str, Any]) -> Job | None:
    with workspace.database.begin() as connection:
        return _change_in(connection, job, owner, values)


def _change_in(connection: Connection, job: str, owner: str, values: Mapping[str, Any]) -> Job | None:
    table = tables.jobs
    here = [table.c.id == job, table.c.finished_at.is_(None), *([table.c.lease_owner == owner] if owner else [])]
    if connection.execute(update(table).where(*here).values(**values)).rowcount == 0:
        return None
    return _find(connection, job)


def finish(
    workspace: Workspace,
    job: str,
    status: str,
    *,
    owner: str = "",
    act: str = "",
    **values: Unpack[ColumnsAtEnd],
) -> Job | None:
    """End an open job with its last status, and tell webhooks; None where it has ended already. See `change`, `add`."""
    free = {"finished_at": db.now(), "lease_owner": None, "lease_until": None, "wish": ""}
    with workspace.database.begin() as connection:
        ended = _change_in(connection, job, owner, {"status": status, **free, **values})
        if ended is not None:
            webhooks.announce_in(connection, ended.kind, ended.id, status)
            if act:
                audit.note_in(connection, act, job)
    return ended


def claim_task(workspace: Workspace, job: str, names: Iterable[str]) -> str:
    """The task of a job: the one that it has, else the first of these names that no other job has, which is then its
    own."""
    table = tables.jobs
    with workspace.database.begin() as connection:
        task: str | None = connection.scalar(select(table.c.task).where(table.c.id == job))
        if task is None:
            others = set(connection.scalars(select(table.c.task).where(table.c.task.is_not(None))))
            task = next(name for name in names if name not in others)
            connection.execute(update(table).where(table.c.id == job).values(task=task))
    return task


# ---------------------------------------------------------------------- leases


def new_owner(workspace: Workspace) -> str:
    """A name for a process that works on jobs: this machine, this folder, and a part of its own."""
    return f"{_owners_here(workspace)}{uuid.uuid4().hex[:12]}"


def lease(workspace: Workspace, owner: str, kinds: Collection[JobKind], seconds: float = LEASE_SECONDS) -> Job | None:
    """The oldest open job that nobody works on, now leased to `owner`; None where there is none."""
    table = tables.jobs
    free = _free(kinds)
    query = select(table.c.id).where(free).order_by(table.c.created_at, table.c.id).limit(1)
    with workspace.database.read() as connection:  # most often there is none: no lock is taken to see it
        if connection.scalar(query) is None:
            return None
    with workspace.database.begin() as connection:
        job = connection.scalar(query.with_for_update(skip_locked=True))
        if job is None:
            return None
        leased = {"lease_owner": owner, "lease_until": db.from_now(seconds)}
        connection.execute(update(table).where(table.c.id == job).values(**leased))
        return _find(connection, job)


def beat(workspace: Workspace, job: str, owner: str, seconds: float = LEASE_SECONDS) -> bool:
    """Renew a lease; False where it is another's by now, or the job has ended: the work on it is to stop."""
    return _change(workspace, job, owner, {"lease_until": db.from_now(seconds)}) is not None


def release(workspace: Workspace, job: str, owner: str, **values: Unpack[Columns]) -> Job | None:
    """Give a lease back, and set columns. See `change`."""
    return _change(workspace, job, owner, {"lease_owner": None, "lease_until": None, **values})


def free_leases_here(workspace: Workspace) -> int:
    """Free the leases of processes of this machine and folder that are gone; how many.

    For who holds the worker's lock, which says that no other one lives.
    """
    table = tables.jobs
    held = table.c.lease_owner.startswith(_owners_here(workspace), autoescape=True)
    with workspace.database.begin() as connection:
        return connection.execute(update(table).where(held).values(lease_owner=None, lease_until=None)).rowcount


def any_open(workspace: Workspace, kinds: Collection[JobKind]) -> bool:
    """Whether a job waits that can be worked on, or is worked on."""
    table = tables.jobs
    query = select(table.c.id).where(table.c.kind.in_(kinds), table.c.finished_at.is_(None), table.c.wish != "pause")
    with workspace.database.read() as connection:
        return connection.scalar(query.limit(1)) is not None


def _free(kinds: Collection[JobKind]) -> ColumnElement[bool]:
    table, now = tables.jobs, db.now()
    return and_(
        table.c.kind.in_(kinds),
        table.c.finished_at.is_(None),
        table.c.wish != "pause",
        or_(table.c.lease_until.is_(None), table.c.lease_until < now),
        or_(table.c.not_before.is_(None), table.c.not_before <= now),
    )


def _owners_here(workspace: Workspace) -> str:
    return f"{socket.gethostname()}:{workspace.paths.root}:"


# ---------------------------------------------------------------------- events


def tell(
    workspace: Workspace,
    job: str,
    message: str,
    *,
    level: Level = "info",
    data: Mapping[str, Any] | None = None,
    metrics: bool = False,
    once: bool = False,
) -> None:
    """Say something of a job.

    Args:
        metrics: `data` is what was measured at a step.
        once: unless it was said before: work that was broken off and goes on says it again.
    """
    table = tables.job_events
    with workspace.database.begin() as connection:
        if once and connection.scalar(select(table.c.id).where(table.c.job == job, table.c.message == message)):
            return
        connection.execute(
            insert(table).values(
                job=job,
                level=level,
                type="metrics" if metrics else "message",
                message=message,
                data=None if data is None else dict(data),
                created_at=db.now(),
            )
        )


def events(workspace: Workspace, job: str, *, after: str = "", limit: int = 20) -> Page[Event]:
    """What was said of a job, the newest first.

    Args:
        after: the id of the last one of the page before.

    Raises:
        NotFound: there is no such event of this job.
    """
    table = tables.job_events
    query = select(table).where(table.c.job == job).order_by(table.c.id.desc()).limit(limit + 1)
    with workspace.database.read() as connection:
        if after:
            number = _number(after)
            if connection.scalar(select(table.c.id).where(table.c.job == job, table.c.id == number)) is None:
                raise NotFound(
                    f"there is no event {after!r} of the job {job}", "take the id of the last event you have"
                )
            query = query.where(table.c.id < number)
        rows = connection.execute(query).mappings().all()
    return page_of([_event(row) for row in rows], limit)


def last_measured(workspace: Workspace, job: str) -> dict[str, Any]:
    """What was said last of what a step measured; empty where nothing was."""
    table = tables.job_events
    query = select(table.c.data).where(table.c.job == job, table.c.type == "metrics").order_by(table.c.id.desc())
    with workspace.database.read() as connection:
        data: dict[str, Any] | None = connection.scalar(query.limit(1))
    return data or {}


def _event(row: RowMapping) -> Event:
    kept = {name: row[name] for name in ("level", "type", "message", "data", "created_at")}
    return Event(id=f"{_EVENT}{row['id']:024d}", **kept)


def _number(event: str) -> int:
    digits = event.removeprefix(_EVENT)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 24 else -1


# ---------------------------------------------------------------------- checkpoints


def add_checkpoint(workspace: Workspace, job: str, step: int, name: str, metrics: Mapping[str, float]) -> None:
    """Keep a checkpoint of a job, unless it is there."""
    table = tables.job_checkpoints
    with workspace.database.begin() as connection:
        if connection.scalar(select(table.c.id).where(table.c.job == job, table.c.step == step)) is None:
            values = {"id": new_id(_CHECKPOINT), "job": job, "step": step, "name": name, "metrics": dict(metrics)}
            connection.execute(insert(table).values(**values, created_at=db.now()))


def checkpoints(workspace: Workspace, job: str, *, after: str = "", limit: int = 10) -> Page[JobCheckpoint]:
    """The checkpoints of a job, the newest first.

    Args:
        after: the id of the last one of the page before.

    Raises:
        NotFound: there is no such checkpoint of this job.
    """
    table = tables.job_checkpoints
    query = select(table).where(table.c.job == job).order_by(table.c.step.desc()).limit(limit + 1)
    with workspace.database.read() as connection:
        if after:
            step = connection.scalar(select(table.c.step).where(table.c.job == job, table.c.id == after))
            if step is None:
                raise NotFound(f"there is no checkpoint {after!r} of the job {job}", "take the id of the last one")
            query = query.where(table.c.step < step)
        rows = connection.execute(query).mappings().all()
    return page_of([JobCheckpoint(**row) for row in rows], limit)


def _find(connection: Connection, job: str) -> Job | None:
    row = connection.execute(select(tables.jobs).where(tables.jobs.c.id == job)).mappings().first()
    return None if row is None else _job(row)


def _job(row: RowMapping) -> Job:
    return Job(**{field.name: row[field.name] for field in fields(Job)})
