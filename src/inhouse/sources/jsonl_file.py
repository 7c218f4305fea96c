"""JSON Lines, one object per line, and JSON: an array of objects, bare or inside an object, or one object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from inhouse.core import Record, Rejection
from inhouse.errors import SourceError
from inhouse.sources.bounds import MAX_CHARS, MAX_WHOLE_BYTES, Unreadable, check_size, too_long
from inhouse.sources.chat_forms import IN_CHAT_FORMS, with_conversations
from inhouse.sources.encodings import Encoding
from inhouse.sources.json_rows import DECODER, nested_in, plain_reason, record_of
from inhouse.sources.registry import RawFile, Source, source
from inhouse.sources.text import Lines, TooLong, encoding_of, fault_in, open_text, whole_text

_SPACE = re.compile(r"[ \t\r\n]*")
# What an object calls the list of rows that it holds beside something else.
_ROWS_NAMES = ("data", "rows", "records", "examples", "results", "instances", "entries", "samples", "dataset")
_START_CHARS = 2**16


@source("jsonl", "ndjson")
def read_jsonl(file: RawFile) -> Source:
    """Rows of a file with one JSON object per line; the columns are all keys, in the order first seen.

    A line that is not an object is a Rejection. `null` reads as empty, numbers and booleans as they are written,
    lists and objects as compact JSON. Keys may be absent from a row: that matters only where such a column is needed.
    A file that is one JSON document all the same is read as such, and told. Conversations in one of the known forms
    become rows with `messages` (see `chat_forms`).

    Raises:
        SourceError: no text, or a document that is not valid JSON.
    """
    encoding = encoding_of(file)
    with open_text(file, encoding) as stream:
        start = stream.read(_START_CHARS).lstrip()
    if start.startswith("[") or start.split("\n", 1)[0].strip() == "{":
        return _document(file, encoding, "the file is one JSON document, not one object per line, and is read so")
    return _json_lines(file, encoding)


@source("json")
def read_json(file: RawFile) -> Source:
    """Rows of a JSON document; the line of a row is where its object starts.

    A document is an array of objects, an object that holds one such array (`{"data": [...]}`), or one object, which
    is one row. A file with one object per line all the same is read as JSON Lines, and told.

    Raises:
        SourceError: no text, too large to be held whole, not valid JSON, or none of these.
    """
    encoding = encoding_of(file)
    if _is_json_lines(file, encoding):
        return _json_lines(file, encoding, "the file has one JSON object per line and is read as JSON Lines")
    return _document(file, encoding)


def _json_lines(file: RawFile, encoding: Encoding, note: str = "") -> Source:
    rows = _Rows(file, [encoding.note, note], encoding)
    with open_text(file, encoding, "\n") as stream:
        lines = Lines(stream, "\n")
        while True:
            number = lines.begin()
            try:
                line = next(lines, None)
            except TooLong as error:
                rows.reject(number, too_long("a line"), str(error))
                continue
            if line is None:
                return rows.source()
            if line.strip():
                _add_line(rows, number, line, encoding)


def _add_line(rows: _Rows, number: int, line: str, encoding: Encoding) -> None:
    if encoding.faulty and (fault := fault_in(line, encoding)):
        rows.reject(number, fault, line)
        return
    try:
        value: object = DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        rows.reject(number, plain_reason(error), line)
    else:
        rows.add(number, value, line)


def _document(file: RawFile, encoding: Encoding, note: str = "") -> Source:
    try:
        remedy = (
            "it is held whole; write it as JSON Lines, one object per line (jq -c '.[]'), which is read line by line"
        )
        check_size(file.path.stat().st_size, MAX_WHOLE_BYTES, remedy)
    except Unreadable as error:
        raise error.of_table(file.path) from None
    text = whole_text(file, encoding)
    start, line = _skip(text, 0, 1)
    if text[start : start + 1] not in ("[", "{"):
        raise _no_rows(file, line)
    place, key = (start, "") if text[start] == "[" else _array_in(file, text, start)
    notes = [encoding.note, note, f"the rows are those of {key!r}" if key else ""]
    rows = _Rows(file, notes, encoding)
    items = _items(file, text, place, alone=not key) if text[place] == "[" else _objects(file, text, place)
    for line, value, written in items:
        if len(written) > MAX_CHARS:
            rows.reject(line, too_long("an object"), written[:200])
        elif encoding.faulty and (fault := fault_in(written, encoding)):
            rows.reject(line, fault, written)
        else:
            rows.add(line, value, written)
    return rows.source()


@dataclass
class _Rows:
    """What was read so far."""

    file: RawFile
    notes: list[str]
    encoding: Encoding
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
        self.rejections.append(Rejection(self.file.at(line), reason, written.rstrip("\r\n")))

    def source(self) -> Source:
        """All of it."""
        file, notes = self.file, tuple(filter(None, self.notes))
        return with_conversations(
            Source(
                file.path,
                file.sha256,
                tuple(self.columns),
                self.records,
                self.rejections,
                frozenset(self.nested),
                notes,
                reading=self.encoding.shown,
            )
        )


def _is_json_lines(file: RawFile, encoding: Encoding) -> bool:
    """Whether the first line that is not blank is an object, and another follows it."""
    with open_text(file, encoding, "\n") as stream:
        lines = (line.strip() for line in Lines(stream, "\n"))
        try:
            first = next((line for line in lines if line), "")
            second = next((line for line in lines if line), "")
        except TooLong:
            return False
    if not (first.startswith("{") and second.startswith("{")):
        return False
    try:
        return isinstance(DECODER.decode(first), dict)
    except (ValueError, RecursionError):
        return False


def _array_in(file: RawFile, text: str, start: int) -> tuple[int, str]:
    """Where the array of rows begins that an object holds, and under which key; where it is a row itself, its start."""
    arrays, keys, position = dict[str, int](), 0, start
    while text[position : position + 1] in ("{", ","):
        position, _ = _skip(text, position + 1, 1)
        if text[position : position + 1] == "}":
            break
        key, position = _decoded(file, text, position)
        position, _ = _skip(text, position, 1)
        if not isinstance(key, str) or text[position : position + 1] != ":":
            raise _broken(file, text, position, "a key and a colon are missing")
        at, _ = _skip(text, position + 1, 1)
        value, position = _decoded(file, text, at)
        position, _ = _skip(text, position, 1)
        keys += 1
        if isinstance(value, list) and value and isinstance(value[0], dict):
            arrays[key] = at
    if text[position : position + 1] != "}":
        raise _broken(file, text, position, "a comma or the closing } is missing")
    if _skip(text, position + 1, 1)[0] < len(text):
        return start, ""
    named = [key for key in arrays if key in _ROWS_NAMES or (keys == 1 and key not in IN_CHAT_FORMS)]
    return (arrays[named[0]], named[0]) if len(named) == 1 else (start, "")


def _objects(file: RawFile, text: str, position: int) -> Iterator[tuple[int, object, str]]:
    """Objects that follow one another, over as many lines as they like; mostly it is one."""
    line = text.count("\n", 0, position) + 1
    while position < len(text):
        start = position
        value, position = _decoded(file, text, start)
        yield line, value, text[start:position]
        position, line = _skip(text, position, line + text.count("\n", start, position))


def _items(file: RawFile, text: str, position: int, *, alone: bool) -> Iterator[tuple[int, object, str]]:
    """The items of the array there, each with the line where it starts and as it is written.

    `alone`: the array is the whole document, so nothing may follow it.
    """
    line = text.count("\n", 0, position) + 1
    position, line = _skip(text, position + 1, line)
    if text[position : position + 1] != "]":
        while True:
            start = position
            value, position = _decoded(file, text, start)
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
    if alone and position < len(text):
        raise _broken(file, text, position, "there is more after the closing ]")


def _decoded(file: RawFile, text: str, start: int) -> tuple[object, int]:
    """The value that begins there, and where it ends."""
    try:
        return DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        at = getattr(error, "pos", start)
        raise _broken(file, text, at, plain_reason(error).partition(" at character ")[0]) from None


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


def _no_rows(file: RawFile, line: int) -> SourceError:
    return SourceError(
        "the file is neither a JSON array of objects nor an object",
        "put the objects in an array: [{...}, {...}]",
        file=file.path,
        line=line,
    )
