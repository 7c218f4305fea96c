"""`predict`: batch work with the champion."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.core import Bar, ModelVersion, Reporter, Silent
from inhouse.core.json_schema import compact
from inhouse.errors import InputError, Refused, UsageError
from inhouse.pipeline.adding import wishes_of
from inhouse.pipeline.answers_kept import Answer, KeptAnswers
from inhouse.pipeline.batch import Asked, Batch, Row, answer_columns, batch_of
from inhouse.sources import ReadOptions, escaped, is_url
from inhouse.store import Workspace, registry, replacing

if TYPE_CHECKING:
    from inhouse.deploy.served import Answered, Served

# Rows that are answered together and kept at once: a kill costs no more.
_TOGETHER = 128

_MOST_LISTED = 1000


@dataclass(frozen=True)
class Predicted:
    """What `predict` wrote.

    `unreadable` says of the first 1,000 rows and documents that could not be read why; `resumed` rows were answered
    before, by a command that was cut off; `trimmed` of the others were longer than the model reads.
    """

    task: str
    model_version: str
    out: str
    rows: int
    needs_review: int
    errors: int
    seconds: float
    resumed: int = 0
    trimmed: int = 0
    unreadable: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def predict(
    workspace: Workspace,
    name: str,
    files: Path | str | Sequence[Path | str],
    out: Path | str,
    reporter: Reporter | None = None,
    *,
    which: str = registry.CHAMPION,
    inputs: Sequence[str] = (),
    options: ReadOptions | None = None,
    query: str = "",
) -> Predicted:
    """Answer every row of tables and databases, and every document; write a CSV.

    The columns are those of the table, or the document's `file` and `part`, plus prediction, confidence, needs_review,
    error, and of objects the confidence in each field; of several sources the columns of all, with the `file` that a
    row is of. A row that cannot be answered keeps its place with an `error`. `out` is written whole or not at all;
    until then the answers are kept beside it, so that the same command goes on where one was cut off.

    Args:
        files: files, folders, patterns and URLs of databases, as `add` takes them.
        inputs: `NAME=COLUMN` where these sources call the task's columns otherwise.
        options: how the files are read, where that is not found out.
        query: what to read from a database, where no query was kept of it.

    Raises:
        NotFound: no such task, or nothing was promoted.
        SourceError: nothing can be read, a column is missing, or a folder holds nothing that can be answered.
        OutboundForbidden: a database elsewhere, and INHOUSE_OFFLINE is set.
        UsageError: `out` is an input file, or there is a query and no database.
    """
    reporter = reporter or Silent()
    paths, out = (files,) if isinstance(files, str | Path) else tuple(files), Path(out)
    task = workspace.load_task(name)
    version = registry.find_version(workspace, name, which)
    if any(not is_url(path) and out.resolve() == Path(path).resolve() for path in paths):
        raise UsageError(f"--out {out} is the input file itself", "name another file")
    if fault := version.out_of_parity:
        raise Refused(f"{version.name} failed the parity gate: {fault}", "train again")
    check_writable(out)
    wishes = wishes_of(inputs, "", "", options, query)
    batch = batch_of(workspace, task, version, Asked(paths, wishes, out), reporter)
    for note in batch.notes:
        reporter.warn(note)
    written = answer_columns(version)
    columns = [*batch.columns, *written]
    kept = KeptAnswers(out, {"model": version.name, "file": version.file_sha256, "columns": columns})
    begun = time.perf_counter()
    try:
        rows, resumed, trimmed = _answer_all(workspace, version, batch, kept, reporter)
        write_table(out, columns, ([*row.cells, *kept.answers[row.key].cells[: len(written)]] for row in rows))
    finally:
        kept.close()
    kept.remove()
    answers = [kept.answers[row.key] for row in rows]
    review, error = (written.index(name) for name in ("needs_review", "error"))
    return Predicted(
        task=name,
        model_version=version.name,
        out=str(out),
        rows=len(rows),
        needs_review=sum(a.cells[review] == "true" for a in answers),
        errors=sum(bool(a.cells[error]) for a in answers),
        seconds=time.perf_counter() - begun,
        resumed=resumed,
        trimmed=trimmed,
        unreadable=(*batch.unread, *(a.unreadable for a in answers if a.unreadable))[:_MOST_LISTED],
    )


def check_writable(out: Path, option: str = "--out") -> None:
    """Raise `InputError` when the file that an option names cannot be written: before the work, not after it."""
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        what = "is a folder" if out.is_dir() else "is in a folder that is not there or cannot be written to"
        raise InputError(f"{option} {out} {what}", "name a file in a folder of yours")


def write_table(out: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV whole or not at all, with cells that no spreadsheet computes."""
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(escaped, header))
        writer.writerows([escaped(cell) for cell in row] for row in rows)


