"""CSV and TSV: encoding and delimiter are found out, line numbers are those that an editor shows."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from inhouse.core import Provenance, Record, Rejection, counted
from inhouse.errors import SourceError
from inhouse.sources.bounds import MAX_CHARS, too_long
from inhouse.sources.encodings import Encoding
from inhouse.sources.registry import RawFile, Source, source
from inhouse.sources.text import Lines, TooLong, encoding_of, fault_in, line_end, open_text

DELIMITERS = (",", ";", "\t", "|")
# Taken only where they cut all rows alike, into columns with names.
_UNUSUAL = "\x1f\x1e\x1d\x1c\x01\x02~^¦§¬¤:#!*%@$&"
SAMPLE_ROWS = 50
_SAMPLE_CHARS = 2**20
# The first line of a file that Excel wrote for an Excel of another country.
_SEPARATOR = re.compile(r"sep=(.)\s*")

# A header stands within so many rows, and so many of the rows below have its width; titles that are told.
_TITLES, _REGULAR = 20, 0.9
_TITLES_TOLD, _TITLE_CHARS = 5, 40
_NUMBER = re.compile(r"[-+]?[\d.,'/: ]*\d ?%?")

_HEADER = "the first line must name each column once; --header NUMBER names another"


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the header stands, what separates its columns, and the titles that stand above it."""

    line: int
    delimiter: str
    titles: tuple[str, ...] = ()


@source("csv", "tsv")
def read_csv(file: RawFile) -> Source:
    """Rows of a file with a header, in any encoding and with any separator of one character.

    The header is the first line, or below titles the first that fills more than half of the columns which most rows
    have (as in a workbook, see `read_excel`); that is told.

    Blank lines are passed over. A row with another number of cells than the header, with broken quotes, with what is
    no text, or with a line or cell beyond all measure is a Rejection. A file of one column can be read: it may hold
    inputs to answer. The file is read a line at a time.

    Raises:
        SourceError: no text, a header name that is empty or stands twice, or a quote that is never closed.
    """
    encoding = encoding_of(file)
    csv.field_size_limit(MAX_CHARS)
    with open_text(file, encoding) as stream:
        end = line_end(stream)
    with open_text(file, encoding, end) as stream:
        start = _start(file, stream.read(_SAMPLE_CHARS), end)
        stream.seek(0)
        return _read(file, Lines(stream, end), start, encoding)


def _read(file: RawFile, lines: Lines, start: _Start, encoding: Encoding) -> Source:
    for _ in islice(lines, start.line - 1):
        pass
    rows = _rows(file, lines, start.delimiter)
    first, cells, fault = next(rows, (start.line, [], ""))
    if not cells and not fault:
        raise SourceError(f"line {start.line} is no header: the file ends before it", _HEADER, file=file.path)
    fault = fault or _odd(lines, encoding)
    if fault:
        raise SourceError(f"the header cannot be read: {fault}", _HEADER, file=file.path, line=first)
    columns = column_names(file, first, cells)
    name, width, faulty = file.name or file.path.name, len(columns), encoding.faulty
    records: list[Record] = []
    rejections: list[Rejection] = []
    for line, cells, fault in rows:
        if not fault and len(cells) != width:
            fault = _wrong_width(cells, columns)
        elif faulty and not fault:
            fault = _odd(lines, encoding)
        if fault:
            raw = "".join(lines.kept) if cells else lines.kept[line - lines.number - 1]
            rejections.append(Rejection(file.at(line), fault, raw.rstrip("\r\n")))
        else:
            place = Provenance(name, line, file.sha256)
            records.append(Record(dict(zip(columns, cells, strict=True)), place))
    above = f"the header is line {first}; left out above it: {', '.join(map(repr, start.titles))}"
    notes = tuple(filter(None, (encoding.note, above if start.titles else "")))
    reading = f"{encoding.shown}, separated by {start.delimiter!r}, header in line {first}"
    return Source(file.path, file.sha256, columns, records, rejections, notes=notes, reading=reading)


def _odd(lines: Lines, encoding: Encoding) -> str:
    return fault_in("".join(lines.kept), encoding) if encoding.faulty else ""


