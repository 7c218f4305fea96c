"""Model versions and their aliases: what serves, what wants to, and every move between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from inhouse.core import ModelVersion
from inhouse.errors import NotFound
from inhouse.store import audit, tables
from inhouse.store import database as db
from inhouse.store.workspace import Workspace

CHAMPION = "champion"
CANDIDATE = "candidate"
# In the lineage of a version whose own file is a prompt for a fine-tuned model: the SHA-256 of its weights.
WEIGHTS = "weights"
_STATE_OF_NUMBER = "SELECT number, changed_at FROM model_versions WHERE task = :task AND number = :which"
_STATE_OF_ALIAS = """
    SELECT versions.number, versions.changed_at
    FROM aliases JOIN model_versions AS versions ON versions.task = aliases.task AND versions.number = aliases.number
    WHERE aliases.task = :task AND aliases.alias = :which
"""


def add_version(workspace: Workspace, version: ModelVersion) -> ModelVersion:
    """Register a version under the task's next free number; return it with that number."""
    table = tables.model_versions
    with workspace.database.begin() as connection:
        newest = connection.scalar(select(func.max(table.c.number)).where(table.c.task == version.task)) or 0
        version = version.model_copy(update={"number": newest + 1, "created_at": db.now()})
        connection.execute(
            insert(table).values(
                task=version.task,
                number=version.number,
                run=version.run,
                version=version.model_dump(mode="json"),
                created_at=version.created_at,
                changed_at=version.created_at,
            )
        )
        action = "train" if version.fine_tuned else "make"
        audit.note_in(connection, action, version.name, {"contender": version.contender, "run": version.run})
    return version


def update_version(workspace: Workspace, version: ModelVersion) -> None:
    """Store what was learned about a version since (its report and evaluation)."""
    table = tables.model_versions
    with workspace.database.begin() as connection:
        connection.execute(
            update(table)
            .where(table.c.task == version.task, table.c.number == version.number)
            .values(version=version.model_dump(mode="json"), changed_at=db.now())
        )


def versions(workspace: Workspace, task: str) -> list[ModelVersion]:
    """All versions of a task, oldest first."""
    table = tables.model_versions
    with workspace.database.read() as connection:
        rows = connection.execute(select(table.c.version).where(table.c.task == task).order_by(table.c.number))
        return [ModelVersion.model_validate(r[0]) for r in rows]


def version_of_run(workspace: Workspace, run: str, steps: int, diverged_at: int = 0) -> ModelVersion | None:
    """The version that a run made after so many steps, if it was registered: a run that was stopped made one before.

    Those of its epochs (`epochs_of_run`) are others, though one may have as many steps.

    Args:
        diverged_at: the step after which it went back; 0 where it did not. The same step, come to again at another
            learning rate, has other weights.
    """
    key = (steps, diverged_at)
    made = (v for v in _of_run(workspace, run) if v.epoch is None)
    return next((v for v in made if (v.lineage.get("steps"), v.lineage.get("diverged_at", 0)) == key), None)


def epochs_of_run(workspace: Workspace, run: str) -> list[ModelVersion]:
    """The versions that were made of a run's epochs, the earliest epoch first."""
    return sorted((v for v in _of_run(workspace, run) if v.epoch is not None), key=lambda v: v.lineage["steps"])


def _of_run(workspace: Workspace, run: str) -> list[ModelVersion]:
    table = tables.model_versions
    with workspace.database.read() as connection:
        rows = connection.scalars(select(table.c.version).where(table.c.run == run).order_by(table.c.number)).all()
    return [ModelVersion.model_validate(row) for row in rows]


def newest(known: Sequence[ModelVersion]) -> ModelVersion | None:
    """The newest of a task's versions that a training, or an evaluation, was for: no epoch's."""
    return next((v for v in reversed(known) if v.epoch is None), None)


def find_version(workspace: Workspace, task: str, which: str | int) -> ModelVersion:
    """A version by number, by alias (`champion`, `candidate`) or `latest`.

    Raises:
        NotFound: there is none, with what there is.
    """
    known = versions(workspace, task)
    last = newest(known)
    number = last.number if which == "latest" and last else alias_number(workspace, task, str(which))
    if number is None and str(which).isascii() and str(which).isdecimal():
        number = int(which)
    for version in known:
        if version.number == number:
            return version
    if not known:
        raise NotFound(f"task {task!r} has no model version yet", f"train one first: `inhouse train {task}`")
    there = ", ".join(v.name for v in known)
    remedy = {
        CHAMPION: f"promote one first: `inhouse promote {task}`",
        CANDIDATE: f"evaluate one first: `inhouse evaluate {task}`",
    }.get(str(which), f"train one first: `inhouse train {task}`")
    raise NotFound(f"task {task!r} has no model version {which!r} (versions: {there})", remedy)


