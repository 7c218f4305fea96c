"""Spreadsheets: the first sheet that holds anything, cells as text, rows by the number that Excel shows."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from inhouse.core import Record
from inhouse.errors import SourceError
from inhouse.sources.csv_file import column_names
from inhouse.sources.registry import RawFile, Source, source

_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d) 00:00:00(\.0+)?")
# Excel counts a time without a date as one of its first day.
_TIME_ALONE = re.compile(r"1899-12-3[01] (\d\d:\d\d:\d\d(\.\d+)?)")
# What holds an encrypted workbook, and Excel's format until 2003. A damaged file of that format makes the reader ask
# for all memory, which ends the process: it is not let in.
_COMPOUND_FILE = bytes.fromhex("D0CF11E0A1B11AE1")

# The reader takes memory for every cell up to the last one, empty or not: about a gigabyte for these.
MAX_CELLS = 30_000_000
_CELL = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')

_Cells = tuple[str | None, ...]


@source("xlsx", "xlsm", "ods")
def read_excel(file: RawFile) -> Source:
    """Rows of the first visible sheet that holds anything; its first row that is not empty is the header.

    Numbers lose a needless `.0`, dates are ISO (2025-03-04), booleans true and false, errors such as #N/A empty.
    Empty rows are passed over. The line of a row is Excel's row number.

    Raises:
        SourceError: no such workbook, a password, no sheet with a table, or a header name that is empty or twice.
    """
    name, cells, others = _first_table(file)
    rows = [(line, row) for line, row in enumerate(cells, start=1) if any(row)]
    line, first = rows[0]
    columns = column_names(file, line, [cell or "" for cell in first])
    records = [Record(dict(zip(columns, map(_text, row), strict=True)), file.at(line)) for line, row in rows[1:]]
    notes = (f"the sheet {name!r} is read; left out: {', '.join(others)}",) if others else ()
    return Source(file.path, file.sha256, columns, records, [], notes=notes)


def _first_table(file: RawFile) -> tuple[str, list[_Cells], list[str]]:
    """The name and rows of the sheet to read, and the names of the others that hold something."""
    found: tuple[str, list[_Cells]] | None = None
    others: list[str] = []
    for name, cells in _sheets(file):
        if found is None:
            found = name, cells
        else:
            others.append(name)
    if found is None:
        raise SourceError(
            "the workbook has no visible sheet with a table", "put a header and rows in it", file=file.path
        )
    return *found, others


def _sheets(file: RawFile) -> Iterator[tuple[str, list[_Cells]]]:
    """The visible sheets that are not empty."""
    import fastexcel

    if file.data.startswith(_COMPOUND_FILE):
        raise SourceError(
            "the workbook is protected with a password, or in the old .xls format",
            "open it in Excel or LibreOffice and save it as .xlsx without a password",
            file=file.path,
        )
    _check_parts(file)
    try:
        book = fastexcel.read_excel(file.data)
        for name in book.sheet_names:
            sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
            if sheet.visible != "visible" or not sheet.height:
                continue
            cells = sheet.to_polars().rows()
            if any(map(any, cells)):
                yield name, _without_empty_columns(cells)
    except fastexcel.FastExcelError as error:
        raise _unreadable(file, str(error).strip().split("\n", 1)[0].removeprefix("calamine error: ")) from error


def _check_parts(file: RawFile) -> None:
    """Raise SourceError for what the reader never ends on, or ends the process on: broken XML, a cell far away."""
    import io
    import zlib
    from xml.parsers.expat import ExpatError, ParserCreate
    from zipfile import BadZipFile, ZipFile

    damaged = (BadZipFile, ExpatError, zlib.error, OSError, RuntimeError, EOFError, ValueError, LookupError)
    try:
        with ZipFile(io.BytesIO(file.data)) as book:
            for name in book.namelist():
                if name.endswith(".xml"):
                    xml = book.read(name)
                    ParserCreate().Parse(xml, True)
                    if name.startswith("xl/worksheets/"):
                        _check_size(file, xml)
    except SourceError:  # which is a ValueError
        raise
    except damaged as error:
        raise _unreadable(file, str(error)) from error


def _check_size(file: RawFile, sheet: bytes) -> None:
    cells = [(match[1].decode(), int(match[2])) for match in _CELL.finditer(sheet)]
    if not cells:
        return
    letters, row = max((c for c, _ in cells), key=lambda c: (len(c), c)), max(r for _, r in cells)
    column = functools.reduce(lambda number, letter: 26 * number + ord(letter) - 64, letters, 0)
    if row * column > MAX_CELLS:
        raise SourceError(
            f"a sheet reaches to row {row:,} and column {letters}: {row * column:,} cells, {MAX_CELLS:,} can be read",
            "delete what stands far away from the table, or copy the table into a workbook of its own",
            file=file.path,
        )


def _without_empty_columns(cells: list[_Cells]) -> list[_Cells]:
    used = [i for i, column in enumerate(zip(*cells, strict=True)) if any(column)]
    return cells if len(used) == len(cells[0]) else [tuple(row[i] for i in used) for row in cells]


def _text(cell: str | None) -> str:
    if cell is None:
        return ""
    if date := _MIDNIGHT.fullmatch(cell):
        return date[1]
    if time := _TIME_ALONE.fullmatch(cell):
        return time[1]
    return cell


def _unreadable(file: RawFile, reason: str) -> SourceError:
    return SourceError(
        f"the workbook cannot be read: {reason}",
        "open it in Excel or LibreOffice and save it again as .xlsx, or as CSV (UTF-8)",
        file=file.path,
    )
