"""The file of rejected rows: the columns of their source, so that it can be mended and added again as it is."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inhouse.core import Provenance, Record, Rejection
from inhouse.errors import SourceError

if TYPE_CHECKING:
    from inhouse.sources.registry import Source

# What is said of a row beside its own cells: where it stood, and why it was rejected.
NOTES = ("inhouse_file", "inhouse_line", "inhouse_reason", "inhouse_remedy")
_PLACE = ("inhouse_part", "inhouse_sha256")
# Where a row names its source, and that one's checksum.
SOURCE_NOTES = (NOTES[0], _PLACE[1])

# How the reason begins of a row without a target.
NO_TARGET = "the target is empty"
# A spreadsheet would compute a cell that begins so (OWASP, "CSV Injection"); numbers with a sign are harmless.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d ?%?")

# What a reason quotes of the user's own: names, values, what a parser said of them.
_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|\([^()]*\)""")
# Words of a reason, and what the user can do; the first that is found counts.
_REMEDIES = (
    (
        "where the header has",
        "give it one cell for each column; a text that holds the separator stands in quotes",
    ),
    ("inside a quote", "close the quote in the line named, and write the rows from there on again"),
    ("closing quote", 'double each quote that is part of a text ("")'),
    ("carriage return", "take the line break out, or put the text in quotes"),
    (NO_TARGET, "fill in the right answer, or leave the row out; or add the file with --unlabelled"),
    ("the input is empty", "fill in the input, or leave the row out"),
    ("no value for column", "fill in the value"),
    ("has no target: there is no", "put that file beside it, with the target, or take the document out of the folder"),
    ("the target of", "mend that file, or take both out of the folder"),
    ("is a link to a file outside", "copy the file into the folder, in the place of the link"),
    ("is a link to a folder", "copy the folder to there, in the place of the link"),
    ("is a link to nothing", "put the file there, or take the link away"),
    ("is no ordinary file", "take it out of the folder"),
    ("is a folder that cannot be read", "give yourself the right to read it, and add the folder again"),
    ("zip bomb", "if it is yours, save it anew with its own program; else take it out of the folder"),
    ("unpacks to", "divide it, or save it anew with its own program"),
    ("at most", "divide it, or take out what is not text"),
    ("that can be read", "open it with its own program and save it again, or take it out of the folder"),
    ("is no mail", "save the mail anew as .eml or .mbox, or take it out of the folder"),
    ("is missing; looked for as", "copy the file there, or mend its name"),
    ("is not below the folder", "copy the file below the folder of the data, and name it from there"),
    ("password", "save a copy of the file without a password"),
    ("recognised", "have the scan's text recognised first"),
    ("formula", "open the workbook in Excel or LibreOffice and save it"),
    ("merged", "split the cells, and fill in each"),
    ("tool", "leave conversations with calls of tools out"),
    ("JSON", "mend the JSON; a checker such as `python -m json.tool` names the place"),
)


def remedy_of(reason: str) -> str:
    """What the user can do about a row that was rejected for this reason."""
    told = _QUOTED.sub("", reason)
    return next((remedy for words, remedy in _REMEDIES if words in told), "mend the row, or leave it out")


def rejects_csv(columns: Sequence[str], rejections: Iterable[Rejection]) -> bytes:
    """Rejected rows as a CSV file: their source's `columns`, then file, line, reason and remedy as `NOTES` name them,
    and the part and the checksum of the file.

    A row of which no cell could be read stands as text in its first cell. Cells that a spreadsheet would compute begin
    with an apostrophe, which `without_notes` takes off.
    """
    rows = [(rejection, _cells(columns, rejection)) for rejection in rejections]
    columns = tuple(dict.fromkeys([*columns, *(name for _, cells in rows for name in cells)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*map(escaped, columns), *NOTES, *_PLACE])
    for rejection, cells in rows:
        place, remedy = rejection.provenance, remedy_of(rejection.reason)
        notes = (place.file, str(place.line), rejection.reason, remedy, place.part, place.sha256)
        writer.writerow([escaped(cell) for cell in (*(cells.get(name, "") for name in columns), *notes)])
    return text.getvalue().encode("utf-8", "backslashreplace")


def without_notes(source: Source) -> Source:
    """The source as it was rejected, where it is a file of `rejects_csv`; any other source as it is.

    Its rows come from the file that they were rejected of: `forget` finds them by it.

    Raises:
        SourceError: it lists documents of a folder.
    """
    if not set(NOTES) <= set(source.columns):
        return source
    if source.records and all(record.values.get("inhouse_line") == "0" for record in source.records):
        raise SourceError(
            "this file lists documents of a folder, and holds no rows to mend",
            "mend the documents that it names, and add the folder again",
            file=source.path,
        )
    columns = tuple(name for name in source.columns if name not in (*NOTES, *_PLACE))
    records = [
        Record({_unescaped(n): _unescaped(r.values[n]) for n in columns if n in r.values}, _place_of(r), r.json)
        for r in source.records
    ]
    return replace(source, columns=tuple(map(_unescaped, columns)), records=records)


def _place_of(record: Record) -> Provenance:
    """Where a row stood that was rejected; its place in this file, where a person took that out."""
    cells = {name: _unescaped(record.values.get(name, "")).strip() for name in (*NOTES, *_PLACE)}
    if not cells["inhouse_file"] or not cells["inhouse_line"].isdecimal():
        return record.provenance
    return Provenance(cells["inhouse_file"], int(cells["inhouse_line"]), cells["inhouse_sha256"], cells["inhouse_part"])


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
