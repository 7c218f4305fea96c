"""Documents whose names stand in a column: their plain text is the input."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inhouse.sources.json_rows import NO_TEXT

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import _Cell

# No file system takes longer names; what is longer is a text.
_LONGEST_NAME = 255

_BREAK = re.compile("[\r\n\0]")

# pdfium is not safe to use from two threads.
_ONE_AT_A_TIME = threading.Lock()


class Folder:
    """The documents at and below the folder of a source; nothing else is ever read."""

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()
        self._read: dict[Path, tuple[str, str]] = {}

    def has_any(self, cells: Iterable[str]) -> bool:
        """Whether a cell names a document that exists."""
        return any(_is_file(self._path(cell)) for cell in cells if names_document(cell))

    def checksums(self, cells: Iterable[str]) -> list[tuple[str, str]]:
        """Each document that a cell names, with the SHA-256 of its file; sorted."""
        named = sorted({cell.strip() for cell in cells if names_document(cell)})
        return [(name, _sha256(path)) for name in named if _is_file(path := self._path(name))]

    def text(self, cell: str) -> tuple[str, str]:
        """The text of the document that a cell names, and why there is none."""
        path = self._path(cell)
        if not path.is_relative_to(self._root):
            return "", f"the file {cell.strip()!r} is not below the folder of the data; copy it there"
        if not _is_file(path):
            return "", f"the file {cell.strip()!r} is missing; looked for as {path}"
        if path not in self._read:
            self._read[path] = _text_of(path, cell.strip())
        return self._read[path]

    def _path(self, cell: str) -> Path:
        path = self._root / cell.strip()
        if "\\" in cell and not _is_file(path):  # as Windows writes it
            path = self._root / cell.strip().replace("\\", "/")
        try:
            return path.resolve()
        except (OSError, RuntimeError):  # links in a circle
            return path


def names_document(cell: str) -> bool:
    """Whether a cell could be a document's name: one line, with a known ending."""
    name = cell[-_LONGEST_NAME - 1 :].rstrip()
    if not name.lower().endswith(_ENDINGS):
        return False
    name = cell.strip()
    return len(name.encode()) <= _LONGEST_NAME and not _BREAK.search(name) and Path(name).suffix.lower() in READERS


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into
        return False


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # reading it tells why
        return ""


def _text_of(path: Path, name: str) -> tuple[str, str]:
    try:
        text, fault = READERS[path.suffix.lower()](path)
    except OSError as error:
        return "", f"the file {name!r} cannot be read: {error.strerror or error}"
    if not fault and NO_TEXT.search(text):
        fault = "is not a text file"
    if not fault and not text.strip():
        fault = "holds no text"
    return ("", f"the file {name!r} {fault}") if fault else (text.strip(), "")


def _read_text(path: Path) -> tuple[str, str]:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"), ""
    except UnicodeDecodeError as error:
        return "", f"is not UTF-8 text (byte {error.start + 1}); save it as UTF-8"


def _read_pdf(path: Path) -> tuple[str, str]:
    """The text of all pages, a blank line between two, in the order in which the file holds it."""
    from pypdfium2 import PdfDocument, PdfiumError

    with _ONE_AT_A_TIME:
        try:
            document = PdfDocument(path)
            try:
                pages = [_page_text(page) for page in document]
            finally:
                document.close()
        except PdfiumError as error:
            if "password" in str(error).lower():
                return "", "is protected with a password; save a copy without it"
            return "", f"is no PDF that can be read ({error})"
    text = "\n\n".join(filter(None, pages))
    return text, "" if text else "holds no text: it is a scan, which text recognition (OCR) must read first"


def _page_text(page: object) -> str:
    text_page = page.get_textpage()  # type: ignore[attr-defined]  # pypdfium2 has no types
    try:
        text: str = text_page.get_text_bounded()
    finally:
        text_page.close()
    # pdfium joins a word that a hyphen breaks over two lines, and puts this in place of the hyphen.
    text = text.replace("\x02", "-\n").replace("\ufffe", "-\n").replace("\0", "")
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _read_docx(path: Path) -> tuple[str, str]:
    """Paragraphs and tables in the document's order; a table's row is a line, its cells are parted by ` | `."""
    import zlib
    from zipfile import BadZipFile

    from docx import Document
    from docx.opc.exceptions import OpcError

    # python-docx checks nothing: what is missing in a damaged file shows where it is used. lxml's are SyntaxErrors.
    damaged = (BadZipFile, zlib.error, OpcError, SyntaxError, LookupError, ValueError, AttributeError, TypeError)
    try:
        return "\n".join(_blocks(Document(str(path)))).strip(), ""
    except (*damaged, RuntimeError) as error:  # RuntimeError: a zip with a password
        with path.open("rb") as file:
            encrypted = file.read(4) == b"\xd0\xcf\x11\xe0"  # Office wraps what it encrypts in its old format
        if encrypted:
            return "", "is protected with a password, or in the old .doc format; save a copy as .docx without one"
        return "", f"is no Word document that can be read ({str(error)[:80]})"


def _blocks(parent: Document | _Cell) -> Iterator[str]:
    from docx.table import Table

    for block in parent.iter_inner_content():
        if not isinstance(block, Table):
            yield block.text
            continue
        for row in block.rows:
            cells = {id(cell._tc): cell for cell in row.cells}  # a merged cell stands there once for each it covers
            texts = [" ".join(filter(None, _blocks(cell))) for cell in cells.values()]
            if any(texts):
                yield " | ".join(texts)


READERS: dict[str, Callable[[Path], tuple[str, str]]] = {
    ".pdf": _read_pdf,
    ".docx": _read_docx,
    ".txt": _read_text,
    ".md": _read_text,
}
_ENDINGS = tuple(READERS)
