"""Which reader reads which ending, and the one function that reads a document of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from inhouse.sources.documents.bounds import MAX_MAILBOX_BYTES, MAX_TEXT_CHARS, Unreadable, check_size, load
from inhouse.sources.documents.html import read_html
from inhouse.sources.documents.image import read_image
from inhouse.sources.documents.mail import read_mail, read_mailbox
from inhouse.sources.documents.pdf import PAGE_BREAK, read_pdf
from inhouse.sources.documents.plain import read_plain
from inhouse.sources.documents.word import read_word
from inhouse.sources.json_rows import NO_TEXT


class Part(NamedTuple):
    """One text of a document: the whole of it, or a message of a mailbox, whose id is `name`."""

    name: str
    text: str
    fault: str = ""


def _whole_pdf(data: bytes) -> str:
    return PAGE_BREAK.join(filter(None, read_pdf(data)))


def _mail(data: bytes) -> str:
    return read_mail(data, read_attachment)


_PICTURES = dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"), read_image)
_OF_BYTES: dict[str, Callable[[bytes], str]] = {
    ".pdf": _whole_pdf,
    ".docx": read_word,
    ".txt": read_plain,
    ".md": read_plain,
    ".html": read_html,
    ".htm": read_html,
    ".eml": _mail,
    **_PICTURES,
}
MAILBOX = ".mbox"
PLAIN = (".txt", ".md")
ENDINGS = (*_OF_BYTES, MAILBOX)


def read_attachment(name: str, data: bytes) -> str:
    """The text of an attachment, by the ending of its name; raises `Unreadable`."""
    ending = PurePath(name).suffix.lower()
    if ending not in _OF_BYTES:
        raise Unreadable(f"ends in {ending}, which is not read" if ending else "has no ending that tells what it is")
    return _guarded(_OF_BYTES[ending], data)


def read_parts(path: Path, alive: Callable[[], None] = lambda: None) -> Iterator[Part]:
    """The texts of a document, in this process; a document that cannot be read is one part with the reason.

    Args:
        alive: called after each page or message, so that a long document is not taken for an endless one.
    """
    ending = path.suffix.lower()
    try:
        if ending == MAILBOX:
            check_size(path.stat().st_size, MAX_MAILBOX_BYTES)
            for name, text, fault in read_mailbox(path, read_attachment):
                yield _checked(name, text, fault)
                alive()
        elif ending == ".pdf":
            pages = []
            for page in read_pdf(load(path)):
                pages.append(page)
                alive()
            yield _checked("", PAGE_BREAK.join(filter(None, pages)))
        else:
            yield _checked("", _guarded(_OF_BYTES[ending], load(path)))
    except Unreadable as error:
        yield Part("", "", str(error))
    except Exception as error:  # noqa: BLE001 - see `_told`
        yield Part("", "", _told(error))


def _guarded(read: Callable[[bytes], str], data: bytes) -> str:
    """What a reader finds, every failure of it as `Unreadable`."""
    try:
        return read(data)
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001 - see `_told`
        raise Unreadable(_told(error)) from None


def _told(error: Exception) -> str:
    """Parsers of foreign formats fail in ways that nobody can list; each failure costs one document, with its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, MemoryError):
        return "needs more memory than a document may"
    return f"is damaged in a way that its reader does not know ({type(error).__name__}: {str(error)[:80]})"


def _checked(name: str, text: str, fault: str = "") -> Part:
    text = text.strip()
    if not fault and len(text) > MAX_TEXT_CHARS:
        fault = f"holds {len(text):,} characters; at most {MAX_TEXT_CHARS:,} are read"
    if not fault and NO_TEXT.search(text):
        text = NO_TEXT.sub("", text).strip()
    if not fault and not text:
        fault = "holds no text"
    return Part(name, "" if fault else text, fault)