def _answer_all(
    workspace: Workspace, version: ModelVersion, batch: Batch, kept: KeptAnswers, reporter: Reporter
) -> tuple[list[Row], int, int]:
    """All rows in their order, without inputs, each with its answer in `kept`; how many had one before, and how many of
    the others were trimmed."""
    from inhouse.deploy import open_served

    # What could not be read is tried again: somebody may have mended it, or installed what was missing.
    before = frozenset(key for key, answer in kept.answers.items() if not answer.unreadable)
    rows, trimmed = list[Row](), 0
    served: Served | None = None
    bar = reporter.bar("predicting", batch.total)
    try:
        for together in _portions(batch.rows(before)):
            rows += [Row(row.key, row.place, row.cells) for row in together]
            todo = [row for row in together if row.key not in before]
            if todo and served is None:
                served = open_served(workspace, version)
            if todo and served is not None:
                answers, shortened = _answers(served, todo, bar)
                kept.add(answers)
                trimmed += shortened
            bar.update(together[-1].place)
        bar.update(batch.total)
    finally:
        if served is not None:
            served.close()
    resumed = sum(row.key in before for row in rows)
    if resumed:
        reporter.say(f"{resumed:,} of {len(rows):,} rows were answered before, by a command that was cut off")
    if trimmed:
        reporter.say(
            f"{trimmed:,} of {len(rows) - resumed:,} inputs are longer than the model reads: the parts that matter "
            "most were read, as in training"
        )
    return rows, resumed, trimmed


def _portions(rows: Iterator[Row]) -> Iterator[list[Row]]:
    portion: list[Row] = []
    for row in rows:
        portion.append(row)
        if len(portion) == _TOGETHER:
            yield portion
            portion = []
    if portion:
        yield portion


def _answers(served: Served, rows: list[Row], bar: Bar) -> tuple[list[tuple[str, Answer]], int]:
    """Of each row its key and answer, and how many inputs were trimmed; what could not be read is not asked."""
    readable = [row for row in rows if not row.fault]
    done = rows[0].place - 1
    answers = served.answer([row.inputs for row in readable], lambda n: bar.update(done + n)) if readable else []
    given = iter(answers)
    found = [
        (row.key, Answer(("", "", "true", row.fault, ""), row.fault) if row.fault else Answer(_cells(next(given))))
        for row in rows
    ]
    return found, sum(answer.trimmed for answer in answers)


def _cells(answered: Answered) -> tuple[str, ...]:
    """What is written of an answer, in the order of `answer_columns`."""
    prediction, error = answered.prediction, answered.prediction.error or ""
    if prediction.target is None:
        return "", "", "true", error, ""
    # An answer that was cut off is shown, with what is wrong with it.
    review = "true" if error or answered.needs_review else "false"
    parts = {path: round(sure, 4) for path, sure in sorted(prediction.parts.items(), key=lambda part: part[1])}
    return prediction.target, f"{prediction.confidence:.4f}", review, error, compact(parts) if parts else ""
