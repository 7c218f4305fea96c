"""Spreadsheets: the sheet with the table, cells as text, rows by the number that Excel shows.

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

from inhouse.core import Record, Rejection, counted
from inhouse.errors import SourceError, did_you_mean
from inhouse.sources.bounds import MAX_CHARS, Unreadable, check_archive, pieces, too_long
from inhouse.sources.csv_file import column_names
from inhouse.sources.registry import RawFile, Source, source

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element
    from xml.parsers.expat import XMLParserType
    from zipfile import ZipFile

_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d) 00:00:00(\.0+)?")
# Excel counts a time without a date as one of its first day.
_TIME_ALONE = re.compile(r"1899-12-3[01] (\d\d:\d\d:\d\d(\.\d+)?)")
# What holds an encrypted workbook, and Excel's format until 2003. A damaged file of that format makes the reader ask
# for all memory, which ends the process: it is not let in.
_COMPOUND_FILE = bytes.fromhex("D0CF11E0A1B11AE1")

# What Excel holds in a cell. No program writes more into its format; what is as long was cut when it was written.
EXCEL_CHARS = 32_767

# The reader takes memory for every cell up to the last one, empty or not: about a gigabyte for these.
MAX_CELLS = 30_000_000
_CELL = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{0,3})(\d{1,7})["']""")
_ROOT = re.compile(rb"<(?:\w+:)?([A-Za-z]\w*)")
# As long as a match can be, for one that the end of a piece cuts.
_CELL_BYTES = 64
_ROWS_LOOKED_AT = 100

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
    """Rows of one sheet: the named one, else the first visible one with a table, else the first that holds anything.

    A table has a header, a row below it and two columns. Its header is the first row that fills more than half of the
    columns which most rows fill: a title above it is passed over and told. Both can be named (see `ReadOptions`).

    Numbers lose a needless `.0` and keep the zeros of a format such as `00000`; dates are ISO (2025-03-04), booleans
    true and false, errors such as #N/A empty. Empty rows are passed over. The line of a row is Excel's row number,
    and its part the sheet, where there are several that hold anything. Below the header, a value that is merged over
    several rows counts in each of them that holds anything else. A row is a Rejection where a value is merged over
    several columns, where a formula has no stored result, or where a cell is beyond all measure.

    Raises:
        SourceError: no such workbook, a password, no sheet with a table or none of that name, a header name that is
            empty, twice, or a formula without a stored result, rows merged in an .ods file, or a zip bomb.
    """
    sheet, others = _chosen(file)
    _refuse_merged_rows(file, sheet.name)
    header = _header(file, sheet)
    rows, unset, part = sheet.rows, sheet.marks.unset, sheet.name if others else ""
    if header in unset:
        raise SourceError(_no_result(sheet, unset[header]), _SAVE, file=file.path, line=header)
    used = [i for i, column in enumerate(zip(*_from(rows, header), strict=True)) if any(column)]
    columns = column_names(file, header, [rows[header][i] or "" for i in used])
    _pad(sheet)
    spread = _spread(sheet, header)
    most = MAX_CHARS if file.path.suffix.lower() == ".ods" else EXCEL_CHARS
    faults = _too_long(sheet, most) | _over_columns(sheet, header, used) | _without_result(sheet)
    records: list[Record] = []
    rejections: list[Rejection] = []
    for line in sorted(line for line in {*rows, *faults} if line > header):
        cells = [_text(rows[line][i]) for i in used] if line in rows else []
        if line in faults:
            rejections.append(Rejection(file.at(line, part), faults[line], _as_csv(cells)))
        else:
            records.append(Record(dict(zip(columns, cells, strict=True)), file.at(line, part)))
    notes = (*_notes(sheet, others, header, spread), *_cut(sheet, most))
    reading = f"header in row {header}"
    return Source(file.path, file.sha256, columns, records, rejections, notes=notes, part=part, reading=reading)


def _from(rows: _Rows, header: int) -> list[list[str | None]]:
    return [row for line, row in rows.items() if line >= header]


def _notes(sheet: _Sheet, others: list[str], header: int, spread: list[str]) -> tuple[str, ...]:
    notes = []
    if others:
        notes.append(f"the sheet {sheet.name!r} is read; left out: {', '.join(others)} (--sheet NAME reads another)")
    if above := [next(cell for cell in row if cell)[:40] for line, row in sheet.rows.items() if line < header]:
        notes.append(f"the header is row {header}; left out above it: {', '.join(map(repr, above[:_NAMED_AREAS]))}")
    if spread:
        more = f" and {len(spread) - _NAMED_AREAS} more" if len(spread) > _NAMED_AREAS else ""
        notes.append(f"merged cells count in each of their rows: {', '.join(spread[:_NAMED_AREAS])}{more}")
    return tuple(notes)


