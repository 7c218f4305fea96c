"""`undo` and `diff`: dataset versions taken back, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import inhouse.dataset as datasets
from inhouse.core import Dataset, Outline, Reporter, Silent, Task
from inhouse.errors import NotFound, UsageError
from inhouse.pipeline.cards import save_version
from inhouse.pipeline.differences import TEST_CHANGED, rows_shown
from inhouse.pipeline.task_form import with_form
from inhouse.store import Workspace, disk_guard, records
from inhouse.store.records import VersionRecord

# How the reason of a version begins that `forget` made.
FORGOT = "forgot "
# Rows in `--json`; the counts are of all.
SHOWN_ROWS = 1000
# Labels whose counts differ, in `--json`.
SHOWN_LABELS = 200


@dataclass(frozen=True)
class Undone:
    """What `undo` did: version `dataset` has the content of version `equals`; before, version `before` was the newest.

    `left` are the reasons of the versions whose changes are taken back, the newest first.
    """

    task: str
    dataset: int
    dataset_fingerprint: str
    equals: int
    before: int
    counts: dict[str, int]
    left: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Diff:
    """How two dataset versions differ.

    `rows` are `SHOWN_ROWS` at most, what changed first; the counts are of all. `labels` says of a classify task how
    many rows more or less of each label there are. `why` and `left` have the reasons of the versions on the way from
    `before` to `after`: made, and (where `after` does not descend from `before`) taken back.
    """

    task: str
    before: int
    after: int
    added: int
    removed: int
    changed: int
    unchanged: int
    splits: dict[str, dict[str, int]]
    labels: dict[str, int]
    test_changed: bool
    rows: tuple[dict[str, Any], ...]
    why: tuple[dict[str, Any], ...]
    left: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def undo(workspace: Workspace, name: str, reporter: Reporter | None = None, *, to: int | None = None) -> Undone:
    """Make a dataset version with the content that the task had before its newest change; nothing is lost.

    The new version descends from the one that it equals, so that `undo` again goes one change further back.

    Args:
        to: the version whose content the new one gets; not given, the newest version's last ancestor that differs.

    Raises:
        NotFound: there is no such task or version, or nothing before the newest one.
        UsageError: the newest version has the content of version `to` already.
        DiskFull
    """
    reporter = reporter or Silent()
    with disk_guard(workspace.paths.root), workspace.changing_data():
        task = workspace.load_task(name)
        newest = records.load_dataset(workspace, name)
        known = records.versions(workspace, name)
        wanted = _last_other(workspace, known, newest) if to is None else records.load_dataset(workspace, name, to)
        if to is not None and _content(wanted) == _content(newest):
            raise UsageError(
                f"version {to} of {name!r} has the content of version {newest.number}, which is the newest",
                f"name another one; `inhouse diff {name} A B` compares two",
            )
        made = replace(
            wanted,
            number=newest.number + 1,
            parent=wanted.number,
            reason=f"back to version {wanted.number}",
            fingerprint="",
        )
        left = _steps(known, wanted.number, newest.number)[1]
        with workspace.undoing(workspace.paths.task_file(name)):
            workspace.save_task(form_follows(task, newest, made))
            save_version(workspace, task.kind, made, newest)
    reporter.say(f"dataset version {made.number} has the content of version {wanted.number}")
    if wanted.of("test") != newest.of("test"):
        reporter.warn(TEST_CHANGED)
    return Undone(
        task=name,
        dataset=made.number,
        dataset_fingerprint=made.fingerprint,
        equals=wanted.number,
        before=newest.number,
        counts=made.counts(),
        left=tuple(step["reason"] for step in left),
    )


def _last_other(workspace: Workspace, known: Mapping[int, VersionRecord], newest: Dataset) -> Dataset:
    """The last ancestor whose content differs.

    Raises:
        NotFound: there is none.
    """
    for number in records.ancestry(known, newest.number)[1:]:
        if known[number].erased or known[number].fingerprint != newest.fingerprint:
            found = records.load_dataset(workspace, newest.task, number)
            if found.examples and _content(found) != _content(newest):
                return found
    raise NotFound(
        f"task {newest.task!r} has nothing to undo: no version before version {newest.number} differs from it",
        f"`inhouse undo {newest.task} --to N` makes any version the newest again",
    )


def _content(dataset: Dataset) -> str:
    """The fingerprint of what is there: a version of which something was erased keeps the one that it had."""
    return replace(dataset, fingerprint="").fingerprint


def form_follows(task: Task, before: Dataset, after: Dataset) -> Task:
    """The task with what answers look like in `after`, the newest version to be, where `before` was the newest.

    A schema or outline that is what the data of `before` shows is made anew; one that the user has edited stays, and
    gains what it must.
    """
    if not after.learned:
        return task.model_copy(update={"labels": ()})
    bare = task.model_copy(update={"labels": (), "json_schema": {}, "from_input": None, "outline": Outline()})
    shown = with_form(bare, before)
    if (shown.json_schema, shown.from_input, shown.outline) == (task.json_schema, task.from_input, task.outline):
        return with_form(bare, after)
    return with_form(task, after)


def diff(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    before: int | None = None,
    after: int | None = None,
) -> Diff:
    """Compare two dataset versions row by row.

    Args:
        before, after: version numbers. Not given: the newest version, and the one that was the newest before it.

    Raises:
        NotFound: there is no such task or version, or only one.
    """
    del reporter  # a comparison has nothing to tell on the way
    task = workspace.load_task(name)
    new = records.load_dataset(workspace, name, after)
    if before is None and new.number == 1:
        raise NotFound(
            f"task {name!r} has no version before version 1 to compare with", f"`inhouse add {name} FILE` makes another"
        )
    old = records.load_dataset(workspace, name, new.number - 1 if before is None else before)
    known = records.versions(workspace, name)
    found = datasets.difference(old, new)
    why, left = _steps(known, new.number, old.number)
    labels = found.by_target() if task.kind == "classify" else {}
    return Diff(
        task=name,
        before=old.number,
        after=new.number,
        added=len(found.added),
        removed=len(found.removed),
        changed=len(found.changed),
        unchanged=found.unchanged,
        splits=found.by_split(),
        labels=dict(list(labels.items())[:SHOWN_LABELS]),
        test_changed=found.test_changed,
        rows=tuple(rows_shown(found, SHOWN_ROWS)),
        why=tuple(reversed(why)),
        left=tuple(left),
    )


def _steps(
    known: Mapping[int, VersionRecord], one: int, other: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The versions that only the one descends from (itself included), and only the other, the newest first."""
    lines = [records.ancestry(known, number) for number in (one, other)]
    apart = [[n for n in line if n not in set(against)] for line, against in zip(lines, lines[::-1], strict=True)]
    told = [
        [{"version": n, "reason": known[n].reason, "created_at": known[n].created_at} for n in line] for line in apart
    ]
    return told[0], told[1]
