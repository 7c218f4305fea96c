"""Which reader reads which ending, and the one function that reads a document of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from inhouse.sources.bounds import MAX_MAILBOX_BYTES, MAX_TEXT_CHARS, Unreadable, check_size, load
from inhouse.sources.documents.html import read_html
from inhouse.sources.documents.image import read_image
from inhouse.sources.documents.mail import read_mail, read_mailbox
from inhouse.sources.documents.pdf import PAGE_BREAK, read_pdf
from inhouse.sources.documents.word import read_word
from inhouse.sources.encodings import NO_TEXT, read_plain


class Part(NamedTuple):
    """One text of a document: the whole of it, or a message of a mailbox, whose id is `name`."""

    name: str
    text: str
    fault: str = ""


# Called after each page or message, so that a long document is not taken for an endless one.
Alive = Callable[[], None]

_PARTS_OF_A_MAIL: dict[str, Callable[[bytes], str]] = {
    ".pdf": lambda data: PAGE_BREAK.join(filter(None, read_pdf(data))),
    ".docx": read_word,
    ".txt": read_plain,
    ".md": read_plain,
    ".html": read_html,
    ".htm": read_html,
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"), read_image),
}
PLAIN = (".txt", ".md")


def read_attachment(name: str, data: bytes) -> str:
    """The text of an attachment, by the ending of its name; raises `Unreadable`."""
    ending = PurePath(name).suffix.lower()
    if ending not in _PARTS_OF_A_MAIL:
        raise Unreadable(f"ends in {ending}, which is not read" if ending else "has no ending that tells what it is")
    try:
        return _PARTS_OF_A_MAIL[ending](data)
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001 - see `_told`
        raise Unreadable(_told(error)) from None


def read_parts(path: Path, alive: Alive = lambda: None) -> Iterator[Part]:
    """The texts of a document, in this process; a document that cannot be read is one part with the reason."""
    try:
        for part in READERS[path.suffix.lower()](path, alive):
            yield _checked(part)
    except Unreadable as error:
        yield Part("", "", str(error))
    except Exception as error:  # noqa: BLE001 - see `_told`
        yield Part("", "", _told(error))


def _pdf(path: Path, alive: Alive) -> Iterator[Part]:
    pages = []
    for page in read_pdf(load(path)):
        pages.append(page)
        alive()
    yield Part("", PAGE_BREAK.join(filter(None, pages)))


def _mail(path: Path, _: Alive) -> Iterator[Part]:
    yield Part("", read_mail(load(path), read_attachment))


def _mailbox(path: Path, alive: Alive) -> Iterator[Part]:
    check_size(path.stat().st_size, MAX_MAILBOX_BYTES)
    for name, text, fault in read_mailbox(path, read_attachment):
        yield Part(name, text, fault)
        alive()


def _whole(read: Callable[[bytes], str]) -> Callable[[Path, Alive], Iterator[Part]]:
    def parts(path: Path, _: Alive) -> Iterator[Part]:
        yield Part("", read(load(path)))

    return parts


READERS: dict[str, Callable[[Path, Alive], Iterator[Part]]] = {
    **{ending: _whole(read) for ending, read in _PARTS_OF_A_MAIL.items()},
    ".pdf": _pdf,
    ".eml": _mail,
    ".mbox": _mailbox,
}
ENDINGS = tuple(READERS)


def _told(error: Exception) -> str:
    """Parsers of foreign formats fail in ways that nobody can list; each failure costs one document, with its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, MemoryError):
        return "needs more memory than a document may"
    return f"is damaged in a way that its reader does not know ({type(error).__name__}: {str(error)[:80]})"


def _checked(part: Part) -> Part:
    name, text, fault = part.name, part.text.strip(), part.fault
    if not fault and len(text) > MAX_TEXT_CHARS:
        fault = f"holds {len(text):,} characters; at most {MAX_TEXT_CHARS:,} are read"
    if not fault:
        text = NO_TEXT.sub("", text).strip()
    if not fault and not text:
        fault = "holds no text"
    return Part(name, "" if fault else text, fault)
