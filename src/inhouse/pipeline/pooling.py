"""Records without a target into the pool of a task: what `add --unlabelled` reads beside examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import inhouse.sources as sources
from inhouse.core import InputSection, Record, Rejection, Reporter, Task, folded, input_key
from inhouse.errors import SourceError, UsageError
from inhouse.pipeline.reading import Opening, Origin, Wishes, without_forgotten
from inhouse.sources.chat import example_of
from inhouse.sources.places import place_of, text_at
from inhouse.store import Workspace, pool
from inhouse.store.pool import PoolRecord

# What a task calls its target, where it begins with records that have none.
_TARGET = {"classify": "label", "extract": "fields", "generate": "text"}
# The column with the text of a document that nothing names.
_DOCUMENT = "document"


@dataclass
class Pooled:
    """Records without a target, the files that they come from, and rows of these files that cannot be used."""

    records: list[PoolRecord] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[tuple[Origin, Rejection]] = field(default_factory=list)


def input_of_unlabelled(task: Task, opening: Opening, wishes: Wishes) -> InputSection:
    """What a task without data calls its columns: as the user says; the input may be the only column.

    Raises:
        UsageError: there are several, and none is named.
    """
    if task.input.fields:
        return task.input
    fields = wishes.inputs
    if not fields:
        columns = opening.opened[0].source.columns
        if _DOCUMENT in columns:
            columns = (_DOCUMENT,)
        if len(columns) != 1:
            raise UsageError(
                f"the task {task.name!r} has no data yet, and there are several columns: {', '.join(columns)}",
                "name them: --input COLUMN",
            )
        fields = (columns[0],)
    target = wishes.targets or (_TARGET[task.kind],)
    if wishes.targets and task.kind != "extract" and len(target) > 1:
        raise UsageError(f"a {task.kind} task has one target, not {', '.join(target)}", "name one")
    return InputSection(fields=fields, target=target[0] if len(target) == 1 else target, group=wishes.group)


def set_aside(
    opening: Opening, task: Task, named: Mapping[str, str], forgotten: Mapping[str, str], reporter: Reporter
) -> Pooled:
    """Take the rows without a target out of what was read; sources without any other row go wholly.

    Args:
        named: what the user calls the task's columns here.
        forgotten: checksum of the sources that were forgotten, and when; nothing of them is read.

    Raises:
        SourceError: an input column is missing, or no row can be used.
    """
    pooled, left = Pooled(), []
    for one in opening.opened:
        source = without_forgotten(one, forgotten, reporter)
        if source is None:
            continue
        called = _called(source, task, named, one.name)
        bare, with_target = list[Record](), list[Record]()
        for record in source.records:
            (with_target if _has_target(source, record, task, called) else bare).append(record)
        faults = [] if with_target else list(source.rejections)
        if bare:
            rows, unusable = _records(replace(source, records=bare), task, called, documents=one.documents)
            pooled.records += rows
            faults = [*unusable, *faults]
            pooled.sources.append(
                {
                    "sha256": source.sha256,
                    "part": source.part,
                    "reading": source.reading,
                    "file": one.name,
                    "rows": len(rows),
                    "rejected": len(faults),
                }
            )
        origin = Origin(one.name, source.sha256, source.columns, one.folder)
        pooled.rejections += [(origin, fault) for fault in faults]
        if with_target:
            left.append(replace(one, source=replace(source, records=with_target)))
    opening.opened = left
    if not pooled.records and not left and pooled.rejections:
        first = pooled.rejections[0][1]
        what = f"no row can be used, the first because: {first.reason}"
        raise SourceError(what, sources.remedy_of(first.reason), file=first.provenance.file, line=first.provenance.line)
    return pooled


def _called(source: sources.Source, task: Task, named: Mapping[str, str], name: str) -> dict[str, str]:
    """What a source calls the task's columns, targets that it lacks left out."""
    kept = [section.columns for section in task.sources if section.columns and sources.fits(section, name)]
    known = {**(kept[0] if kept else {}), **named}
    section = task.input
    if section.chat:
        return {}
    called = {mine: known.get(mine, mine) for mine in (*section.fields, *section.targets)}
    if len(section.fields) == 1 and _DOCUMENT in source.columns and not place_of(source, called[section.fields[0]]):
        called[section.fields[0]] = _DOCUMENT
    sources.check_columns(source, (called[mine] for mine in section.fields))
    if section.group:
        called[section.group] = known.get(section.group, section.group)
    return {mine: its for mine, its in called.items() if place_of(source, its) is not None}


def _has_target(source: sources.Source, record: Record, task: Task, called: Mapping[str, str]) -> bool:
    if task.input.chat:
        try:
            example_of(record)
        except ValueError:
            return False
        return True
    places = [place_of(source, called[mine]) for mine in task.input.targets if mine in called]
    return any((text_at(record, place) or "").strip() not in ("", "null") for place in places if place)


def _records(
    source: sources.Source, task: Task, called: Mapping[str, str], *, documents: bool
) -> tuple[list[PoolRecord], list[Rejection]]:
    """The rows as records of the pool, and those that cannot be used."""
    section = task.input
    fields = section.fields if section.chat else tuple(called[mine] for mine in section.fields)
    naming = sources.document_columns(source, fields) if documents and not section.chat else ()
    read = sources.input_reader(source, fields, naming, chat=section.chat, names=section.fields)
    group = place_of(source, called[section.group]) if section.group in called else None
    rows, faults = list[PoolRecord](), list[Rejection]()
    for record in source.records:
        inputs, fault = read(record)
        if fault:
            faults.append(Rejection(record.provenance, fault, sources.row_text(record), record.values))
            continue
        given = folded(text_at(record, group) or "") if group else ""
        rows.append(PoolRecord(inputs, given or input_key(inputs), record.provenance))
    return rows, faults


def store_pooled(workspace: Workspace, task: Task, pooled: Pooled, reporter: Reporter) -> int:
    """Put records into the pool; how many are new."""
    new = pool.add_records(workspace, task.name, pooled.records, pooled.sources)
    told = f"{new:,} unlabelled records joined the pool"
    if len(pooled.records) > new:
        told += f"; {len(pooled.records) - new:,} are there already"
    reporter.say(f"{told}: `inhouse label {task.name}` shows the ones first that teach most")
    return new