def _cut(sheet: _Sheet, most: int) -> Iterator[str]:
    """That texts end where a cell can hold no more, where some do."""
    if places := [line for line, row in sheet.rows.items() if any(len(cell or "") == most for cell in row)]:
        yield (
            f"{counted(len(places), 'row')} with a text of {most:,} characters, which is all that a cell of a workbook "
            f"holds (the first is row {places[0]}): what came behind is lost; export such texts as CSV or JSON Lines"
        )


def _chosen(file: RawFile) -> tuple[_Sheet, list[str]]:
    """The sheet to read, and the names of the other visible ones that hold something."""
    found: _Sheet | None = None
    names: list[str] = []
    for sheet in _sheets(file):
        names.append(sheet.name)
        if found is None or (not file.options.sheet and not _is_table(file, found) and _is_table(file, sheet)):
            found = sheet
    if found is None:
        raise SourceError(
            "the workbook has no visible sheet with a table", "put a header and rows in it", file=file.path
        )
    return found, [name for name in names if name != found.name]


def _is_table(file: RawFile, sheet: _Sheet) -> bool:
    """Whether a sheet has a row below a header of two columns or more."""
    header = _header(file, sheet)
    width = sum(bool(cell) for cell in sheet.rows.get(header, ()))
    return header in sheet.marks.unset or (width > 1 and any(line > header for line in sheet.rows))


def _header(file: RawFile, sheet: _Sheet) -> int:
    """The row that names the columns."""
    filled = sorted({*sheet.rows, *sheet.marks.unset})
    if named := file.options.header:
        if named not in filled:
            what = f"row {named} of the sheet {sheet.name!r} is empty, and --header names it"
            raise SourceError(what, f"name the row with the columns' names, such as {filled[0]}", file=file.path)
        return named
    looked_at = [sheet.rows[line] for line in filled[:_ROWS_LOOKED_AT] if line in sheet.rows]
    counts = [sum(map(bool, column)) for column in zip(*looked_at, strict=True)]
    usual = [i for i, count in enumerate(counts) if 2 * count > len(looked_at)]
    for line in filled[:_ROWS_LOOKED_AT]:
        row = sheet.rows.get(line)
        if row is None or line in sheet.marks.unset or 2 * sum(bool(row[i]) for i in usual) > len(usual):
            return line
    return filled[0]


def _sheets(file: RawFile) -> Iterator[_Sheet]:
    """The visible sheets that are not empty."""
    from xml.etree.ElementTree import ParseError

    import fastexcel

    if file.data.startswith(_COMPOUND_FILE):
        raise SourceError(
            "the workbook is protected with a password, or in the old .xls format",
            "open it in Excel or LibreOffice and save it as .xlsx without a password",
            file=file.path,
        )
    data = file.data
    _check_parts(file, data)
    try:
        book = fastexcel.read_excel(data)
        for name in _names(file, book.sheet_names):
            sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
            if sheet.visible == "visible" or name == file.options.sheet:
                rows, marks = _filled_rows(sheet), _marks(data, name)
                if rows or marks.unset:
                    yield _Sheet(name, rows, marks)
    except ParseError as error:  # in a part that does not say that it is XML
        raise _unreadable(file, str(error)) from error
    except fastexcel.FastExcelError as error:
        raise _unreadable(file, str(error).strip().split("\n", 1)[0].removeprefix("calamine error: ")) from error


def _names(file: RawFile, names: list[str]) -> list[str]:
    """The sheets to look at: the named one first, then the others, for their names."""
    named = file.options.sheet
    if not named:
        return names
    if named not in names:
        raise SourceError(
            f"there is no sheet {named!r}; the sheets there are {', '.join(names)}",
            f"{did_you_mean(named, names)}name one of these: --sheet NAME",
            file=file.path,
        )
    return [named, *(name for name in names if name != named)]


def _filled_rows(sheet: Any) -> _Rows:  # noqa: ANN401 - fastexcel is not imported at the top
    """The rows that are not empty, by their number. fastexcel begins with the first column that is not empty."""
    if not sheet.height:
        return {}
    before: list[str | None] = [None] * sheet.available_columns()[0].absolute_index
    return {line: [*before, *row] for line, row in enumerate(sheet.to_polars().rows(), start=1) if any(row)}


