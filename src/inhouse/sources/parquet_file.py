"""Parquet: columns as they are typed, rows by their number, read some rows at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from inhouse.core import Record, Rejection
from inhouse.core.json_schema import compact
from inhouse.errors import SourceError
from inhouse.sources.bounds import MAX_CHARS, MAX_TABLE_CHARS, too_long
from inhouse.sources.chat_forms import with_conversations
from inhouse.sources.json_rows import MAX_DEPTH
from inhouse.sources.registry import RawFile, Source, source

if TYPE_CHECKING:
    import polars as pl

_BATCH = 10_000
_Write = Callable[[Any], str]


@source("parquet")
def read_parquet(file: RawFile) -> Source:
    """Rows of a Parquet file, numbered from 1 like lines. Null is empty, dates are ISO, lists and structs are JSON.

    Columns of bytes, such as pictures, are left out and told. A value beyond all measure rejects its row.
    Conversations in one of the known forms become rows with `messages` (see `chat_forms`).

    Raises:
        SourceError: no Parquet file, a damaged one, no column that can be read, or one that unpacks to too much.
    """
    import polars as pl

    try:
        with _silence():
            schema = pl.read_parquet_schema(file.path)
        binary = [name for name, kind in schema.items() if _holds_bytes(kind)]
        kinds = {name: kind for name, kind in schema.items() if name not in binary}
        _check_names(file, list(kinds))
        rows = _Rows(file, kinds)
        for batch in _batches(file, list(kinds)):
            rows.add(batch)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise _unreadable(file, str(error).strip().split("\n", 1)[0]) from error
    notes = (f"left out, as they hold bytes: {', '.join(binary)}",) if binary else ()
    nested = frozenset(name for name, kind in kinds.items() if kind.is_nested())
    return with_conversations(
        Source(file.path, file.sha256, tuple(kinds), rows.records, rows.rejections, nested, notes)
    )


class _Rows:
    """What was read so far."""

    def __init__(self, file: RawFile, kinds: dict[str, pl.DataType]) -> None:
        self.file = file
        self.records: list[Record] = []
        self.rejections: list[Rejection] = []
        self._names, self._writers = tuple(kinds), [_writer(kind) for kind in kinds.values()]
        self._json = frozenset(name for name, kind in kinds.items() if _is_json(kind))
        self._number = self._chars = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Add the rows of a frame."""
        for cells in batch.iter_rows():
            self._number += 1
            place = self.file.at(self._number)
            try:
                texts = ["" if cell is None else write(cell) for write, cell in zip(self._writers, cells, strict=True)]
            except ValueError as error:
                self.rejections.append(Rejection(place, str(error), ""))
                continue
            self._count(texts)
            values = dict(zip(self._names, texts, strict=True))
            json = self._json if all(texts) else frozenset(name for name in self._json if values[name])
            self.records.append(Record(values, place, json))

    def _count(self, texts: list[str]) -> None:
        """Refuse a file that grows without end: equal texts take no room in it, and all of theirs here."""
        self._chars += sum(map(len, texts))
        if self._chars > MAX_TABLE_CHARS:
            raise SourceError(
                f"the first {self._number:,} rows of the file have {self._chars:,} characters, "
                f"{MAX_TABLE_CHARS:,} can be read",
                "write fewer of its rows, or fewer columns, to a file of their own",
                file=self.file.path,
            )


def _batches(file: RawFile, columns: list[str]) -> Iterator[pl.DataFrame]:
    import polars as pl

    rows = pl.scan_parquet(file.path, glob=False).select(columns)
    with _silence():
        count = int(rows.select(pl.len()).collect().item())
    for start in range(0, count, _BATCH):
        with _silence():
            batch = rows.slice(start, _BATCH).collect()
        yield batch


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what the library prints of a damaged file off the terminal: it does so whoever catches the error."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no terminal to keep it off
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_names(file: RawFile, names: list[str]) -> None:
    if not names:
        raise SourceError("the file has no column that holds anything but bytes", "add one with texts", file=file.path)
    if not all(name.strip() for name in names):
        what = f"column {next(i for i, name in enumerate(names, 1) if not name.strip())} has no name"
        raise SourceError(what, "name it", file=file.path)


# --- values as text


def _writer(kind: pl.DataType) -> _Write:
    """What makes text of a column's values; raises ValueError for what is none."""
    import numpy as np
    import polars as pl

    if kind.is_nested():
        return lambda value: _bounded(compact(_plain(value)))
    if kind == pl.Boolean:
        return lambda value: "true" if value else "false"
    if kind == pl.Float32:
        return lambda value: _number(value, str(np.float32(value)))
    if kind == pl.Float64:
        return lambda value: _number(value, str(value))
    if kind.is_decimal():
        return lambda value: format(value, "f")
    return lambda value: _bounded(str(value))


def _number(value: float, written: str) -> str:
    """A number without a needless `.0`; what is none, which Python writes for a missing one, is empty."""
    return written.removesuffix(".0") if math.isfinite(value) else ""


def _bounded(text: str) -> str:
    if len(text) > MAX_CHARS:
        raise ValueError(too_long("a cell"))
    if "\0" in text:
        raise ValueError(f"{text[:40]!r} holds a NUL, which is no text")
    return text


def _plain(value: object, depth: int = 0) -> object:
    """A nested value as JSON has it."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {name: _plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, str | int | None) else str(value)


def _is_json(kind: pl.DataType) -> bool:
    """Whether the texts of its values are JSON and no strings."""
    import polars as pl

    return kind.is_nested() or kind.is_numeric() or kind == pl.Boolean


def _holds_bytes(kind: pl.DataType | pl.datatypes.DataTypeClass) -> bool:
    import polars as pl

    if isinstance(kind, pl.Struct):
        return any(_holds_bytes(field.dtype) for field in kind.fields)
    if isinstance(kind, pl.List | pl.Array):
        return _holds_bytes(kind.inner)
    return kind in (pl.Binary, pl.Object, pl.Unknown)


def _unreadable(file: RawFile, reason: str) -> SourceError:
    return SourceError(
        f"the Parquet file cannot be read: {reason}", "write it again, or export it as CSV", file=file.path
    )
