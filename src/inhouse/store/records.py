"""Datasets, findings and runs in the workspace: typed reads and writes."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import RowMapping, delete, func, insert, select, update

from inhouse.core import AnyRecipe, Dataset, Example, Finding, Provenance, Recipe, inputs_json, read_recipe
from inhouse.errors import NotFound
from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.workspace import Workspace

PARQUET = ".parquet"
# Runs that `train` goes on with.
GOES_ON = ("running", "stopped")
_AT_ONCE = 1000


# ---------------------------------------------------------------------- datasets


def save_dataset(workspace: Workspace, dataset: Dataset, added: Sequence[dict[str, Any]] = ()) -> None:
    """Store a dataset version and, in the same transaction, the source files that made it.

    `added` holds dictionaries with file, sha256, role, part, reading, rows and rejected.
    """
    content = dataset_bytes(dataset)
    known = workspace.blobs.has(content, PARQUET)
    blob = workspace.blobs.put(content, PARQUET)
    try:
        _insert_dataset(workspace, dataset, blob, added)
    except BaseException:
        if not known:  # nobody else can have come to need it: the caller holds `Workspace.changing_data`
            workspace.blobs.remove(blob, PARQUET)
        raise


def _insert_dataset(workspace: Workspace, dataset: Dataset, blob: str, added: Sequence[dict[str, Any]]) -> None:
    with workspace.database.begin() as connection:
        connection.execute(
            insert(tables.datasets).values(
                task=dataset.task,
                number=dataset.number,
                fingerprint=dataset.fingerprint,
                parent=dataset.parent,
                reason=dataset.reason,
                blob=blob,
                counts=dataset.counts(),
                created_at=db.now(),
                test_given=dataset.test_given,
            )
        )
        for source in added:
            row = {**source, "task": dataset.task, "dataset": dataset.number, "created_at": db.now()}
            of_source = [tables.sources.c[key] == row[key] for key in tables.SOURCE_KEY]
            connection.execute(delete(tables.sources).where(*of_source))  # of a version that was undone since
            connection.execute(insert(tables.sources).values(row))


def load_dataset(workspace: Workspace, task: str, number: int | None = None) -> Dataset:
    """A dataset version; the newest when `number` is None.

    Raises:
        NotFound: the task has no data, or not that version.
    """
    wanted = latest_dataset(workspace, task) if number is None else number
    table = tables.datasets
    with workspace.database.read() as connection:
        row = connection.execute(select(table).where(table.c.task == task, table.c.number == wanted)).mappings().first()
    if row is None:
        raise NotFound(
            f"task {task!r} has no dataset version {wanted}" if wanted else f"task {task!r} has no data yet",
            f"add some with `inhouse add {task} FILE`",
        )
    return _from_parquet(workspace, row)


def latest_dataset(workspace: Workspace, task: str) -> int:
    """The number of the newest dataset version; 0 when there is none."""
    table = tables.datasets
    with workspace.database.read() as connection:
        return connection.scalar(select(func.max(table.c.number)).where(table.c.task == task)) or 0


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A dataset version as the database has it, without its examples.

    `erased`: when rows of it were forgotten, and how many; empty where none were.
    """

    number: int
    parent: int | None
    reason: str
    fingerprint: str
    counts: dict[str, int]
    created_at: str
    blob: str
    erased: tuple[dict[str, Any], ...] = ()


def versions(workspace: Workspace, task: str) -> dict[int, VersionRecord]:
    """All dataset versions of a task by number, oldest first."""
    table = tables.datasets
    with workspace.database.read() as connection:
        rows = connection.execute(select(table).where(table.c.task == task).order_by(table.c.number)).mappings()
        return {
            r["number"]: VersionRecord(
                **{name: r[name] for name in ("number", "parent", "reason", "fingerprint", "created_at", "blob")},
                counts=dict(r["counts"]),
                erased=tuple(r["erased"] or ()),
            )
            for r in rows
        }


def ancestry(known: Mapping[int, VersionRecord], number: int) -> list[int]:
    """A version and those that it was made from, one after the other, back to the first."""
    line, step = [], known.get(number)
    while step is not None:
        line.append(step.number)
        step = known.get(step.parent) if step.parent is not None else None
    return line


