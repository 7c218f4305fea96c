"""The registry of sources: which function reads which kind of file, and the one door to all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inhouse.core import Provenance, Record, Rejection
from inhouse.errors import SourceError
from inhouse.sources.rejected import without_notes


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as it lies on disk; what a reader gets."""

    path: Path
    data: bytes
    sha256: str
    options: ReadOptions
    name: str

    def at(self, line: int) -> Provenance:
        """The provenance of the row that starts in `line` (1-based)."""
        return Provenance(self.name, line, self.sha256)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is read where the user says so; what is empty, or 0, is found out.

    `sheet` names a sheet of a workbook, `header` the row (1-based) that holds the names of the columns.
    """

    sheet: str = ""
    header: int = 0
    encoding: str = ""
    delimiter: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its columns in order, its rows, and the rows that could not be read.

    `nested` names the columns in which at least one row holds a list or an object, as JSON text. `notes` holds
    sentences on what was read, where that was a choice. `fields` names the columns that are the input, where the source
    itself knows it.
    """

    path: Path
    sha256: str
    columns: tuple[str, ...]
    records: list[Record]
    rejections: list[Rejection]
    nested: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class Reader(Protocol):
    """Reads one kind of file; raises SourceError for what no row can be read from."""

    def __call__(self, file: RawFile, /) -> Source:
        """The rows of `file`; rows that cannot be read stand in `rejections`."""
        ...


READERS: dict[str, Reader] = {}


def source(*extensions: str) -> Callable[[Reader], Reader]:
    """Register the decorated function as the reader of files with one of these extensions (no dot)."""

    def register(reader: Reader) -> Reader:
        READERS.update(dict.fromkeys(extensions, reader))
        return reader

    return register


def read_source(path: Path | str, options: ReadOptions | None = None, name: str = "") -> Source:
    """Read a data file, by its extension.

    A file that `rejects_csv` wrote is read as the rows that it holds: what it says of them beside is left out.

    Args:
        options: how to read it, where that is not to be found out.
        name: what the provenance of its rows says; the file's own name where it is empty.

    Returns:
        its rows in file order, each with the line it starts in, and the rejected rows.

    Raises:
        SourceError: no such file, a folder, not readable, an extension that is not known, text that is not UTF-8 or
            has a byte order mark, empty, not in the form its extension says, or over half of its rows are rejected.
    """
    path = Path(path)
    file = _load(path, options or ReadOptions(), name or path.name)
    result = without_notes(_reader_for(path)(file))
    if not result.records and not result.rejections:
        raise SourceError("the file has no rows", "put at least ten examples in it", file=path)
    refuse_if_mostly_rejected(path, result.rejections, len(result.records) + len(result.rejections))
    return result


def refuse_if_mostly_rejected(path: Path, rejections: Sequence[Rejection], rows: int) -> None:
    """Raise SourceError, with the first reason, when more than half of `rows` are rejected."""
    if 2 * len(rejections) > rows:
        first = min(rejections, key=lambda r: r.provenance.line)
        raise SourceError(
            f"{len(rejections)} of {rows} rows cannot be used, the first because: {first.reason}",
            "over half of a file is a sign that it is not what it seems; mend it, or name other columns",
            file=path,
            line=first.provenance.line,
        )


def _load(path: Path, options: ReadOptions, name: str) -> RawFile:
    if path.is_dir():
        raise SourceError("this is a folder, not a file", "name a file", file=path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SourceError("there is no such file", "check the spelling and the folder you are in", file=path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"the file cannot be read: {reason}", "check its permissions", file=path) from error
    return RawFile(path, data, hashlib.sha256(data).hexdigest(), options, name)


def _reader_for(path: Path) -> Reader:
    extension = path.suffix.lower().removeprefix(".")
    if extension not in READERS:
        known = ", ".join(f".{name}" for name in READERS)
        raise SourceError(
            f"files that end in .{extension} are not known" if extension else "the file's name has no extension",
            f"known are {known}; save or export it as one of them, and name it so",
            file=path,
        )
    return READERS[extension]
