"""How large a thing may be that a file holds: what is beyond is no example, and must not take all memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from inhouse.errors import SourceError

if TYPE_CHECKING:
    from zipfile import ZipFile

# Characters of one cell, and of one line. A book of 1,000 pages has some two million.
MAX_CHARS = 10_000_000
# A JSON document is held whole, with all that is read from it; so are the parts of a workbook.
MAX_DOCUMENT_BYTES = 2**30
# Of all texts of a file that packs equal ones as one.
MAX_TABLE_CHARS = 2**33
# What is packed grows by this much at most: XML of equal rows by some fifty times, a bomb by a thousand.
MAX_RATIO = 300
_SMALL_PART = 10 * 2**20
_PIECE = 2**20


def too_long(what: str) -> str:
    """What is said of a cell or line that is beyond `MAX_CHARS`."""
    return f"{what} of more than {MAX_CHARS:,} characters; shorten it, or take it out"


def check_document(path: Path) -> None:
    """Raise SourceError for a document that is too large to be held whole."""
    size = path.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        raise SourceError(
            f"the file has {size:,} bytes, and one JSON document may have {MAX_DOCUMENT_BYTES:,}, as it is held whole",
            "write it as JSON Lines, one object per line (jq -c '.[]'), which is read line by line",
            file=path,
        )


def check_archive(path: Path, archive: ZipFile) -> None:
    """Raise SourceError for a packed file that would unpack to more than anybody's table: a zip bomb."""
    parts = archive.infolist()
    total = sum(part.file_size for part in parts)
    if total > MAX_DOCUMENT_BYTES:
        raise _bomb(path, f"the file unpacks to {total:,} bytes, {MAX_DOCUMENT_BYTES:,} can be read")
    for part in parts:
        if part.file_size > max(_SMALL_PART, MAX_RATIO * part.compress_size):
            grown = f"{part.compress_size:,} bytes to {part.file_size:,}"
            raise _bomb(path, f"the part {part.filename[:80]!r} of the file unpacks from {grown}")


def pieces(part: IO[bytes]) -> Iterator[bytes]:
    """An unpacked part, a piece at a time. Its end is where its own header says: `zipfile` unpacks no further."""
    while piece := part.read(_PIECE):
        yield piece


def _bomb(path: Path, what: str) -> SourceError:
    return SourceError(
        what,
        "this is how a file looks that was made to fill the memory; if it is yours, save the table as CSV",
        file=path,
    )
