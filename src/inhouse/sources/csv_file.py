"""CSV and TSV: the delimiter is found out, line numbers are those that an editor shows."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from inhouse.core import Record, Rejection
from inhouse.errors import SourceError
from inhouse.sources.registry import RawFile, Source, source
from inhouse.sources.text import decode

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_ROWS = 50

_HEADER = "the first line must name each column once"


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: the lines it stands in (1-based, inclusive), its cells, and why it cannot be used."""

    first: int
    last: int
    cells: list[str]
    fault: str = ""


@source("csv", "tsv")
def read_csv(file: RawFile) -> Source:
    """Rows of a file with a header; the separator is a comma, semicolon, tab or bar.

    Blank lines are passed over. A row with another number of cells than the header, or with broken quotes, is a
    Rejection. A file of one column can be read: it may hold inputs to answer.

    Raises:
        SourceError: not UTF-8 text, a header name that is empty or stands twice, or a quote that is never closed.
    """
    text = decode(file)
    lines = list(io.StringIO(text, newline="\n" if "\n" in text else "\r"))
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    rows = _rows(file, lines, _delimiter(lines))
    header = next(rows)
    columns = _columns(file, header)
    records: list[Record] = []
    rejections: list[Rejection] = []
    for row in rows:
        fault = row.fault or _wrong_width(row.cells, columns)
        if fault:
            raw = "".join(lines[row.first - 1 : row.last]).rstrip("\r\n")
            rejections.append(Rejection(file.at(row.first), fault, raw))
        else:
            records.append(Record(dict(zip(columns, row.cells, strict=True)), file.at(row.first)))
    return Source(file.path, file.sha256, columns, records, rejections)


def _rows(file: RawFile, lines: list[str], delimiter: str) -> Iterator[_Row]:
    """The rows that are not blank. One that runs over lines and then breaks gives a faulty row for each line."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield from _broken(file, lines, first, reader.line_num, str(error))
        else:
            if cells:
                yield _Row(first, reader.line_num, cells)


def _broken(file: RawFile, lines: list[str], first: int, last: int, error: str) -> Iterator[_Row]:
    if "unexpected end" in error:
        line = _opening_line(lines, first, last)
        raise SourceError(
            'a quote (") opens in this line and is never closed, so it takes in the rest of the file',
            'close it, or double each quote that is part of a text ("")',
            file=file.path,
            line=line,
        )
    if "new-line character" in error:
        fault = "a carriage return in the middle of the row"
    elif first == last:
        fault = 'text after a closing quote; a quote that is part of a text must be doubled ("")'
    else:
        fault = f"inside a quote that opens in line {_opening_line(lines, first, last - 1)} and is not closed rightly"
    for line in range(first, last + 1):
        yield _Row(line, line, [], fault)


def _opening_line(lines: list[str], first: int, last: int) -> int:
    """The line in which the quote opened that is still open after line `last`, for a row that starts in `first`."""
    opened, inside = first, False
    for number, line in enumerate(lines[first - 1 : last], start=first):
        quotes = line.replace('""', "").count('"')
        if quotes % 2:
            inside = not inside
        if inside and quotes:
            opened = number
    return opened


def _delimiter(lines: list[str]) -> str:
    """The delimiter that cuts the header into columns and most of the first rows into as many."""
    found = {d: _agreement(lines, d) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: found[d])
    return best if found[best] > (0.0, 1) else ","


def _agreement(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Share of sampled rows that are as wide as the header, and that width; (0, 1) when it does not cut the header."""
    widths: list[int] = []
    try:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        widths += (len(cells) for cells in islice((r for r in reader if r), SAMPLE_ROWS))
    except csv.Error:
        pass  # a stray carriage return: what was read so far is the sample
    if not widths or widths[0] < 2:
        return 0.0, 1
    return widths.count(widths[0]) / len(widths), widths[0]


def _columns(file: RawFile, header: _Row) -> tuple[str, ...]:
    if header.fault:
        what = f"the header cannot be read: {header.fault}"
        raise SourceError(what, _HEADER, file=file.path, line=header.first)
    return column_names(file, header.first, header.cells)


def column_names(file: RawFile, line: int, cells: Sequence[str]) -> tuple[str, ...]:
    """The column names that a header's cells are.

    Raises:
        SourceError: one is empty, or stands twice.
    """
    names = tuple(name.strip() for name in cells)
    if "" in names:
        what = f"column {names.index('') + 1} of {len(names)} has no name"
        raise SourceError(what, f"{_HEADER} (pandas: to_csv(..., index=False))", file=file.path, line=line)
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise SourceError(f"the column name {twice[0]!r} stands twice", _HEADER, file=file.path, line=line)
    return names


def _wrong_width(cells: list[str], columns: tuple[str, ...]) -> str:
    if len(cells) == len(columns):
        return ""
    hint = "; a text that holds the separator must stand in quotes" if len(cells) > len(columns) else ""
    return f"{len(cells)} cells where the header has {len(columns)}{hint}"
