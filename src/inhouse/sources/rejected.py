"""The file of rejected rows: the columns of their source, so that it can be mended and added again as it is."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inhouse.core import Record, Rejection

if TYPE_CHECKING:
    from inhouse.sources.registry import Source

# What is said of a row beside its own cells; nothing that is read.
NOTES = ("inhouse_file", "inhouse_line", "inhouse_reason", "inhouse_remedy")

# How the reason begins of a row without a target.
NO_TARGET = "the target is empty"
# A spreadsheet would compute a cell that begins so (OWASP, "CSV Injection"); numbers with a sign are harmless.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d ?%?")

# Words of a reason, and what the user can do; the first that is found counts.
_REMEDIES = (
    (
        "where the header has",
        "give it one cell for each column; a text that holds the separator stands in quotes",
    ),
    ("inside a quote", "close the quote in the line named, and write the rows from there on again"),
    ("quote", 'double each quote that is part of a text ("")'),
    ("carriage return", "take the line break out, or put the text in quotes"),
    (NO_TARGET, "fill in the right answer, or leave the row out; or add the file with --unlabelled"),
    ("the input is empty", "fill in the input, or leave the row out"),
    ("no value for column", "fill in the value"),
    ("is missing; looked for as", "copy the file there, or mend its name"),
    ("is not below the folder", "copy the file below the folder of the data, and name it from there"),
    ("password", "save a copy of the file without a password"),
    ("OCR", "have the scan's text recognised first"),
    ("formula", "open the workbook in Excel or LibreOffice and save it"),
    ("merged", "split the cells, and fill in each"),
    ("tool", "leave conversations with calls of tools out"),
    ("JSON", "mend the JSON; a checker such as `python -m json.tool` names the place"),
)


def remedy_of(reason: str) -> str:
    """What the user can do about a row that was rejected for this reason."""
    return next((remedy for words, remedy in _REMEDIES if words in reason), "mend the row, or leave it out")


def rejects_csv(columns: Sequence[str], rejections: Iterable[Rejection]) -> bytes:
    """Rejected rows as a CSV file: their source's `columns`, then file, line, reason and remedy as `NOTES` name them.

    A row of which no cell could be read stands as text in its first cell. Cells that a spreadsheet would compute begin
    with an apostrophe, which `without_notes` takes off.
    """
    rows = [(rejection, _cells(columns, rejection)) for rejection in rejections]
    columns = tuple(dict.fromkeys([*columns, *(name for _, cells in rows for name in cells)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*map(escaped, columns), *NOTES])
    for rejection, cells in rows:
        place, remedy = rejection.provenance, remedy_of(rejection.reason)
        notes = (place.file, str(place.line), rejection.reason, remedy)
        writer.writerow([escaped(cell) for cell in (*(cells.get(name, "") for name in columns), *notes)])
    return text.getvalue().encode("utf-8", "backslashreplace")


def without_notes(source: Source) -> Source:
    """The source as it was rejected, where it is a file of `rejects_csv`; any other source as it is."""
    if not set(NOTES) <= set(source.columns):
        return source
    columns = tuple(name for name in source.columns if name not in NOTES)
    records = [
        Record({_unescaped(n): _unescaped(r.values[n]) for n in columns if n in r.values}, r.provenance, r.json)
        for r in source.records
    ]
    return replace(source, columns=tuple(map(_unescaped, columns)), records=records)


def escaped(cell: str) -> str:
    """A cell that no spreadsheet computes: one that would be, or begins like an escaped one, gets an apostrophe."""
    return f"'{cell}" if _computes(cell.lstrip("'")) else cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _computes(cell.lstrip("'")) else cell


def _computes(cell: str) -> bool:
    return _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell) is None


def _cells(columns: Sequence[str], rejection: Rejection) -> Mapping[str, str]:
    if rejection.values:
        return rejection.values
    try:
        value = json.loads(rejection.row)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and value:
        return {name: _as_text(item) for name, item in value.items() if name.strip()}
    return {columns[0]: rejection.row} if columns else {}


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
