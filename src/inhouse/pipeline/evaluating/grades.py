"""The grades that people gave answers, read from a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import inhouse.sources as sources
from inhouse.core import Example, Record, Reporter, Task, input_key
from inhouse.errors import InputError, SourceError
from inhouse.scoring.agreement import GRADES

if TYPE_CHECKING:
    from inhouse.evaluate.model_judge import Graded

GRADE, ID = "grade", "id"
# Columns that hold the answer that was graded: `prediction` is what `predict` writes.
ANSWERS = ("answer", "prediction")
_REMEDY = "give a column `grade` with whole numbers from 1 (useless) to 5 (as good as the expected answer)"


def _graded_rows(file: Path) -> tuple[sources.Source, list[tuple[Record, int]]]:
    source = sources.read_source(file)
    if GRADE not in source.columns:
        raise InputError(f"there is no column {GRADE!r}: {', '.join(source.columns)}", _REMEDY, file=file)
    return source, [(record, _grade_of(file, record)) for record in source.records]


def read_grades(
    file: Path, task: Task, examples: Sequence[Example], own: Mapping[str, str | None], reporter: Reporter
) -> list[Graded]:
    """The graded answers to examples that are known, in the file's order.

    A row names its example by the column `id`, or by the columns of the input; its answer stands in `answer` or
    `prediction`, and is otherwise the one of the version under test.

    Args:
        examples: of the validation and the test split.
        own: what the version under test answered, by the example's id.

    Raises:
        InputError: a column is missing, a grade is none, or no row is of one of the examples.
        SourceError: the file cannot be read.
    """
    from inhouse.evaluate.model_judge import Graded

    source, rows = _graded_rows(file)
    find = _finder(file, source, task, examples)
    answer = next((name for name in ANSWERS if name in source.columns), None)
    graded, strange = [], 0
    for record, grade in rows:
        example = find(record)
        said = None if example is None else (record.values.get(answer) if answer else own.get(example.id))
        if example is None or not said:
            strange += 1
        else:
            graded.append(Graded(example, said.strip(), grade))
    if not graded:
        raise InputError(
            f"none of its {len(rows)} rows is of an answer to a validation or test example",
            "grade answers of this task, with the input as the dataset has it: masked, where it was masked",
            file=file,
        )
    if strange:
        reporter.warn(f"{strange} rows of {file.name} are of no answer to a validation or test example: left out")
    return graded


def _finder(
    file: Path, source: sources.Source, task: Task, examples: Sequence[Example]
) -> Callable[[Record], Example | None]:
    """What finds the example that a row is of."""
    if ID in source.columns:
        by_id = {e.id: e for e in examples}
        return lambda record: by_id.get(record.values.get(ID, "").strip())
    try:
        read = sources.input_reader(source, task.input.fields, task.input.documents, chat=task.input.chat)
    except SourceError as error:
        raise InputError(
            f"nothing says which examples were graded: {error.what}",
            f"give the columns of the input ({', '.join(task.input.fields)}), or `{ID}`",
            file=file,
        ) from None
    by_key = {e.input_key: e for e in examples}

    def find(record: Record) -> Example | None:
        inputs, fault = read(record)
        return None if fault else by_key.get(input_key(inputs))

    return find


def _grade_of(file: Path, record: Record) -> int:
    text = record.values.get(GRADE, "").strip()
    try:
        grade = float(text)
    except ValueError:
        grade = math.nan
    if grade not in GRADES:
        raise InputError(f"{text!r} is no grade", _REMEDY, file=file, line=record.provenance.line)
    return int(grade)
