"""Names that jobs gave to versions: `ft:base:inhouse:suffix:id`, and the same with `:ckpt-step-N`."""

from __future__ import annotations

from sqlalchemy import insert, select, text, update

from inhouse.errors import ModelNotFound, Refused
from inhouse.store import audit, registry, tables
from inhouse.store import database as db
from inhouse.store.workspace import Workspace

PREFIX = "ft:"
CHECKPOINT = ":ckpt-step-"
_MEANT = "SELECT task, number FROM model_names WHERE name = :name AND deleted_at IS NULL"


def add(workspace: Workspace, name: str, task: str, number: int, job: str) -> None:
    """Name a version, unless it has that name already; a name that was deleted stays so."""
    table = tables.model_names
    named = select(table.c.name).where(table.c.name == name, table.c.task == task, table.c.number == number)
    with workspace.database.begin() as connection:
        if connection.scalar(named) is None:
            values = {"name": name, "task": task, "number": number, "job": job, "created_at": db.now()}
            connection.execute(insert(table).values(**values))


def find(workspace: Workspace, name: str) -> tuple[str, int] | None:
    """The task and the number of the version that a name means; None where there is none, or it was deleted."""
    with workspace.database.read() as connection:
        row = connection.execute(text(_MEANT), {"name": name}).first()
    return None if row is None else (row.task, row.number)


def find_at_once(workspace: Workspace, name: str) -> tuple[str, int] | None:
    """The same for who may not wait; None also where it cannot be told so (see `Database.at_once`)."""
    rows = workspace.database.at_once(_MEANT, name=name)
    return rows[0] if rows else None


def every(workspace: Workspace) -> list[tuple[str, str, int]]:
    """All names with the task and the number of the version, in the order in which they were given."""
    table = tables.model_names
    query = select(table.c.name, table.c.task, table.c.number).where(table.c.deleted_at.is_(None))
    with workspace.database.read() as connection:
        rows = connection.execute(query.order_by(table.c.created_at, table.c.name))
        return [(row.name, row.task, row.number) for row in rows]


def delete(workspace: Workspace, name: str) -> None:
    """Take a name away, and from a model the names of its checkpoints; the versions stay with their task.

    Raises:
        ModelNotFound: there is no such name.
        Refused: a version that it names is its task's champion.
    """
    table = tables.model_names
    own = (table.c.name == name) | table.c.name.startswith(f"{name}{CHECKPOINT}", autoescape=True)
    query = select(table.c.name, table.c.task, table.c.number).where(own, table.c.deleted_at.is_(None))
    with workspace.database.read() as connection:
        named = connection.execute(query).all()
    if name not in [row.name for row in named]:
        raise ModelNotFound(f"The model `{name}` does not exist")
    for row in named:
        if registry.alias_number(workspace, row.task, registry.CHAMPION) == row.number:
            raise Refused(
                f"`{row.name}` is the champion of the task {row.task}, which serves",
                f"promote another version first, or `inhouse rollback {row.task}`",
            )
    with workspace.database.begin() as connection:
        connection.execute(update(table).where(own, table.c.deleted_at.is_(None)).values(deleted_at=db.now()))
        audit.note_in(connection, "delete model", name, {"versions": [f"{row.task}@{row.number}" for row in named]})
