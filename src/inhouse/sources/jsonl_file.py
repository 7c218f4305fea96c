"""JSON Lines: one object per line; numbers and booleans become text as they are written."""

from __future__ import annotations

import json
import shlex
from typing import NoReturn

from inhouse.core import Record, Rejection
from inhouse.errors import SourceError
from inhouse.sources.registry import RawFile, Source, source
from inhouse.sources.text import converted, decode


class _Nested:
    """Stands for a list or an object inside a row."""


Value = str | _Nested


@source("jsonl", "ndjson")
def read_jsonl(file: RawFile) -> Source:
    """Rows of a file with one JSON object per line; the columns are all keys, in the order first seen.

    A line that is not an object is a Rejection. `null` reads as empty. Keys may be absent from a row, and lists and
    objects inside a row are not read: that matters only where such a column is needed (see `to_examples`).

    Raises:
        SourceError: not UTF-8 text, or one JSON document instead of one per line.
    """
    text = decode(file)
    _refuse_document(file, text)
    columns: dict[str, None] = {}
    nested: set[str] = set()
    records: list[Record] = []
    rejections: list[Rejection] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _row(line)
        except (ValueError, RecursionError) as error:
            rejections.append(Rejection(file.at(number), _plain(error), line.rstrip("\r")))
            continue
        columns.update(dict.fromkeys(row))
        values = {name: value for name, value in row.items() if isinstance(value, str)}
        nested.update(row.keys() - values.keys())
        records.append(Record(values, file.at(number)))
    return Source(file.path, file.sha256, tuple(columns), records, rejections, frozenset(nested))


def _refuse_document(file: RawFile, text: str) -> None:
    body = text.lstrip()
    where = text.count("\n", 0, len(text) - len(body)) + 1
    target = f"{shlex.quote(str(file.path))} > {converted(file.path, '.jsonl')}"
    if body.startswith("["):
        what = "the file is one JSON array; JSON Lines has one object per line"
        raise SourceError(what, f"jq -c '.[]' {target}", file=file.path, line=where)
    if body.split("\n", 1)[0].strip() == "{":
        what = "an object runs over several lines; JSON Lines has one object per line"
        raise SourceError(what, f"jq -c . {target}", file=file.path, line=where)


def _row(line: str) -> dict[str, Value]:
    value = json.loads(line, parse_int=str, parse_float=str, parse_constant=_no_constant, object_pairs_hook=_pairs)
    if not isinstance(value, dict):
        raise ValueError("the line is not a JSON object")  # noqa: TRY004 - a fault of the data, as all others here
    return {name: _text(name, item) for name, item in value.items()}


def _text(name: str, value: object) -> Value:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return _Nested()
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"{name!r} holds a NUL or half a surrogate pair, which is no text")
    return value


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key stands twice")
    if any(not name.strip() for name in row):
        raise ValueError("a key is empty")
    return row


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _plain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "not read: nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} at character {error.pos + 1}"
    return str(error)
