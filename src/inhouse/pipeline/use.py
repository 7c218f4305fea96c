"""`predict`: batch work with the champion."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import inhouse.sources as sources
from inhouse.core import Reporter, Silent
from inhouse.errors import InputError, Refused, UsageError
from inhouse.store import Workspace, registry, write_bytes

COLUMNS = ("prediction", "confidence", "needs_review", "error")


@dataclass(frozen=True)
class Predicted:
    """What `predict` wrote."""

    task: str
    model_version: str
    out: str
    rows: int
    needs_review: int
    errors: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def predict(
    workspace: Workspace,
    name: str,
    file: Path | str,
    out: Path | str,
    reporter: Reporter | None = None,
    *,
    which: str = registry.CHAMPION,
) -> Predicted:
    """Answer every row of a file; write its columns plus prediction, confidence, needs_review and error.

    A row that cannot be answered keeps its place with an `error`. `out` is written whole or not at all.

    Raises:
        NotFound: no such task, or nothing was promoted.
        SourceError: the file cannot be read or lacks a column.
        UsageError: `out` is the input file.
    """
    from inhouse.deploy import open_served

    reporter = reporter or Silent()
    file, out = Path(file), Path(out)
    workspace.load_task(name)
    version = registry.find_version(workspace, name, which)
    if out.resolve() == file.resolve():
        raise UsageError(f"--out {out} is the input file itself", "name another file")
    if not version.parity.passed:
        raise Refused(f"{version.name} failed the parity gate: {version.parity.reason}", "train again")
    check_writable(out)
    source = sources.read_source(file)
    sources.check_columns(source, version.fields)
    columns = [c for c in source.columns if c not in COLUMNS or c in version.fields]
    if len(columns) < len(source.columns):
        reporter.warn(
            f"the file holds answers already: its {', '.join(sorted(set(source.columns) - set(columns)))} are replaced"
        )
    rows = _rows(source, sources.input_reader(source, version.fields, version.documents, chat=version.chat))
    served = open_served(workspace, version)
    begun = time.perf_counter()
    try:
        bar = reporter.bar("predicting", len(rows))
        inputs = [row.inputs for row in rows]
        given = served.answer(inputs, bar.update)
        bar.update(len(rows))
    finally:
        served.close()
    seconds = time.perf_counter() - begun
    errors = [row.fault or a.prediction.error or "" for row, a in zip(rows, given, strict=True)]
    table = [
        [*(row.values.get(c, "") for c in columns), *_answer_cells(a.prediction, error, review=a.needs_review)]
        for row, a, error in zip(rows, given, errors, strict=True)
    ]
    write_bytes(out, _csv([*columns, *COLUMNS], table))
    return Predicted(
        task=name,
        model_version=version.name,
        out=str(out),
        rows=len(rows),
        needs_review=sum(a.needs_review for a in given),
        errors=sum(bool(e) for e in errors),
        seconds=seconds,
    )


def check_writable(out: Path) -> None:
    """Raise `InputError` when a file cannot be written there: before the work, not after it."""
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        what = "is a folder" if out.is_dir() else "is in a folder that is not there or cannot be written to"
        raise InputError(f"--out {out} {what}", "name a file in a folder of yours")


@dataclass(frozen=True)
class _Row:
    """One row: where it stands, its cells, the task's input in it, and why it cannot be answered, if so."""

    line: int
    values: Mapping[str, str]
    inputs: Mapping[str, str]
    fault: str = ""


def _rows(source: sources.Source, read: sources.InputReader) -> list[_Row]:
    """All rows in file order; what cannot be read has no input, and so costs nothing."""
    rows = []
    for record in source.records:
        inputs, reason = read(record)
        fault = f"line {record.provenance.line}: {reason}" if reason else ""
        rows.append(_Row(record.provenance.line, record.values, {} if reason else inputs, fault))
    for rejected in source.rejections:
        line = rejected.provenance.line
        rows.append(_Row(line, {source.columns[0]: rejected.row}, {}, f"line {line}: {rejected.reason}"))
    return sorted(rows, key=lambda row: row.line)


def _answer_cells(prediction: Any, error: str, *, review: bool) -> list[str]:  # noqa: ANN401 - a Prediction
    if prediction.target is None:
        return ["", "", "true", error]
    if error:  # an answer that was cut off is shown, with what is wrong with it
        return [prediction.target, f"{prediction.confidence:.4f}", "true", error]
    return [prediction.target, f"{prediction.confidence:.4f}", "true" if review else "false", ""]


def _csv(header: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")
