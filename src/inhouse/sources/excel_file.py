"""Spreadsheets: the first sheet that holds anything, cells as text, rows by the number that Excel shows.

fastexcel gives values and nothing else. What the sheet's XML says beside them is read here, where it changes what a
user sees: merged cells, formulas whose result was never stored, formats that fill a number up with zeros.
"""

from __future__ import annotations

import csv
import functools
import io
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inhouse.core import Record, Rejection
from inhouse.errors import SourceError
from inhouse.sources.csv_file import column_names
from inhouse.sources.registry import RawFile, Source, source

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element
    from zipfile import ZipFile

_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d) 00:00:00(\.0+)?")
# Excel counts a time without a date as one of its first day.
_TIME_ALONE = re.compile(r"1899-12-3[01] (\d\d:\d\d:\d\d(\.\d+)?)")
# What holds an encrypted workbook, and Excel's format until 2003. A damaged file of that format makes the reader ask
# for all memory, which ends the process: it is not let in.
_COMPOUND_FILE = bytes.fromhex("D0CF11E0A1B11AE1")

# The reader takes memory for every cell up to the last one, empty or not: about a gigabyte for these.
MAX_CELLS = 30_000_000
_CELL = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')

_PLACE = re.compile(r"([A-Z]{1,3})(\d{1,7})")
# A sheet without one of these, in a workbook without formats of zeros, needs no second look.
_MARKED = re.compile(rb"<(?:\w+:)?(?:f|mergeCell)[\s/>]")
_ROWS_MERGED = re.compile(rb"""number-rows-spanned=["'](?!1["'])""")
# A number format of zeros and of signs that are shown as they are. Not `/`, which makes fractions, nor `.`.
_PADDING = re.compile(r'(?:\[\$-[^\]]*\])?((?:0|"[^"]*"|\\.|[-+() :])+)(?:;.*)?', re.DOTALL)
_FORMAT_PART = re.compile(r'"[^"]*"|\\.|.', re.DOTALL)
_NAMED_AREAS = 3
_SAVE = "open the workbook in Excel or LibreOffice and save it"

_Rows = dict[int, list[str | None]]