def state_of(workspace: Workspace, task: str, which: str | int) -> tuple[int, str] | None:
    """The number of the version that a number or an alias names, and when its record last changed; None: no such."""
    with workspace.database.read() as connection:
        row = connection.execute(text(_state(which)), {"task": task, "which": which}).first()
    return None if row is None else (row.number, row.changed_at)


def states(workspace: Workspace, task: str) -> dict[int, str]:
    """When the record of each version of a task last changed, by number, oldest first."""
    table = tables.model_versions
    query = select(table.c.number, table.c.changed_at).where(table.c.task == task).order_by(table.c.number)
    with workspace.database.read() as connection:
        return {row.number: row.changed_at for row in connection.execute(query)}


def state_at_once(workspace: Workspace, task: str, which: str | int) -> tuple[int, str] | None:
    """The same for who may not wait; None also where it cannot be told so (see `Database.at_once`)."""
    rows = workspace.database.at_once(_state(which), task=task, which=which)
    return rows[0] if rows else None


def _state(which: str | int) -> str:
    return _STATE_OF_NUMBER if isinstance(which, int) else _STATE_OF_ALIAS


def alias_number(workspace: Workspace, task: str, alias: str) -> int | None:
    """The version number that an alias points to."""
    table = tables.aliases
    with workspace.database.read() as connection:
        return connection.scalar(select(table.c.number).where(table.c.task == task, table.c.alias == alias))


def move_alias(
    workspace: Workspace, task: str, alias: str, number: int, *, action: str, forced: bool = False, reason: str = ""
) -> int | None:
    """Point an alias at a version and record the move; return where it pointed before."""
    with workspace.database.begin() as connection:
        return _move(connection, task, alias, number, action=action, forced=forced, reason=reason)


def _move(
    connection: Connection, task: str, alias: str, number: int, *, action: str, forced: bool, reason: str
) -> int | None:
    table = tables.aliases
    here = (table.c.task == task, table.c.alias == alias)
    before = connection.scalar(select(table.c.number).where(*here))
    if before is None:
        connection.execute(insert(table).values(task=task, alias=alias, number=number))
    else:
        connection.execute(update(table).where(*here).values(number=number))
    connection.execute(
        insert(tables.alias_moves).values(
            task=task,
            alias=alias,
            before=before,
            after=number,
            action=action,
            forced=forced,
            reason=reason,
            created_at=db.now(),
        )
    )
    if alias == CHAMPION:
        detail = {"before": before, "forced": forced, "reason": reason}
        audit.note_in(connection, action, f"{task}@{number}", detail)
    return before


def roll_back(workspace: Workspace, task: str, reason: str) -> tuple[int, int]:
    """Point `champion` at what it was before the last promotion not yet rolled back; return (from, to).

    Raises:
        NotFound: there is no earlier champion.
    """
    with workspace.database.begin() as connection:
        table = tables.alias_moves
        moves = connection.execute(
            select(table).where(table.c.task == task, table.c.alias == CHAMPION).order_by(table.c.id)
        ).mappings()
        line: list[int] = []
        for move in moves:
            if move["action"] == "rollback":
                line.pop()
            elif line[-1:] != [move["after"]]:  # the champion promoted again is no step
                line.append(move["after"])
        if len(line) < 2:
            raise NotFound(
                f"task {task!r} has no earlier champion to go back to",
                "only a second promotion can be rolled back; `inhouse status` shows the versions",
            )
        _move(connection, task, CHAMPION, line[-2], action="rollback", forced=False, reason=reason)
        return line[-1], line[-2]


def moves(workspace: Workspace, task: str) -> list[dict[str, Any]]:
    """Every move of the task's aliases, oldest first."""
    table = tables.alias_moves
    with workspace.database.read() as connection:
        rows = connection.execute(select(table).where(table.c.task == task).order_by(table.c.id)).mappings()
        return [dict(r) for r in rows]