def _rows(file: RawFile, lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """The rows that are not blank: first line, cells, and without cells a fault.

    A row that runs over lines and then breaks gives a fault for each line.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter != " ")
    while True:
        first = lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except TooLong as error:
            lines.kept[:] = [str(error)] * (lines.number - first + 1)
            yield first, [], too_long("a line" if first == lines.number else f"line {lines.number}, inside a quote,")
        except csv.Error as error:
            yield from ((line, [], fault) for line, fault in _broken(file, lines, first, str(error)))
        else:
            if cells:
                yield first, cells, ""


def _broken(file: RawFile, lines: Lines, first: int, error: str) -> list[tuple[int, str]]:
    """Each line of a row that broke, and why."""
    last = lines.number
    if "unexpected end" in error or "field limit" in error:
        far = "the rest of the file" if "unexpected end" in error else f"more than {MAX_CHARS:,} characters"
        raise SourceError(
            f'a quote (") opens in this line and is never closed, so it takes in {far}',
            'close it, or double each quote that is part of a text ("")',
            file=file.path,
            line=_opening_line(lines.kept, first),
        )
    if "new-line character" in error:
        fault = "a carriage return in the middle of the row"
    elif first == last:
        fault = 'text after a closing quote; a quote that is part of a text must be doubled ("")'
    else:
        opened = _opening_line(lines.kept[:-1], first)
        fault = f"inside a quote that opens in line {opened} and is not closed rightly"
    return [(line, fault) for line in range(first, last + 1)]


def _opening_line(lines: Sequence[str], first: int) -> int:
    """The line in which the quote opened that is still open after the last of the lines of a row."""
    opened, inside = first, False
    for number, line in enumerate(lines, start=first):
        quotes = line.replace('""', "").count('"')
        if quotes % 2:
            inside = not inside
        if inside and quotes:
            opened = number
    return opened


# --- where the header is, and what separates


def _start(file: RawFile, sample: str, end: str) -> _Start:
    lines = list(io.StringIO(sample, newline=end))
    if len(sample) == _SAMPLE_CHARS and len(lines) > 1:
        lines.pop()  # cut off
    line, given = file.options.header or 1, file.options.delimiter
    if (separator := _SEPARATOR.fullmatch(lines[0])) and line == 1:
        line, given = 2, given or separator[1]
    start = _Start(line, given or _delimiter(lines[line - 1 :]))
    if file.options.header or _is_header(_sampled(lines[line - 1 :], start.delimiter)):
        return start
    below = [_below_titles(lines, line, delimiter) for delimiter in (given or DELIMITERS)]
    return max(below, key=lambda found: found[0], default=(0, None))[1] or start


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has a name for each of several columns, as many as most rows have cells."""
    names = [name.strip() for name in rows[0]] if rows else []
    return len(names) > 1 and all(names) and 2 * sum(len(row) == len(names) for row in rows) >= len(rows)


def _below_titles(lines: list[str], begin: int, delimiter: str) -> tuple[int, _Start | None]:
    """The header below titles, and how many columns it names; none where no line can only be that.

    Of prose a comma makes columns too: one with a space behind it separates nothing here, and no number is a name.
    """
    rows = _numbered(lines, begin, delimiter)
    width, alike = Counter(len(cells) for _, cells in rows).most_common(1)[0] if rows else (1, 0)
    usual = [i for i in range(width) if 2 * sum(len(c) == width and bool(c[i].strip()) for _, c in rows) > alike]
    for place, (line, cells) in enumerate(rows[:_TITLES]):
        names = [name.strip() for name in cells]
        if 2 * sum(bool(names[i]) for i in usual if i < len(names)) <= len(usual):
            continue
        below = rows[place + 1 :]
        fits = width > 1 and len(names) == width == len(set(names) - {""}) and place > 0 and len(below) > 0
        regular = sum(len(row) == width for _, row in below) >= _REGULAR * len(below)
        prose = delimiter == "," and ", " in lines[line - 1]
        if not fits or not regular or prose or any(_NUMBER.fullmatch(name) for name in names):
            break
        titles = (next((cell.strip() for cell in above if cell.strip()), "") for _, above in rows[:place])
        return width, _Start(line, delimiter, tuple(title[:_TITLE_CHARS] for title in titles if title)[:_TITLES_TOLD])
    return 0, None


def _numbered(lines: list[str], begin: int, delimiter: str) -> list[tuple[int, list[str]]]:
    """The first rows from a line on that are not blank, with the line in which each starts."""
    rows: list[tuple[int, list[str]]] = []
    reader, line = csv.reader(lines[begin - 1 :], delimiter=delimiter, skipinitialspace=True), begin
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((line, cells))
            line = begin + reader.line_num
            if len(rows) == SAMPLE_ROWS:
                break
    except csv.Error:
        pass  # as in `_sampled`
    return rows


def _delimiter(lines: list[str]) -> str:
    """The delimiter that cuts the header into columns and most of the first rows into as many."""
    found = {d: _agreement(lines, d) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: found[d])
    if found[best][0] < 0.5:
        header = next((line for line in lines if line.strip()), "")
        unusual = {d: _agreement(lines, d)[1] for d in _UNUSUAL if d in header and _cuts_all(lines, d)}
        if unusual:
            return max(unusual, key=lambda d: unusual[d])
    return best if found[best] > (0.0, 1) else ","


def _agreement(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Share of sampled rows that are as wide as the header, and that width; (0, 1) when it does not cut the header."""
    widths = [len(cells) for cells in _sampled(lines, delimiter)]
    if not widths or widths[0] < 2:
        return 0.0, 1
    return widths.count(widths[0]) / len(widths), widths[0]


def _cuts_all(lines: list[str], delimiter: str) -> bool:
    """Whether it cuts every sampled row into as many cells as the header, which has a name for each."""
    rows = _sampled(lines, delimiter)
    names = {name.strip() for name in rows[0]} - {""} if rows else set()
    return len(rows) > 1 and len(names) > 1 and all(len(row) == len(names) for row in rows)


def _sampled(lines: list[str], delimiter: str) -> list[list[str]]:
    """The first rows that are not blank."""
    rows: list[list[str]] = []
    try:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        rows += islice((cells for cells in reader if cells), SAMPLE_ROWS)
    except csv.Error:
        pass  # a stray carriage return: what was read so far is the sample
    return rows


# --- the header


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
    return f"{counted(len(cells), 'cell')} where the header has {len(columns)}"