@dataclass(frozen=True, slots=True)
class _Area:
    """Cells merged into one, such as `A2:B5`; rows count from 1, columns from 0, and both ends belong to it."""

    name: str
    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class _Marks:
    """What a sheet says of its cells beside their values.

    Attributes:
        merged: cells that are merged into one.
        unset: by row, its first cell that is a formula without a stored result.
        padded: by row and column, the parts of a number format that fills up with zeros.
    """

    merged: list[_Area] = field(default_factory=list)
    unset: dict[int, str] = field(default_factory=dict)
    padded: dict[tuple[int, int], list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A sheet: its rows that are not empty by their number, from Excel's column A on, and its marks."""

    name: str
    rows: _Rows
    marks: _Marks


@source("xlsx", "xlsm", "ods")
def read_excel(file: RawFile) -> Source:
    """Rows of the first visible sheet that holds anything; its first row that is not empty is the header.

    Numbers lose a needless `.0` and keep the zeros of a format such as `00000`; dates are ISO (2025-03-04), booleans
    true and false, errors such as #N/A empty. Empty rows are passed over. The line of a row is Excel's row number.
    Below the header, a value that is merged over several rows counts in each of them that holds anything else. A row is
    a Rejection where a value is merged over several columns, or where a formula has no stored result.

    Raises:
        SourceError: no such workbook, a password, no sheet with a table, a header name that is empty, twice, or a
            formula without a stored result, or rows merged in an .ods file.
    """
    sheet, others = _first_sheet(file)
    _refuse_merged_rows(file, sheet.name)
    rows, unset = sheet.rows, sheet.marks.unset
    header = min({*rows, *unset})
    if header in unset:
        raise SourceError(_no_result(sheet, unset[header]), _SAVE, file=file.path, line=header)
    used = [i for i, column in enumerate(zip(*rows.values(), strict=True)) if any(column)]
    columns = column_names(file, header, [rows[header][i] or "" for i in used])
    _pad(sheet)
    spread = _spread(sheet, header)
    faults = _over_columns(sheet, header, used) | _without_result(sheet)
    records: list[Record] = []
    rejections: list[Rejection] = []
    for line in sorted({*rows, *faults} - {header}):
        cells = [_text(rows[line][i]) for i in used] if line in rows else []
        if line in faults:
            rejections.append(Rejection(file.at(line), faults[line], _as_csv(cells)))
        else:
            records.append(Record(dict(zip(columns, cells, strict=True)), file.at(line)))
    return Source(file.path, file.sha256, columns, records, rejections, notes=_notes(sheet.name, others, spread))


def _notes(name: str, others: list[str], spread: list[str]) -> tuple[str, ...]:
    notes = [f"the sheet {name!r} is read; left out: {', '.join(others)}"] if others else []
    if spread:
        more = f" and {len(spread) - _NAMED_AREAS} more" if len(spread) > _NAMED_AREAS else ""
        notes.append(f"merged cells count in each of their rows: {', '.join(spread[:_NAMED_AREAS])}{more}")
    return tuple(notes)


def _first_sheet(file: RawFile) -> tuple[_Sheet, list[str]]:
    """The sheet to read, and the names of the others that hold something."""
    found: _Sheet | None = None
    others: list[str] = []
    for sheet in _sheets(file):
        if found is None:
            found = sheet
        else:
            others.append(sheet.name)
    if found is None:
        raise SourceError(
            "the workbook has no visible sheet with a table", "put a header and rows in it", file=file.path
        )
    return found, others


def _sheets(file: RawFile) -> Iterator[_Sheet]:
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
            if sheet.visible == "visible":
                rows, marks = _filled_rows(sheet), _marks(file, name)
                if rows or marks.unset:
                    yield _Sheet(name, rows, marks)
    except fastexcel.FastExcelError as error:
        raise _unreadable(file, str(error).strip().split("\n", 1)[0].removeprefix("calamine error: ")) from error


def _filled_rows(sheet: Any) -> _Rows:  # noqa: ANN401 - fastexcel is not imported at the top
    """The rows that are not empty, by their number. fastexcel begins with the first column that is not empty."""
    if not sheet.height:
        return {}
    before: list[str | None] = [None] * sheet.available_columns()[0].absolute_index
    return {line: [*before, *row] for line, row in enumerate(sheet.to_polars().rows(), start=1) if any(row)}


def _check_parts(file: RawFile) -> None:
    """Raise SourceError for what the reader never ends on, or ends the process on: broken XML, a cell far away."""
    import zlib
    from xml.parsers.expat import ExpatError, ParserCreate
    from zipfile import BadZipFile, ZipFile

    damaged = (BadZipFile, ExpatError, zlib.error, OSError, RuntimeError, EOFError, ValueError, LookupError)
    try:
        with ZipFile(io.BytesIO(file.data)) as book:
            for name in book.namelist():
                if name.endswith((".xml", ".rels")):
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
    column = _column(letters) + 1
    if row * column > MAX_CELLS:
        raise SourceError(
            f"a sheet reaches to row {row:,} and column {letters}: {row * column:,} cells, {MAX_CELLS:,} can be read",
            "delete what stands far away from the table, or copy the table into a workbook of its own",
            file=file.path,
        )


def _column(letters: str) -> int:
    """Excel's name of a column as its place, A being 0."""
    return functools.reduce(lambda number, letter: 26 * number + ord(letter) - 64, letters, 0) - 1


# --- what stands in a sheet beside the values


def _marks(file: RawFile, name: str) -> _Marks:
    """The marks of a sheet of an Excel workbook; none of any other."""
    from zipfile import ZipFile

    with ZipFile(io.BytesIO(file.data)) as book:
        parts = {part.replace("\\", "/").lower(): part for part in book.namelist()}
        workbook, links = _xml(book, parts, "xl/workbook.xml"), _xml(book, parts, "xl/_rels/workbook.xml.rels")
        part = _part_of(workbook, links, name)
        if part not in parts:
            return _Marks()
        formats, xml = _zero_formats(_xml(book, parts, "xl/styles.xml")), book.read(parts[part])
    stale = any(node.get("fullCalcOnLoad") in ("1", "true") for node in _named(workbook, "calcPr"))
    return _marks_in(xml, formats, stale=stale) if formats or _MARKED.search(xml) else _Marks()


def _xml(book: ZipFile, parts: Mapping[str, str], name: str) -> Element:
    """A part of the workbook; nothing where it is not there."""
    from xml.etree.ElementTree import Element, fromstring

    return fromstring(book.read(parts[name])) if name in parts else Element("nothing")


def _named(node: Element, name: str) -> Iterator[Element]:
    """The elements of a name below `node`; programs write different namespaces."""
    return (part for part in node.iter() if _local(part.tag) == name)


@functools.lru_cache(maxsize=1000)
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _part_of(workbook: Element, links: Element, name: str) -> str:
    """Where in the file a sheet lies, in small letters; empty where that is not said."""
    targets = {node.get("Id"): node.get("Target", "") for node in _named(links, "Relationship")}
    for sheet in _named(workbook, "sheet"):
        if sheet.get("name") == name:
            link = next((value for key, value in sheet.items() if key.endswith("}id")), "")
            return posixpath.normpath(posixpath.join("/xl", targets.get(link, ""))).lstrip("/").lower()
    return ""


def _zero_formats(styles: Element) -> dict[str, list[str]]:
    """By a cell's style, the parts of the number formats that fill up with zeros."""
    codes = {node.get("numFmtId", ""): node.get("formatCode", "") for node in _named(styles, "numFmt")}
    formats = (list(node) for node in _named(styles, "cellXfs"))
    found = {}
    for style, node in enumerate(next(formats, [])):
        code = _PADDING.fullmatch(codes.get(node.get("numFmtId", ""), ""))
        if code and (parts := _FORMAT_PART.findall(code[1])).count("0") > 1:
            found[str(style)] = parts
    return found


def _marks_in(xml: bytes, formats: Mapping[str, list[str]], *, stale: bool) -> _Marks:
    """The marks in a sheet's XML. A row or a cell that does not say its place comes right after the one before."""
    from xml.etree.ElementTree import iterparse

    marks, line = _Marks(), 0
    for _, node in iterparse(io.BytesIO(xml)):
        kind = _local(node.tag)
        if kind == "row":
            line, column = int(number) if (number := node.get("r", "")).isdecimal() else line + 1, -1
            for cell in node:
                place = _PLACE.fullmatch(cell.get("r", ""))
                line, column = (int(place[2]), _column(place[1])) if place else (line, column + 1)
                _mark_cell(marks, cell, line, column, formats, stale=stale)
            node.clear()
        elif kind == "mergeCell" and (ends := _PLACE.findall(name := node.get("ref", ""))):
            (left, top), (right, bottom) = ends[0], ends[-1]
            marks.merged.append(_Area(name, int(top), _column(left), int(bottom), _column(right)))
    return marks


def _mark_cell(
    marks: _Marks, cell: Element, line: int, column: int, formats: Mapping[str, list[str]], *, stale: bool
) -> None:
    """Note a formula without a stored result, and a number that is shown with zeros.

    A program that cannot compute stores no result, or 0 and a request to compute all at the next opening (`stale`).
    """
    kind = cell.get("t", "n")
    if kind == "n" and (parts := formats.get(cell.get("s", "0"))):
        marks.padded[line, column] = parts
    found = {_local(part.tag): part.text or "" for part in cell}
    if "f" in found:
        result = found.get("v", "")
        guessed = stale and (not result or (result == "0" and kind == "n"))
        if guessed or (not result and kind != "str"):  # a text may be empty
            marks.unset.setdefault(line, cell.get("r") or f"{column + 1} of row {line}")


def _refuse_merged_rows(file: RawFile, name: str) -> None:
    """Raise SourceError where cells of an .ods sheet are merged over rows: their places are not worked out here."""
    from xml.etree.ElementTree import fromstring
    from zipfile import ZipFile

    with ZipFile(io.BytesIO(file.data)) as book:
        content = book.read("content.xml") if "content.xml" in book.namelist() else b""
    if not _ROWS_MERGED.search(content):
        return
    for table in _named(fromstring(content), "table"):
        named = any(value == name for key, value in table.items() if _local(key) == "name")
        spans = (v for node in table.iter() for k, v in node.items() if _local(k) == "number-rows-spanned")
        if named and any(span != "1" for span in spans):
            raise SourceError(
                f"the sheet {name!r} has cells merged over rows, which an .ods file gives as one value and blanks",
                "save it as .xlsx, which is read with them, or split these cells",
                file=file.path,
            )


# --- what follows from it


def _without_result(sheet: _Sheet) -> dict[int, str]:
    """Why a row with a formula without a result cannot be used, nor one that such a formula is merged over."""
    faults = {line: f"{_no_result(sheet, cell)}; {_SAVE}" for line, cell in sheet.marks.unset.items()}
    for area in sheet.marks.merged:
        if area.top in faults and not _cell(sheet, area.top, area.left):
            faults |= dict.fromkeys(_lines(sheet, area), faults[area.top])
    return faults


def _no_result(sheet: _Sheet, cell: str) -> str:
    return f"the cell {cell} of the sheet {sheet.name!r} is a formula whose result the file does not hold"


def _lines(sheet: _Sheet, area: _Area) -> list[int]:
    """The rows of merged cells that are not empty."""
    last = next(reversed(sheet.rows), 0)
    return [line for line in range(area.top, min(area.bottom, last) + 1) if line in sheet.rows]


def _pad(sheet: _Sheet) -> None:
    """Write numbers with the zeros of their format."""
    for (line, column), parts in sheet.marks.padded.items():
        row = sheet.rows.get(line, [])
        if column < len(row) and (digits := row[column] or "").isdecimal():
            row[column] = _padded(digits, parts)


def _padded(digits: str, parts: list[str]) -> str:
    """Digits in a format's places from the right; those that are too many stand in the first."""
    places = parts.count("0")
    digits = digits.zfill(places)
    over = len(digits) - places
    left = iter([digits[: over + 1], *digits[over + 1 :]])
    return "".join(next(left) if part == "0" else _sign(part) for part in parts)


def _sign(part: str) -> str:
    """What a format shows as it is: in quotes, behind a backslash, or bare."""
    return part[1:-1] if part[0] == '"' else part[-1]


def _spread(sheet: _Sheet, header: int) -> list[str]:
    """Write a value that is merged over rows into each of them that is not empty; returns the names of the cells.

    A header of several rows stays as it is: its blanks are no values.
    """
    spread = []
    for area in sheet.marks.merged:
        value = _cell(sheet, area.top, area.left)
        if value and area.top > header and len(lines := _lines(sheet, area)) > 1:
            for line in lines:
                sheet.rows[line][area.left] = value
            spread.append(area.name)
    return spread


def _over_columns(sheet: _Sheet, header: int, used: list[int]) -> dict[int, str]:
    """Why rows cannot be used whose value is merged over several columns that hold anything."""
    return {
        line: f"the cells {area.name} of the sheet {sheet.name!r} are merged over several columns; split them, and put "
        "the value where it belongs"
        for area in sheet.marks.merged
        if _cell(sheet, area.top, area.left) and sum(area.left <= i <= area.right for i in used) > 1
        for line in _lines(sheet, area)
        if line > header
    }


def _cell(sheet: _Sheet, line: int, column: int) -> str | None:
    row = sheet.rows.get(line, [])
    return row[column] if column < len(row) else None


def _as_csv(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


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