def known_sources(workspace: Workspace, task: str) -> dict[tuple[str, str, str], str]:
    """(SHA-256, role, part) of every file whose rows the newest version was made from, and how it was read.

    The last is empty of what was added before that was kept. A file that came with a version that was undone since is
    not among them: it can be added again.
    """
    table, line = tables.sources, ancestry(versions(workspace, task), latest_dataset(workspace, task))
    with workspace.database.read() as connection:
        rows = connection.execute(
            select(table).where(table.c.task == task, table.c.forgotten_at.is_(None), table.c.dataset.in_(line))
        ).mappings()
        return {(r["sha256"], r["role"], r["part"]): r["reading"] for r in rows}


def forgotten_sources(workspace: Workspace, task: str) -> dict[str, str]:
    """SHA-256 of every file that the task was told to forget, and when: it must not come back unseen."""
    table = tables.sources
    forgotten = (table.c.task == task, table.c.forgotten_at.is_not(None))
    with workspace.database.read() as connection:
        return {r.sha256: r.forgotten_at for r in connection.execute(select(table).where(*forgotten))}


def known_rows(
    workspace: Workspace, task: str, files: Collection[str], *, of_test: bool = False, newest: bool = False
) -> set[tuple[str, str]]:
    """(id, file) of every example from these files in the newest version and those that it was made from; of the test
    split, or of the newest version, alone on request."""
    known = versions(workspace, task)
    blobs = {known[number].blob for number in ancestry(known, latest_dataset(workspace, task))[: 1 if newest else None]}
    wanted = pl.col("file").is_in(list(files)) & ((pl.col("split") == "test") | pl.lit(not of_test))
    found = set[tuple[str, str]]()
    for blob in blobs:
        rows = pl.scan_parquet(workspace.blobs.path(blob, PARQUET)).filter(wanted).select("id", "file").collect()
        found.update(rows.iter_rows())
    return found


def newest_keys(workspace: Workspace, task: str) -> set[str]:
    """The keys of the newest version's examples, as far as they have one."""
    newest = versions(workspace, task).get(latest_dataset(workspace, task))
    if newest is None:
        return set()
    rows = pl.scan_parquet(workspace.blobs.path(newest.blob, PARQUET))
    if "key" not in rows.collect_schema().names():
        return set()
    return set(rows.select("key").collect()["key"].to_list()) - {""}