def _check_parts(file: RawFile, data: bytes) -> None:
    """Raise SourceError for what the reader never ends on, or ends the process on: a zip bomb, broken XML, a cell far
    away. What a part's own header says of its size is true, as it is unpacked here by that."""
    import zlib
    from xml.parsers.expat import ExpatError
    from zipfile import BadZipFile, ZipFile

    damaged = (BadZipFile, ExpatError, zlib.error, OSError, RuntimeError, EOFError, ValueError, LookupError)
    try:
        with ZipFile(io.BytesIO(data)) as book:
            check_archive(book)
            for name in book.namelist():
                _check_part(file, book, name)
    except SourceError:  # which is a ValueError
        raise
    except Unreadable as error:
        raise error.of_table(file.path) from None
    except damaged as error:
        raise _unreadable(file, str(error)) from error


def _check_part(file: RawFile, book: ZipFile, name: str) -> None:
    from xml.parsers.expat import ParserCreate

    xml = name.lower().endswith((".xml", ".rels"))
    parser, extent, root = ParserCreate(namespace_separator=":"), _Extent(), b""
    if name == "content.xml":
        extent.follow(parser)
    with book.open(name) as part:
        for piece in pieces(part):
            if xml:
                parser.Parse(piece, False)
                root = root or b"".join(_ROOT.findall(piece)[:1])
            if root == b"worksheet":
                extent.see(piece)
            extent.check(file)
    if xml:
        parser.Parse(b"", True)
        extent.check(file)


class _Extent:
    """How far a sheet reaches: in .xlsx by the places of its rows and cells, in .ods by how often they are repeated."""

    def __init__(self) -> None:
        self.row = self.column = 0
        self._before = b""
        self._rows = self._at = self._repeated = 0

    def see(self, piece: bytes) -> None:
        """Look at the next piece of a part's XML."""
        text = self._before + piece
        for match in _CELL.finditer(text):
            self.row = max(self.row, int(match[2]))
            if letters := match[1]:
                self.column = max(self.column, _column(letters.decode().upper()) + 1)
        self._before = text[-_CELL_BYTES:]

    def follow(self, parser: XMLParserType) -> None:
        """Count along in the content of an .ods file."""
        parser.StartElementHandler = self._starts
        parser.CharacterDataHandler = self._holds

    def check(self, file: RawFile) -> None:
        """Raise SourceError for what is too far away."""
        cells = self.row * max(1, self.column)
        if cells > MAX_CELLS:
            raise SourceError(
                f"a sheet reaches to row {self.row:,} and column {_letters(self.column)}: {cells:,} cells, "
                f"{MAX_CELLS:,} can be read",
                "delete what stands far away from the table, or copy the table into a workbook of its own",
                file=file.path,
            )

    def _starts(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        if kind == "table":
            self._rows = self._at = 0
        elif kind == "table-row":
            self._rows += _repeats(attributes, "number-rows-repeated")
            self._at = 0
        elif kind in ("table-cell", "covered-table-cell"):
            self._at += _repeats(attributes, "number-columns-repeated")
            if any(key.endswith(":value-type") for key in attributes):
                self._holds("x")

    def _holds(self, text: str) -> None:
        if text.strip():
            self.row, self.column = max(self.row, self._rows), max(self.column, self._at)


def _repeats(attributes: dict[str, str], name: str) -> int:
    number = next((value for key, value in attributes.items() if key.endswith(name)), "1")
    return max(1, int(number)) if number.isdecimal() and len(number) < 12 else 1


def _column(letters: str) -> int:
    """Excel's name of a column as its place, A being 0."""
    return functools.reduce(lambda number, letter: 26 * number + ord(letter) - 64, letters, 0) - 1


def _letters(column: int) -> str:
    """A column, the first being 1, by Excel's name."""
    name = ""
    while column:
        column, letter = divmod(column - 1, 26)
        name = chr(65 + letter) + name
    return name or "A"


# --- what stands in a sheet beside the values


def _marks(data: bytes, name: str) -> _Marks:
    """The marks of a sheet of an Excel workbook; none of any other."""
    from zipfile import ZipFile

    with ZipFile(io.BytesIO(data)) as book:
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


def _too_long(sheet: _Sheet, most: int) -> dict[int, str]:
    """Why rows cannot be used that have a cell beyond all measure."""
    fault = too_long("a cell", most)
    return {line: fault for line, row in sheet.rows.items() if any(len(cell or "") > most for cell in row)}


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
