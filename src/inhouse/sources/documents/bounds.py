"""What a document may cost, and how a document that cannot be read is told."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

# A file on disk; an mbox is read message by message and may be larger.
MAX_FILE_BYTES = 200 * 2**20
MAX_IMAGE_BYTES = 100 * 2**20
MAX_MAILBOX_BYTES = 20 * 2**30

# What a zip archive may unpack to, and how many parts it may hold. Word's own files pack about ten to one.
_MAX_UNPACKED, _MAX_RATIO, _SMALL, _MAX_PARTS = 500 * 2**20, 200, 20 * 2**20, 20_000

# The text of one document. The longest contexts of models are far below.
MAX_TEXT_CHARS = 20_000_000

MAX_PAGES = 5_000


class Unreadable(Exception):
    """Why a document has no text: the end of a sentence that begins with its name, with the remedy."""


def check_size(size: int, most: int = MAX_FILE_BYTES) -> None:
    """Raise `Unreadable` for a file that is larger than `most` bytes."""
    if size > most:
        raise Unreadable(
            f"has {size / 2**20:,.0f} MiB; at most {most / 2**20:,.0f} are read: divide it or scan it smaller"
        )


def check_archive(archive: ZipFile) -> None:
    """Raise `Unreadable` where a zip file would unpack to far more than it is: a zip bomb.

    Python reads no more of a part than its entry says, so what the entries say is what it can cost.
    """
    parts = archive.infolist()
    unpacked, packed = sum(p.file_size for p in parts), sum(p.compress_size for p in parts)
    bomb = unpacked > _MAX_UNPACKED or (unpacked > _SMALL and unpacked > _MAX_RATIO * max(packed, 1))
    if bomb or len(parts) > _MAX_PARTS:
        raise Unreadable(
            f"would unpack to {unpacked / 2**20:,.0f} MiB in {len(parts):,} parts, which is no document but a zip bomb"
        )


def load(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file of at most that size; raises `Unreadable`."""
    try:
        check_size(path.stat().st_size, most)
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from None
