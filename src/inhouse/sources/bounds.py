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
# A JSON document is held whole, with all that is read from it; so is all that a workbook or a Word document packs.
MAX_WHOLE_BYTES = 2**30
# Of all texts of a file that packs equal ones as one.
MAX_TABLE_CHARS = 2**33
# What is packed grows by this much at most: XML of equal rows by some fifty times, a bomb by a thousand.
MAX_RATIO, _SMALL_PART, _MAX_PARTS = 300, 10 * 2**20, 20_000
_PIECE = 2**20

# A document on disk; an mbox is read message by message and may be larger.
MAX_FILE_BYTES, MAX_IMAGE_BYTES, MAX_MAILBOX_BYTES = 200 * 2**20, 100 * 2**20, 20 * 2**30
# The text of one document. The longest contexts of models are far below.
MAX_TEXT_CHARS = 20_000_000
MAX_PAGES = 5_000

DIVIDE = "divide it or scan it smaller"


class Unreadable(Exception):
    """Why a file cannot be read: the end of a sentence that begins with its name, and the remedy, if any."""

    def __init__(self, why: str, remedy: str = "") -> None:
        self.why, self.remedy = why, remedy
        super().__init__(f"{why}: {remedy}" if remedy else why)

    def of_table(self, path: Path) -> SourceError:
        """The same of a file of rows, which costs all that was asked for and not one row."""
        return SourceError(f"the file {self.why}", self.remedy, file=path)


def too_long(what: str, most: int | None = None) -> str:
    """What is said of a cell or line that has more than `most` characters (`MAX_CHARS` where that is not said)."""
    return f"{what} of more than {most or MAX_CHARS:,} characters; shorten it, or take it out"


def check_size(size: int, most: int, remedy: str = DIVIDE) -> None:
    """Raise `Unreadable` for what has more than `most` bytes."""
    if size > most:
        raise Unreadable(f"has {_shown(size)}; at most {_shown(most)} are read", remedy)


def check_archive(archive: ZipFile) -> None:
    """Raise `Unreadable` for a zip file that would unpack to far more than it is: a zip bomb.

    Python reads no more of a part than its entry says, so what the entries say is what it can cost.
    """
    parts = archive.infolist()
    remedy = "this is how a file looks that was made to fill the memory; if it is yours, save it anew, a table as CSV"
    total = sum(part.file_size for part in parts)
    if total > MAX_WHOLE_BYTES or len(parts) > _MAX_PARTS:
        raise Unreadable(
            f"unpacks to {_shown(total)} in {len(parts):,} parts; at most {_shown(MAX_WHOLE_BYTES)} in {_MAX_PARTS:,} "
            "are read",
            remedy,
        )
    for part in parts:
        if part.file_size > max(_SMALL_PART, MAX_RATIO * part.compress_size):
            grown = f"from {part.compress_size:,} bytes to {part.file_size:,}"
            raise Unreadable(f"is a zip bomb: its part {part.filename[:80]!r} unpacks {grown}", remedy)


def _shown(size: int) -> str:
    return f"{size:,} bytes" if size < 2**20 else f"{size / 2**20:,.0f} MiB"


def pieces(part: IO[bytes]) -> Iterator[bytes]:
    """An unpacked part, a piece at a time. Its end is where its own header says: `zipfile` unpacks no further."""
    while piece := part.read(_PIECE):
        yield piece


def load(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file of at most that size; raises `Unreadable`."""
    try:
        check_size(path.stat().st_size, most)
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from None
