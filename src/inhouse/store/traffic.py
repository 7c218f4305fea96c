"""Traces of served requests, and the feedback on them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import func, insert, select

from inhouse.core import Feedback, Trace
from inhouse.errors import NotFound
from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.workspace import Workspace

# The task of what a base model answered by its own name; no task can be called so.
NO_TASK = ""


def add_traces(workspace: Workspace, traces: Sequence[Trace]) -> None:
    """Store one or more served requests with their answers, all or none."""
    with workspace.database.begin() as connection:
        connection.execute(insert(tables.traces), [trace.model_dump() for trace in traces])


def add_trace(workspace: Workspace, trace: Trace) -> None:
    """Store one of them."""
    add_traces(workspace, [trace])


def find_trace(workspace: Workspace, trace: str, tasks: Collection[str] | None = None) -> Trace:
    """The trace with that id.

    Args:
        tasks: only where it is of one of them; None: of any.

    Raises:
        NotFound: no such answer was served.
    """
    with workspace.database.read() as connection:
        row = connection.execute(select(tables.traces).where(tables.traces.c.id == trace)).mappings().first()
    if row is None or (tasks is not None and row["task"] not in tasks):
        raise NotFound(f"no answer with the id {trace!r} was served here", "use the `id` of a chat completion")
    return Trace.model_validate(dict(row))


def traces(workspace: Workspace, task: str, model_version: str | None = None, *, newest: int = 0) -> list[Trace]:
    """The task's traces, oldest first; of one model version if named, and only so many of the newest if said."""
    table = tables.traces
    query = select(table).where(table.c.task == task).order_by(table.c.created_at.desc())
    if model_version is not None:
        query = query.where(table.c.model_version == model_version)
    if newest:
        query = query.limit(newest)
    with workspace.database.read() as connection:
        found = [Trace.model_validate(dict(r)) for r in connection.execute(query).mappings()]
    return found[::-1]


def judged(workspace: Workspace, task: str) -> list[tuple[Trace, Feedback]]:
    """Every trace that has feedback, with the latest on it; in the order of that feedback."""
    order = (tables.feedback.c.created_at, tables.feedback.c.id)
    with workspace.database.read() as connection:  # one look, so that both sides belong together
        opinions = connection.execute(
            select(tables.feedback)
            .join(tables.traces, tables.traces.c.id == tables.feedback.c.trace)
            .where(tables.traces.c.task == task)
            .order_by(*order)
        ).mappings()
        latest: dict[str, Feedback] = {}
        for row in opinions:
            latest.pop(row["trace"], None)
            latest[row["trace"]] = Feedback.model_validate(dict(row))
        rows = connection.execute(
            select(tables.traces).where(
                tables.traces.c.id.in_(select(tables.feedback.c.trace)), tables.traces.c.task == task
            )
        ).mappings()
        by_id = {r["id"]: Trace.model_validate(dict(r)) for r in rows}
    return [(by_id[trace], opinion) for trace, opinion in latest.items()]


def trace_count(workspace: Workspace, task: str) -> int:
    """How many requests of the task were served."""
    with workspace.database.read() as connection:
        count = select(func.count()).select_from(tables.traces).where(tables.traces.c.task == task)
        return connection.scalar(count) or 0


def add_feedback(workspace: Workspace, feedback: Feedback) -> Feedback:
    """Store an opinion on a trace under a new id; return it with id and time."""
    made = feedback.model_copy(update={"id": f"feedback-{uuid.uuid4().hex[:16]}", "created_at": db.now()})
    with workspace.database.begin() as connection:
        connection.execute(insert(tables.feedback).values(**made.model_dump()))
    return made