def dataset_bytes(dataset: Dataset) -> bytes:
    """A version's examples as Parquet: the same bytes for the same examples."""
    rows = dataset.examples
    frame = pl.DataFrame(
        {
            "id": [e.id for e in rows],
            "split": list(dataset.splits),
            "group": [e.group for e in rows],
            "target": [e.target for e in rows],
            "rejected": [e.rejected for e in rows],
            "inputs": [inputs_json(e.inputs) for e in rows],
            "file": [e.provenance.file for e in rows],
            "line": [e.provenance.line for e in rows],
            "sha256": [e.provenance.sha256 for e in rows],
            "part": [e.provenance.part for e in rows],
            "key": [e.key for e in rows],
        },
        schema_overrides={"line": pl.Int64},
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _from_parquet(workspace: Workspace, row: RowMapping) -> Dataset:
    frame = pl.read_parquet(workspace.blobs.path(row["blob"], PARQUET))
    for name in {"rejected", "part", "key"} - set(frame.columns):  # older versions have no such columns
        frame = frame.with_columns(pl.lit("").alias(name))
    places = map(Provenance, _shared(frame["file"]), frame["line"], _shared(frame["sha256"]), _shared(frame["part"]))
    contents = (_objects(frame["inputs"]), _shared(frame["target"]), frame["group"], places, frame["id"])
    examples = tuple(map(Example, *contents, _shared(frame["rejected"]), frame["key"]))
    return Dataset(
        task=row["task"],
        number=row["number"],
        examples=examples,
        splits=tuple(_shared(frame["split"])),
        reason=row["reason"],
        parent=row["parent"],
        fingerprint=row["fingerprint"],
        test_given=row["test_given"],
    )


def _shared(texts: pl.Series) -> list[Any]:
    """The values, equal ones as one object: a million rows have one name of a file."""
    seen: dict[str, str] = {}
    return [seen.setdefault(text, text) for text in texts]


def _objects(texts: pl.Series) -> Iterator[dict[str, str]]:
    """JSON objects, read many at a time: that takes half of the time, and the names of their keys are there once."""
    for part in texts.to_frame().iter_slices(_AT_ONCE):
        yield from json.loads(f"[{','.join(part.to_series())}]")


# ---------------------------------------------------------------------- findings


def save_findings(workspace: Workspace, dataset: Dataset, found: Sequence[Finding], accepted: set[str]) -> None:
    """Store the findings on a dataset version, with who of them was accepted; replaces an earlier look.

    What was accepted of this version at an earlier look stays so.
    """
    table = tables.findings
    of_version = (table.c.task == dataset.task, table.c.dataset == dataset.number)
    with workspace.database.begin() as connection:
        before = connection.scalars(select(table.c.id).where(*of_version, table.c.status == "accepted"))
        accepted = accepted | set(before)
        connection.execute(table.delete().where(*of_version))
        rows = [
            {
                "task": dataset.task,
                "dataset": dataset.number,
                "id": finding.id,
                "status": "accepted" if finding.id in accepted else "open",
                "finding": finding.model_dump(mode="json"),
                "position": position,
            }
            for position, finding in enumerate(found)
        ]
        if rows:
            connection.execute(insert(table), rows)


def findings(
    workspace: Workspace, task: str, dataset: int, *, what: str = "", start: int = 0, most: int = 100
) -> tuple[int, list[tuple[Finding, str]]]:
    """Kept findings on a dataset version, in the order in which they were found: how many, and a page of them.

    What a finding would drop, relabel or mask is not kept with it.

    Args:
        what: a check's name or a finding's id; empty for all.
        start, most: of the page.

    Returns:
        How many there are, and each finding of the page with its status, `open` or `accepted`.
    """
    table = tables.findings
    wanted = [table.c.task == task, table.c.dataset == dataset]
    if what:
        wanted.append((table.c.id == what) | (table.c.finding["check"].as_string() == what))
    query = select(table.c.finding, table.c.status).where(*wanted).order_by(table.c.position, table.c.id)
    with workspace.database.read() as connection:
        count = connection.scalar(select(func.count()).select_from(table).where(*wanted)) or 0
        rows = connection.execute(query.offset(start).limit(most)).all()
    return count, [(Finding.model_validate(found), status) for found, status in rows]


# ---------------------------------------------------------------------- runs


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a recipe. `status`: `running`, `stopped` (by Ctrl-C; both go on), or `done`, with its result."""

    id: str
    recipe: AnyRecipe
    status: str
    result: dict[str, Any] | None = None


def open_run(workspace: Workspace, task: str, dataset: int, recipe: AnyRecipe, *, again: bool = False) -> Run:
    """The run of this recipe on this dataset: an unfinished or finished one if there is one, else a new one.

    A schedule that an earlier command fitted into the recipe's minutes counts as the same recipe, and so does the other
    precision or number of bits: these follow from what the machine has to offer, which may be otherwise the next time.
    """
    table = tables.runs
    with workspace.database.begin() as connection:
        rows = connection.execute(
            select(table).where(table.c.task == task, table.c.dataset == dataset).order_by(table.c.created_at.desc())
        ).mappings()
        for row in rows:
            if row["status"] not in GOES_ON and (row["status"] != "done" or again):
                continue
            kept = read_recipe(row["recipe"])
            if _as_any_machine(kept).model_copy(update={"steps": None}) == _as_any_machine(recipe):
                return Run(row["id"], kept, row["status"], row["result"])
        run = f"run-{uuid.uuid4().hex[:12]}"
        values = {"id": run, "task": task, "dataset": dataset, "recipe": recipe.model_dump(mode="json")}
        connection.execute(insert(table).values(**values, status="running", created_at=db.now()))
    return Run(run, recipe, "running")


def schedule_run(workspace: Workspace, run: str, recipe: AnyRecipe) -> None:
    """Keep the recipe with the schedule that was fitted into its minutes."""
    with workspace.database.begin() as connection:
        connection.execute(
            update(tables.runs).where(tables.runs.c.id == run).values(recipe=recipe.model_dump(mode="json"))
        )


def finish_run(workspace: Workspace, run: str, status: str, result: dict[str, Any] | None) -> None:
    """Record how a run ended: `done`, `stopped` or `failed`."""
    table = tables.runs
    with workspace.database.begin() as connection:
        connection.execute(
            update(table).where(table.c.id == run).values(status=status, result=result, finished_at=db.now())
        )


def abandon_runs(workspace: Workspace, task: str, now: Run, dataset: int) -> list[str]:
    """Mark unfinished runs of the task as abandoned whose data or recipe have changed since; return their ids.

    One that differs from the run `now` in its seed or its minutes alone is not: its own command goes on with it. Nor is
    one on the same data of the other kind of model, causal or encoder.
    """
    table = tables.runs
    left = (table.c.task == task, table.c.status.in_(GOES_ON), table.c.id != now.id)
    with workspace.database.begin() as connection:
        rows = connection.execute(select(table.c.id, table.c.dataset, table.c.recipe).where(*left)).all()
        found = [r.id for r in rows if r.dataset != dataset or _replaced(read_recipe(r.recipe), now.recipe)]
        ended = {"status": "abandoned", "finished_at": db.now()}
        connection.execute(update(table).where(table.c.id.in_(found)).values(**ended))
    return found


def abandon_run(workspace: Workspace, run: str) -> bool:
    """Mark a run as abandoned, unless it has ended; whether it had not."""
    table = tables.runs
    here = (table.c.id == run, table.c.status.in_(GOES_ON))
    with workspace.database.begin() as connection:
        ended = {"status": "abandoned", "finished_at": db.now()}
        return connection.execute(update(table).where(*here).values(**ended)).rowcount > 0


def _replaced(left: AnyRecipe, now: AnyRecipe) -> bool:
    """Whether one recipe stands where the other did."""
    return type(left) is type(now) and _beyond_wishes(left) != _beyond_wishes(now)


def _beyond_wishes(recipe: AnyRecipe) -> AnyRecipe:
    """A recipe without what a command may say of it (which seed, how long), and what the machine does."""
    return _as_any_machine(recipe).model_copy(update={"seed": 0, "minutes": None, "steps": None})


def _as_any_machine(recipe: AnyRecipe) -> AnyRecipe:
    """A recipe without what follows from what a machine has to offer."""
    if isinstance(recipe, Recipe):
        return recipe.model_copy(update={"precision": "float32", "four_bit": False})
    return recipe


def keep_metrics(workspace: Workspace, run: str, metrics: Mapping[int, Mapping[str, float]]) -> None:
    """Keep what a run measured, by step; a step that was done again replaces what it was before."""
    if not metrics:
        return
    table = tables.run_metrics
    rows = [{"run": run, "step": step, "metrics": dict(m), "created_at": db.now()} for step, m in metrics.items()]
    with workspace.database.begin() as connection:
        connection.execute(delete(table).where(table.c.run == run, table.c.step >= min(metrics)))
        connection.execute(insert(table), rows)


def metrics_of(workspace: Workspace, run: str, *, after: int = 0) -> list[dict[str, float]]:
    """What a run measured so far, step by step, each with its `step`; of those behind the step `after`."""
    table = tables.run_metrics
    with workspace.database.read() as connection:
        rows = connection.execute(
            select(table.c.step, table.c.metrics).where(table.c.run == run, table.c.step > after).order_by(table.c.step)
        )
        return [{"step": step, **metrics} for step, metrics in rows]


def recipe_of(workspace: Workspace, run: str) -> AnyRecipe:
    """The recipe of a run.

    Raises:
        NotFound: there is no such run.
    """
    with workspace.database.read() as connection:
        recipe = connection.scalar(select(tables.runs.c.recipe).where(tables.runs.c.id == run))
    if recipe is None:
        raise NotFound(f"there is no run {run!r}")
    return read_recipe(recipe)


def run_result(workspace: Workspace, run: str) -> dict[str, Any]:
    """The stored result of a finished run.

    Raises:
        NotFound: there is no such run, or it has not finished.
    """
    with workspace.database.read() as connection:
        result = connection.scalar(select(tables.runs.c.result).where(tables.runs.c.id == run))
    if result is None:
        raise NotFound(f"run {run!r} has no stored result", "train again with `inhouse train TASK`")
    return dict(result)


def unfinished_runs(workspace: Workspace, task: str) -> list[str]:
    """Ids of runs that were begun and not ended."""
    table = tables.runs
    with workspace.database.read() as connection:
        rows = connection.execute(select(table.c.id).where(table.c.task == task, table.c.status.in_(GOES_ON)))
        return [r[0] for r in rows]
