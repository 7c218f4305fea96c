"""Traces of served requests, and the feedback on them."""

from __future__ import annotations

import uuid

from sqlalchemy import func, insert, select

from inhouse.core import Feedback, Trace
from inhouse.errors import NotFound
from inhouse.store import database as db
from inhouse.store.workspace import Workspace


def add_trace(workspace: Workspace, trace: Trace) -> None:
    """Store one served request with its answer."""
    with workspace.database.begin() as connection:
        connection.execute(insert(db.traces).values(**trace.model_dump()))


def find_trace(workspace: Workspace, trace: str) -> Trace:
    """The trace with that id.

    Raises:
        NotFound: no such answer was served.
    """
    with workspace.database.begin() as connection:
        row = connection.execute(select(db.traces).where(db.traces.c.id == trace)).mappings().first()
    if row is None:
        raise NotFound(f"no answer with the id {trace!r} was served here", "use the `id` of a chat completion")
    return Trace.model_validate(dict(row))


def traces(workspace: Workspace, task: str, model_version: str | None = None) -> list[Trace]:
    """The task's traces, oldest first; of one model version if named."""
    table = db.traces
    query = select(table).where(table.c.task == task).order_by(table.c.created_at)
    if model_version is not None:
        query = query.where(table.c.model_version == model_version)
    with workspace.database.begin() as connection:
        return [Trace.model_validate(dict(r)) for r in connection.execute(query).mappings()]


def trace_count(workspace: Workspace, task: str) -> int:
    """How many requests of the task were served."""
    with workspace.database.begin() as connection:
        count = select(func.count()).select_from(db.traces).where(db.traces.c.task == task)
        return connection.scalar(count) or 0


def add_feedback(workspace: Workspace, feedback: Feedback) -> Feedback:
    """Store an opinion on a trace under a new id; return it with id and time."""
    made = feedback.model_copy(update={"id": f"feedback-{uuid.uuid4().hex[:16]}", "created_at": db.now()})
    with workspace.database.begin() as connection:
        connection.execute(insert(db.feedback).values(**made.model_dump()))
    return made


def feedback_of(workspace: Workspace, task: str) -> list[Feedback]:
    """All feedback on the task's traces, oldest first."""
    query = (
        select(db.feedback)
        .join(db.traces, db.traces.c.id == db.feedback.c.trace)
        .where(db.traces.c.task == task)
        .order_by(db.feedback.c.created_at)
    )
    with workspace.database.begin() as connection:
        return [Feedback.model_validate(dict(r)) for r in connection.execute(query).mappings()]
