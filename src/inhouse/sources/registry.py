"""The registry of sources: which function reads which kind of file, and the one door to all of them."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inhouse.core import Provenance, Record, Rejection
from inhouse.core.collector import no_collections
from inhouse.errors import SourceError, UsageError
from inhouse.sources.rejected import NO_TARGET, without_notes

_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file, where it is not to be found out. What one of several formats has no use for is passed over.

    Attributes:
        sheet: the sheet of a workbook.
        header: the number of the line, or of the row of a sheet, that names the columns; 0: it is found.
        encoding: of a text file, such as `cp1252`.
        delimiter: one character, or its name (tab, comma, semicolon, bar, space).

    Raises:
        UsageError: no such encoding, a delimiter that cannot be one, or a header before the first line.
    """

    sheet: str = ""
    header: int = 0
    encoding: str = ""
    delimiter: str = ""

    def __post_init__(self) -> None:
        if self.header < 0:
            raise UsageError(f"the header cannot be in line {self.header}", "lines count from 1")
        if self.encoding and not _is_text_encoding(self.encoding):
            raise UsageError(
                f"the encoding {self.encoding!r} is not known",
                "name one such as utf-8, utf-16, cp1252, cp1250 or cp850",
            )
        delimiter = _DELIMITER_NAMES.get(self.delimiter.casefold(), self.delimiter)
        if len(delimiter) > 1 or delimiter in ('"', "\r", "\n"):
            raise UsageError(
                f"{self.delimiter!r} cannot be the delimiter", f"give one character, or {', '.join(_DELIMITER_NAMES)}"
            )
        object.__setattr__(self, "delimiter", delimiter)


def _is_text_encoding(name: str) -> bool:
    """Whether Python knows the encoding, and can go on behind bytes that are no text in it."""
    try:
        wide = codecs.lookup(name).name.startswith(("utf-16", "utf-32"))
        decoder = codecs.getincrementaldecoder(name)("replace" if wide else "surrogateescape")
        return isinstance(decoder.decode(b"\xff\xfe\0\0a" if wide else bytes(range(256))), str)
    except (LookupError, ValueError, TypeError, AssertionError):  # base64 is a codec and no encoding of text
        return False


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as it lies on disk; what a reader gets."""

    path: Path
    sha256: str
    options: ReadOptions = ReadOptions()
    name: str = ""

    @property
    def data(self) -> bytes:
        """All of its bytes, read anew each time."""
        return self.path.read_bytes()

    def at(self, line: int, part: str = "") -> Provenance:
        """The provenance of the row that starts in `line` (1-based), of a part such as a sheet."""
        return Provenance(self.name or self.path.name, line, self.sha256, part)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its columns in order, its rows, and the rows that could not be read.

    `nested` names the columns in which at least one row holds a list or an object, as JSON text. `notes` holds
    sentences on what was read, where that was a choice. `fields` names the columns that are the input, where the source
    itself knows it. `part` is what of the file was read, such as a sheet, where it has several; `reading` says how that
    was understood: the same bytes are other rows in another encoding, or below another header.
    """

    path: Path
    sha256: str
    columns: tuple[str, ...]
    records: list[Record]
    rejections: list[Rejection]
    nested: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    part: str = ""
    reading: str = ""


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


# By option, the endings of the files that it says something about.
_READ_WITH = {
    "sheet": ("xlsx", "xlsm", "ods"),
    "header": ("csv", "tsv", "xlsx", "xlsm", "ods"),
    "encoding": ("csv", "tsv", "json", "jsonl", "ndjson"),
    "delimiter": ("csv", "tsv"),
}


def require_used(options: ReadOptions, files: Iterable[Path | str]) -> None:
    """Raise `UsageError` for an option that says something about none of the files."""
    endings = {Path(file).suffix.lower().removeprefix(".") for file in files}
    for name, known in _READ_WITH.items():
        if (given := getattr(options, name)) and not endings & set(known):
            kinds = ", ".join(f".{ending}" for ending in known)
            raise UsageError(f"--{name} {given}: none of the files is read so", f"it is for {kinds}; leave it out")


def read_source(path: Path | str, options: ReadOptions = ReadOptions(), name: str = "") -> Source:
    """Read a data file, by its extension.

    A file that `rejects_csv` wrote is read as the rows that it holds: what it says of them beside is left out.

    Args:
        options: how to read it, where that is not to be found out.
        name: what the provenance of its rows says; the file's own name where it is empty.

    Returns:
        its rows in file order, each with the line it starts in, and the rejected rows.

    Raises:
        SourceError: no such file, a folder, not readable, an extension that is not known, no text in any encoding,
            empty, not in the form its extension says, too large for its form, or over half of its rows are rejected.
    """
    path = Path(path)
    file = RawFile(path, _checksum(path), options, name)
    with no_collections():
        result = without_notes(_reader_for(path)(file))
    if not result.records and not result.rejections:
        raise SourceError("the file has no rows", "put at least ten examples in it", file=path)
    refuse_if_mostly_rejected(path, result.rejections, len(result.records) + len(result.rejections))
    return result


def refuse_if_mostly_rejected(path: Path, rejections: Sequence[Rejection], rows: int) -> None:
    """Raise SourceError, with the first reason, when more than half of `rows` are rejected."""
    if 2 * len(rejections) > rows:
        first = min(rejections, key=lambda r: r.provenance.line)
        remedy = "over half of a file is a sign that it is not what it seems; mend it, or name other columns"
        if first.reason.startswith(NO_TARGET):
            remedy = "`--unlabelled` keeps rows without a target to be labelled; or name the right column with --target"
        raise SourceError(
            f"{len(rejections)} of {rows} rows cannot be used, the first because: {first.reason}",
            remedy,
            file=path,
            line=first.provenance.line,
        )


def _checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    if path.is_dir():
        raise SourceError("this is a folder, not a file", "name a file", file=path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise SourceError("there is no such file", "check the spelling and the folder you are in", file=path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"the file cannot be read: {reason}", "check its permissions", file=path) from error


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
