"""JSON Lines, one object per line, and JSON: one array of objects."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from inhouse.core import Record, Rejection
from inhouse.errors import SourceError
from inhouse.sources.json_rows import DECODER, nested_in, plain_reason, record_of
from inhouse.sources.preferences import with_conversations
from inhouse.sources.registry import RawFile, Source, source
from inhouse.sources.text import converted, decode

_SPACE = re.compile(r"[ \t\r\n]*")


@source("jsonl", "ndjson")
def read_jsonl(file: RawFile) -> Source:
    """Rows of a file with one JSON object per line; the columns are all keys, in the order first seen.

    A line that is not an object is a Rejection. `null` reads as empty, numbers and booleans as they are written,
    lists and objects as compact JSON. Keys may be absent from a row: that matters only where such a column is needed.

    Raises:
        SourceError: not UTF-8 text, or one JSON document instead of one per line.
    """
    text = decode(file)
    _refuse_document(file, text)
    rows = _Rows(file)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value: object = DECODER.decode(line)
            except (ValueError, RecursionError) as error:
                rows.reject(number, plain_reason(error), line)
            else:
                rows.add(number, value, line)
    return rows.source()


@source("json")
def read_json(file: RawFile) -> Source:
    """Rows of a file that is one JSON array of objects; the line of a row is where its object starts.

    Raises:
        SourceError: not UTF-8 text, not valid JSON, or not an array.
    """
    text = decode(file)
    rows = _Rows(file)
    for line, value, written in _items(file, text):
        rows.add(line, value, written)
    return rows.source()


@dataclass
class _Rows:
    """What was read so far."""

    file: RawFile
    columns: dict[str, None] = field(default_factory=dict)
    nested: set[str] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    def add(self, line: int, value: object, written: str) -> None:
        """Add a decoded row, or reject it."""
        try:
            record = record_of(value, self.file.at(line))
        except ValueError as error:
            self.reject(line, plain_reason(error), written)
            return
        self.columns.update(dict.fromkeys(record.values))
        if record.json:
            self.nested.update(nested_in(record))
        self.records.append(record)

    def reject(self, line: int, reason: str, written: str) -> None:
        """Reject a row."""
        self.rejections.append(Rejection(self.file.at(line), reason, written.rstrip("\r")))

    def source(self) -> Source:
        """All of it."""
        file = self.file
        read = Source(
            file.path, file.sha256, tuple(self.columns), self.records, self.rejections, frozenset(self.nested)
        )
        return with_conversations(read)


def _refuse_document(file: RawFile, text: str) -> None:
    body = text.lstrip()
    where = text.count("\n", 0, len(text) - len(body)) + 1
    if body.startswith("["):
        what = "the file is one JSON array; JSON Lines has one object per line"
        raise SourceError(what, "name it so that it ends in .json", file=file.path, line=where)
    if body.split("\n", 1)[0].strip() == "{":
        what = "an object runs over several lines; JSON Lines has one object per line"
        target = f"{shlex.quote(str(file.path))} > {converted(file.path, '.jsonl')}"
        raise SourceError(what, f"jq -c . {target}", file=file.path, line=where)


def _items(file: RawFile, text: str) -> Iterator[tuple[int, object, str]]:
    """The items of the array that `text` is, each with the line where it starts and as it is written."""
    position, line = _skip(text, 0, 1)
    if text[position] != "[":
        raise _no_array(file, text, line)
    position, line = _skip(text, position + 1, line)
    if text[position : position + 1] != "]":
        while True:
            start = position
            try:
                value, position = DECODER.raw_decode(text, start)
            except (ValueError, RecursionError) as error:
                at = getattr(error, "pos", start)
                raise _broken(file, text, at, plain_reason(error).partition(" at character ")[0]) from None
            yield line, value, text[start:position]
            line += text.count("\n", start, position)
            position, line = _skip(text, position, line)
            end = text[position : position + 1]
            if end == "]":
                break
            if end != ",":
                raise _broken(file, text, position, "a comma or the closing ] is missing")
            position, line = _skip(text, position + 1, line)
    position, _ = _skip(text, position + 1, line)
    if position < len(text):
        raise _broken(file, text, position, "there is more after the closing ]")


def _skip(text: str, position: int, line: int) -> tuple[int, int]:
    """The next position that is no white space, and its line."""
    match = _SPACE.match(text, position)
    end = match.end() if match else position
    return end, line + text.count("\n", position, end)


def _broken(file: RawFile, text: str, position: int, what: str) -> SourceError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return SourceError(
        f"{what}, at character {column} of the line",
        "mend it there; no row can be read from JSON that is not valid",
        file=file.path,
        line=line,
    )


def _no_array(file: RawFile, text: str, line: int) -> SourceError:
    first = text.strip().split("\n", 1)[0]
    remedy = "put the objects in an array: [{...}, {...}]"
    if first.startswith("{") and first.rstrip().endswith("}"):
        remedy = "if it has one object per line, name it so that it ends in .jsonl; or put them in an array: [{...}]"
    return SourceError("the file is not one JSON array of objects", remedy, file=file.path, line=line)
