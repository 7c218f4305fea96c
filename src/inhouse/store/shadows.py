"""What candidates answered unseen, beside the answers that were given."""

from __future__ import annotations

from sqlalchemy import func, insert, select

from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.workspace import Workspace


def add(
    workspace: Workspace,
    *,
    trace: str,
    task: str,
    model_version: str,
    output: str | None,
    confidence: float,
    same: bool | None,
    latency_ms: float,
    error: str | None,
) -> bool:
    """Keep one, unless its request is not kept (any more), or it was answered before; whether it was."""
    table, traces = tables.shadow_answers, tables.traces
    said = {"output": output, "confidence": confidence, "same": same, "latency_ms": latency_ms, "error": error}
    here = (table.c.trace == trace, table.c.model_version == model_version)
    with workspace.database.begin() as connection:
        known = connection.execute(select(traces.c.id).where(traces.c.id == trace)).first()
        if known is None or connection.execute(select(table.c.trace).where(*here)).first() is not None:
            return False
        connection.execute(
            insert(table).values(trace=trace, task=task, model_version=model_version, created_at=db.now(), **said)
        )
    return True


def counts(workspace: Workspace, task: str, model_version: str, champion: str) -> dict[bool | None, int]:
    """How many of a candidate's answers were the same as the champion's, how many others, and (None) how many none."""
    table, traces = tables.shadow_answers, tables.traces
    query = (
        select(table.c.same, func.count())
        .join(traces, traces.c.id == table.c.trace)
        .where(table.c.task == task, table.c.model_version == model_version, traces.c.model_version == champion)
        .group_by(table.c.same)
    )
    with workspace.database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}
