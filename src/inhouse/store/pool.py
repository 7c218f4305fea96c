"""The pool of a task: records without a target, and what people answered to them until that is in the data.

A record is known by the `input_key` of its inputs: one that differs in case and white space alone is the same. It never
belongs to a dataset version; once it was labelled, `dataset` names the version in which it became an example.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from inhouse.core import Example, Provenance, input_key
from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.records import ancestry, latest_dataset, versions
from inhouse.store.workspace import Workspace

# The role of a file in the list of sources whose rows lie in the pool.
ROLE = "unlabelled"
# Ids that one statement takes.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """One record of the pool. `answer` is what a person said, `by` who; None as long as nobody did."""

    inputs: Mapping[str, str]
    group: str
    provenance: Provenance
    answer: str | None = None
    by: str = ""

    @property
    def id(self) -> str:
        """Shared by records that differ in case and white space alone."""
        return input_key(self.inputs)

    def example(self) -> Example:
        """The record with its answer as the target.

        Raises:
            ValueError: there is none.
        """
        if self.answer is None:
            raise ValueError(f"{self.provenance} has no answer")
        return Example(self.inputs, self.answer, self.group, self.provenance)


def add_records(
    workspace: Workspace, task: str, found: Iterable[PoolRecord], sources: Sequence[Mapping[str, Any]] = ()
) -> int:
    """Put records into the pool, and their files on the list of sources; how many the pool did not have.

    What another reading of the same file made of it goes, as far as nobody answered it.
    """
    table = tables.pool
    found = list(found)
    with workspace.database.begin() as connection:
        _drop_misread(connection, task, {one.id for one in found}, sources)
        known = set(connection.scalars(select(table.c.id).where(table.c.task == task)))
        last = connection.scalar(select(func.max(table.c.position)).where(table.c.task == task)) or 0
        fresh = {one.id: one for one in found if one.id not in known}
        rows = [
            {
                "task": task,
                "id": name,
                "position": position,
                "inputs": dict(one.inputs),
                "group": one.group,
                "file": one.provenance.file,
                "line": one.provenance.line,
                "sha256": one.provenance.sha256,
                "part": one.provenance.part,
            }
            for position, (name, one) in enumerate(fresh.items(), last + 1)
        ]
        if rows:
            connection.execute(insert(table), rows)
        for source in sources:
            row = {**source, "task": task, "role": ROLE, "dataset": 0, "created_at": db.now()}
            here = [tables.sources.c[key] == row[key] for key in tables.SOURCE_KEY]
            connection.execute(delete(tables.sources).where(*here))
            connection.execute(insert(tables.sources).values(row))
    return len(rows)


def _drop_misread(
    connection: Connection, task: str, now: Collection[str], sources: Sequence[Mapping[str, Any]]
) -> None:
    """Take out what nobody answered of files that are read otherwise now."""
    for source in sources:
        here = [tables.sources.c[key] == source[key] for key in ("sha256", "part")]
        kept = connection.scalar(
            select(tables.sources.c.reading).where(tables.sources.c.task == task, tables.sources.c.role == ROLE, *here)
        )
        if kept and kept != source["reading"]:
            of_file = [tables.pool.c.task == task, tables.pool.c.answer.is_(None)]
            of_file += [tables.pool.c[key] == source[key] for key in ("sha256", "part")]
            before = connection.scalars(select(tables.pool.c.id).where(*of_file)).all()
            for some in _portions(task, set(before) - set(now)):
                connection.execute(delete(tables.pool).where(some))


def unlabelled(workspace: Workspace, task: str) -> list[PoolRecord]:
    """The records that nobody has answered, in the order in which they came."""
    return _select(workspace, task, tables.pool.c.answer.is_(None))


def answered(workspace: Workspace, task: str) -> list[PoolRecord]:
    """The records with an answer that the newest dataset version does not come from, in the order of the answers.

    Those of a version that was undone are among them again.
    """
    column = tables.pool.c
    line = ancestry(versions(workspace, task), latest_dataset(workspace, task))
    waits = column.dataset.is_(None) | column.dataset.not_in(line)
    return _select(workspace, task, column.answer.is_not(None) & waits, order=column.answered_at)


def _select(
    workspace: Workspace,
    task: str,
    wanted: ColumnElement[bool] | None = None,
    order: ColumnElement[Any] | None = None,
) -> list[PoolRecord]:
    table = tables.pool
    query = select(table).where(table.c.task == task, *([wanted] if wanted is not None else []))
    query = query.order_by(*([order] if order is not None else []), table.c.position)
    with workspace.database.read() as connection:
        return [
            PoolRecord(
                inputs=row["inputs"],
                group=row["group"],
                provenance=Provenance(row["file"], row["line"], row["sha256"], row["part"]),
                answer=row["answer"],
                by=row["answered_by"] or "",
            )
            for row in connection.execute(query).mappings()
        ]


def keep_answer(workspace: Workspace, task: str, record: str, answer: str | None, by: str) -> None:
    """Keep what a person said of a record, at once; None takes it back."""
    table = tables.pool
    values = {
        "answer": answer,
        "answered_by": by if answer is not None else None,
        "answered_at": db.now(),
        "dataset": None,
    }
    with workspace.database.begin() as connection:
        connection.execute(update(table).where(table.c.task == task, table.c.id == record).values(**values))


def mark_used(workspace: Workspace, task: str, ids: Collection[str], dataset: int) -> None:
    """Note in which dataset version answered records became examples."""
    with workspace.database.begin() as connection:
        for some in _portions(task, ids):
            connection.execute(update(tables.pool).where(some).values(dataset=dataset))


def everything(workspace: Workspace, task: str) -> list[PoolRecord]:
    """All records that the pool holds, those that became examples too."""
    return _select(workspace, task)


def forget(workspace: Workspace, task: str, is_of: Callable[[PoolRecord], bool]) -> None:
    """Remove records for good."""
    found = [one.id for one in everything(workspace, task) if is_of(one)]
    with workspace.database.begin() as connection:
        for some in _portions(task, found):
            connection.execute(delete(tables.pool).where(some))


def _portions(task: str, ids: Collection[str]) -> Iterator[ColumnElement[bool]]:
    """Conditions that are true of these records, for a statement each."""
    names = list(ids)
    for start in range(0, len(names), _AT_ONCE):
        yield (tables.pool.c.task == task) & tables.pool.c.id.in_(names[start : start + _AT_ONCE])
