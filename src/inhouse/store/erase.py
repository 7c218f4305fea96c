"""Erasing for good: rows out of stored versions and answers, and their traces out of files and database."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import polars as pl
from sqlalchemy import MetaData, delete, select, update

from inhouse.core import Dataset, TrainedModel
from inhouse.store import database as db
from inhouse.store import files, tables, uploads
from inhouse.store.batch_answers import forget_lines
from inhouse.store.paths import write_bytes
from inhouse.store.records import GOES_ON, PARQUET, dataset_bytes
from inhouse.store.registry import WEIGHTS
from inhouse.store.traffic import NO_TASK
from inhouse.store.workspace import Workspace

HTML = ".html"
FORGOTTEN = "(forgotten)"
# Larger files are weights, which hold no text.
MOST_BYTES = 256 * 2**20

Holds = Callable[[str], bool]


def rewrite_version(workspace: Workspace, left: Dataset, erased: Mapping[str, Any] | None = None) -> None:
    """Put what is left of a dataset version in its place; number, fingerprint and lineage stay.

    Args:
        erased: when rows were taken out of it, and how many.
    """
    table = tables.datasets
    here = (table.c.task == left.task, table.c.number == left.number)
    blob = workspace.blobs.put(dataset_bytes(left), PARQUET)
    with workspace.database.begin() as connection:
        before = connection.execute(select(table.c.blob, table.c.erased).where(*here)).one()
        record = [*(before.erased or ()), *([dict(erased)] if erased else ())]
        values = {"blob": blob, "counts": left.counts(), "erased": record or None}
        connection.execute(update(table).where(*here).values(**values))
    remove_unreferenced(workspace, before.blob, PARQUET)


def forget_reasons(workspace: Workspace, task: str, holds: Holds, names: Iterable[str]) -> None:
    """Take names of forgotten sources, and texts, out of the reasons of versions."""
    table = tables.datasets
    with workspace.database.begin() as connection:
        for number, reason in connection.execute(select(table.c.number, table.c.reason).where(table.c.task == task)):
            told = reason
            for name in sorted(names, key=len, reverse=True):
                told = told.replace(name, FORGOTTEN)
            told = FORGOTTEN if holds(told) else told
            if told != reason:
                here = (table.c.task == task, table.c.number == number)
                connection.execute(update(table).where(*here).values(reason=told))


def names_of_sources(workspace: Workspace, task: str, is_source: Callable[[str, str], bool], holds: Holds) -> set[str]:
    """The names of the sources that are to be forgotten, and of those whose name holds what is."""
    table = tables.sources
    with workspace.database.read() as connection:
        rows = connection.execute(select(table.c.file, table.c.sha256).where(table.c.task == task)).all()
    return {row.file for row in rows if is_source(row.file, row.sha256) or holds(row.file)}


def forget_sources(workspace: Workspace, task: str, is_source: Callable[[str, str], bool], holds: Holds) -> list[str]:
    """Mark sources as forgotten, so that they are not added again unseen; return the names that they had.

    The checksum of a whole file stays, as it is what an addition is known by.
    """
    table = tables.sources
    names = []
    with workspace.database.begin() as connection:
        for row in connection.execute(select(table).where(table.c.task == task)).mappings().all():
            here = [table.c[key] == row[key] for key in tables.SOURCE_KEY]
            if is_source(row["file"], row["sha256"]):
                names.append(row["file"])
                marked = {"file": FORGOTTEN, "forgotten_at": db.now()}
                connection.execute(update(table).where(*here).values(**marked))
            elif holds(row["file"]):
                names.append(row["file"])
                connection.execute(update(table).where(*here).values(file=FORGOTTEN))
    return names


def remove_predictions(workspace: Workspace, task: str, ids: Collection[str], holds: Holds) -> int:
    """Take kept answers to examples, and answers that hold something forgotten, out of the predictions; how many."""
    table = tables.predictions
    keys = ("task", "model_version", "contender", "dataset_fingerprint")
    with workspace.database.read() as connection:
        rows = connection.execute(select(table).where(table.c.task == task)).mappings().all()
    count = 0
    for row in rows:
        path = workspace.blobs.location(row["blob"], PARQUET)
        if not path.is_file():
            continue
        frame = pl.read_parquet(path)
        left = frame.filter(pl.Series([not gone for gone in _forgotten_answers(frame, ids, holds)], dtype=pl.Boolean))
        if left.height == frame.height:
            continue
        count += frame.height - left.height
        buffer = io.BytesIO()
        left.write_parquet(buffer)
        blob = workspace.blobs.put(buffer.getvalue(), PARQUET)
        with workspace.database.begin() as connection:
            connection.execute(update(table).where(*(table.c[k] == row[k] for k in keys)).values(blob=blob))
        remove_unreferenced(workspace, row["blob"], PARQUET)
    return count


def _forgotten_answers(frame: pl.DataFrame, ids: Collection[str], holds: Holds) -> list[bool]:
    known: dict[str, bool] = {}

    def told(text: str | None) -> bool:
        if text is None:
            return False
        if text not in known:
            known[text] = holds(text)
        return known[text]

    return [
        r["example"] in ids or any(told(r.get(column)) for column in ("expected", "answer", "error", "prediction"))
        for r in frame.iter_rows(named=True)
    ]


def remove_findings(workspace: Workspace, task: str, numbers: Iterable[int], holds: Holds) -> int:
    """Remove the findings on versions that held forgotten rows, and others that hold something of them; how many."""
    table = tables.findings
    with workspace.database.begin() as connection:
        gone = connection.execute(delete(table).where(table.c.task == task, table.c.dataset.in_(set(numbers)))).rowcount
        for row in connection.execute(select(table).where(table.c.task == task)).mappings().all():
            if holds(_json_text(row["finding"])):
                here = [table.c[key] == row[key] for key in ("task", "dataset", "id")]
                gone += connection.execute(delete(table).where(*here)).rowcount
    return gone


def remove_traces(
    workspace: Workspace, task: str, is_of: Callable[[str, Mapping[str, str]], bool], holds: Holds
) -> int:
    """Remove served requests with the feedback on them and what else was answered to them; how many.

    Those of no task are looked at too: a person may have been asked about there as well.

    Args:
        is_of: whether a trace is of something forgotten, by its id and inputs.
        holds: whether a text is: of what was asked, answered, or said of the answer.
    """
    traces, feedback, shadows = tables.traces, tables.feedback, tables.shadow_answers
    gone = 0
    with workspace.database.begin() as connection:
        said: dict[str, list[str]] = {}
        of_task = traces.c.task.in_((task, NO_TASK))
        opinions = select(feedback).join(traces, traces.c.id == feedback.c.trace).where(of_task)
        for row in connection.execute(opinions).mappings():
            said.setdefault(row["trace"], []).extend((row["correction"] or "", row["comment"]))
        for row in connection.execute(select(traces).where(of_task)).mappings().all():
            texts = [*row["inputs"].values(), row["output"] or "", row["error"] or "", *said.get(row["id"], ())]
            texts += [_json_text(row["asked"]), _json_text(row["tags"])]
            if is_of(row["id"], row["inputs"]) or any(holds(text) for text in texts):
                connection.execute(delete(feedback).where(feedback.c.trace == row["id"]))
                connection.execute(delete(shadows).where(shadows.c.trace == row["id"]))
                connection.execute(delete(traces).where(traces.c.id == row["id"]))
                gone += 1
        for row in connection.execute(select(shadows).where(shadows.c.task == task)).mappings().all():
            if holds(row["output"] or "") or holds(row["error"] or ""):
                here = (shadows.c.trace == row["trace"], shadows.c.model_version == row["model_version"])
                connection.execute(delete(shadows).where(*here))
    return gone


def end_runs(workspace: Workspace, task: str, numbers: Collection[int]) -> int:
    """Remove the checkpoints of trainings on versions that held forgotten rows: none goes on from there. How many.

    Those of a curve go too, whatever version they are on; they are no runs, and not counted.
    """
    table = tables.runs
    with workspace.database.begin() as connection:
        on_them = (table.c.task == task, table.c.dataset.in_(set(numbers)))
        rows = connection.execute(select(table.c.id, table.c.status).where(*on_them)).all()
        open_ones = [r.id for r in rows if r.status in GOES_ON]
        ended = {"status": "abandoned", "finished_at": db.now()}
        connection.execute(update(table).where(table.c.id.in_(open_ones)).values(**ended))
    for row in rows:
        shutil.rmtree(workspace.paths.run(row.id), ignore_errors=True)
    for model in get_args(TrainedModel):
        shutil.rmtree(workspace.paths.curve_run(task, model), ignore_errors=True)
    return len(open_ones)


def forget_results(workspace: Workspace, task: str, holds: Holds) -> None:
    """Put `FORGOTTEN` for texts in the results of trainings and evaluations that hold something forgotten."""
    runs, versions = tables.runs, tables.model_versions
    with workspace.database.begin() as connection:
        for run, result in connection.execute(select(runs.c.id, runs.c.result).where(runs.c.task == task)).all():
            if result and (told := without_texts(result, holds)) != result:
                connection.execute(update(runs).where(runs.c.id == run).values(result=told))
        for row in connection.execute(select(versions).where(versions.c.task == task)).mappings().all():
            parts = {part: without_texts(row["version"].get(part), holds) for part in ("training", "evaluation")}
            if (told := {**row["version"], **parts}) != row["version"]:
                here = (versions.c.task == task, versions.c.number == row["number"])
                connection.execute(update(versions).where(*here).values(version=told, changed_at=db.now()))


def without_texts(value: Any, holds: Holds) -> Any:  # noqa: ANN401 - any JSON
    """JSON with `FORGOTTEN` in the place of strings that hold something forgotten."""
    if isinstance(value, str):
        return FORGOTTEN if holds(value) else value
    if isinstance(value, Mapping):
        return {name: without_texts(one, holds) for name, one in value.items()}
    return [without_texts(one, holds) for one in value] if isinstance(value, list) else value


def forget_files(workspace: Workspace, is_source: Callable[[str, str], bool], holds: Holds) -> int:
    """Take lines that hold something forgotten out of the files of the HTTP API, and forgotten files whole; how many
    lines.

    Uploads that are not whole yet are ended: a part may end amid what is looked for.

    Args:
        is_source: whether a file is to be forgotten, by its id and checksum. Its name does not count: others' files may
            be called so.
    """
    uploads.end_all(workspace)
    gone = sum(forget_lines(path, partial(_line_holds, holds=holds)) for path in workspace.paths.batches.glob("*"))
    for file in files.files(workspace, limit=sys.maxsize):
        with files.receiving(workspace) as folder:
            left, lines = folder / "content", 0
            whole = is_source(file.id, file.blob)
            if not whole:
                lines = _without_lines(files.open_file(workspace, file.id), left, holds)
            if whole or (lines and not left.stat().st_size):
                files.delete_file(workspace, file.id)
            elif lines:
                files.replace_content(workspace, file, left)
        gone += lines
    for table in (tables.api_files, tables.uploads):
        with workspace.database.begin() as connection:
            for row in connection.execute(select(table.c.id, table.c.filename)).all():
                if holds(row.filename):
                    connection.execute(update(table).where(table.c.id == row.id).values(filename=FORGOTTEN))
    return gone


def forget_jobs(workspace: Workspace, holds: Holds) -> None:
    """Put `FORGOTTEN` for texts in what was asked of jobs and said of them that hold something forgotten."""
    for table, columns in ((tables.jobs, ("request", "error", "result")), (tables.job_events, ("message", "data"))):
        with workspace.database.begin() as connection:
            for row in connection.execute(select(table)).mappings().all():
                told = {name: without_texts(row[name], holds) for name in columns}
                if any(told[name] != row[name] for name in columns):
                    connection.execute(update(table).where(table.c.id == row["id"]).values(**told))


def _without_lines(path: Path, to: Path, holds: Holds) -> int:
    """Write the lines of a file that hold nothing forgotten; how many do."""
    gone = 0
    with path.open("rb") as file, to.open("wb") as left:
        for line in file:
            if _line_holds(line, holds):
                gone += 1
            else:
                left.write(line)
    return gone


def _line_holds(line: bytes, holds: Holds) -> bool:
    text = line.decode("utf-8", "replace")
    return holds(text) or any(holds(one) for one in _strings_in(text))


def _strings_in(text: str) -> Iterator[str]:
    """The strings of a JSON text, at any depth; none where it is no JSON."""
    try:
        waiting: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value


def remove_rejects(
    workspace: Workspace, task: str, is_source: Callable[[str, str], bool], holds: Holds, place: tuple[str, str]
) -> int:
    """Take rows out of the files of rejected rows: those of a forgotten source, or that hold something forgotten.

    Args:
        place: the columns in which a row names its source and that one's checksum. Where a person took that out, the
            name of the file counts, and every cell.
    """
    gone = 0
    for path in sorted(workspace.paths.task_folder(task).glob("rejected/*")):
        if not path.is_file():
            continue
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8", "surrogateescape"), newline="")))
        of_source = is_source(path.name.removesuffix(".rejected.csv").rpartition(".")[0], "")
        left = rows[:1] + [
            row
            for row in rows[1:]
            if not (_names_source(rows[0], row, place, is_source, of_source=of_source) or any(map(holds, row)))
        ]
        gone += len(rows) - len(left)
        if len(left) == len(rows):
            continue
        if len(left) <= 1:
            path.unlink()
            continue
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(left)
        write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))
    return gone


def _names_source(
    header: Sequence[str],
    row: Sequence[str],
    place: tuple[str, str],
    is_source: Callable[[str, str], bool],
    *,
    of_source: bool,
) -> bool:
    cells = dict(zip(header, row, strict=False))
    if file := cells.get(place[0], ""):
        return is_source(file, cells.get(place[1], ""))
    return of_source or any(is_source(cell, cell) for cell in row)


def remove_unreferenced(workspace: Workspace, blob: str, suffix: str) -> None:
    """Remove a blob, unless some task still has it."""
    if blob and blob not in referenced(workspace):
        workspace.blobs.remove(blob, suffix)


def referenced(workspace: Workspace) -> set[str]:
    """The SHA-256 of every blob that something in the database names."""
    found: set[str] = set()
    with workspace.database.read() as connection:
        for table in (tables.datasets, tables.predictions, tables.api_files, tables.upload_parts):
            found.update(connection.scalars(select(table.c.blob)))
        for version in connection.scalars(select(tables.model_versions.c.version)):
            found.update(str(version.get(part) or "") for part in ("file_sha256", "adapter_sha256", "report"))
            found.add(str(version["lineage"].get(WEIGHTS) or ""))
    return found


def remove_strays(workspace: Workspace, is_forgotten: Callable[[Path], bool]) -> int:
    """Remove files that nothing names (a command was killed while it wrote them) and that hold something forgotten."""
    named, root = referenced(workspace), workspace.paths.root
    gone = 0
    for path in sorted(root.rglob("*")):
        unfinished = any(part.startswith(".part-") for part in path.relative_to(root).parts)
        stray = unfinished or (path.parent.parent == workspace.paths.blobs and path.stem not in named)
        if stray and path.is_file() and is_forgotten(path):
            path.unlink()
            gone += 1
    return gone


def file_holds(path: Path, holds: Holds) -> bool | None:
    """Whether a file of a workspace holds something forgotten: in cells of Parquet, else in what reads as UTF-8.

    Weights hold no text, and the database is looked at as tables. None: it is Parquet that cannot be read.
    """
    if path.stat().st_size > MOST_BYTES or path.suffix in (".gguf", ".safetensors", ".db", ".db-wal", ".db-shm"):
        return False
    if path.suffix == PARQUET:
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError):
            return None
        texts = frame.select(pl.col(pl.String)).iter_columns()
        return any(holds(text) for column in texts for text in column.unique().to_list() if text)
    content = path.read_bytes()
    return b"\0" not in content[:4096] and holds(content.decode("utf-8", "replace"))


def tables_that_hold(workspace: Workspace, holds: Holds) -> list[str]:
    """The tables of the database in which some text still holds something forgotten."""
    metadata = MetaData()
    metadata.reflect(workspace.database.engine)
    found = []
    with workspace.database.read() as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(select(table))
            if any(
                holds(v if isinstance(v, str) else _json_text(v))
                for r in rows
                for v in r
                if isinstance(v, str | dict | list)
            ):
                found.append(table.name)
    return found


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
