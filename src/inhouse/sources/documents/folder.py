"""Documents whose names stand in a column: their text is the input."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from inhouse.sources.documents.pdf import PAGE_BREAK
from inhouse.sources.documents.pool import read_documents
from inhouse.sources.documents.reading import ENDINGS, Part

# No file system takes longer names; what is longer is a text.
_LONGEST_NAME = 255

_BREAK = re.compile("[\r\n\0]")


class Folder:
    """The documents at and below the folder of a source; nothing else is ever read."""

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()
        self._read: dict[Path, list[Part]] = {}
        self._coming: Iterator[tuple[Path, list[Part]]] = iter(())

    def has_any(self, cells: Iterable[str]) -> bool:
        """Whether a cell names a document that exists."""
        return any(_is_file(self._path(cell)) for cell in cells if names_document(cell))

    def checksums(self, cells: Iterable[str]) -> list[tuple[str, str]]:
        """Each document that a cell names, with the SHA-256 of its file; sorted."""
        named = sorted({cell.strip() for cell in cells if names_document(cell)})
        return [(name, _sha256(path)) for name in named if _is_file(path := self._path(name))]

    def expect(self, cells: Iterable[str]) -> None:
        """These cells will be asked for, in this order: the documents that they name are read ahead."""
        paths = dict.fromkeys(self._path(cell) for cell in cells if names_document(cell))
        self._coming = read_documents(p for p in paths if p.is_relative_to(self._root) and _is_file(p))

    def text(self, cell: str) -> tuple[str, str]:
        """The text of the document that a cell names, and why there is none."""
        path = self._path(cell)
        if not path.is_relative_to(self._root):
            return "", f"the file {cell.strip()!r} is not below the folder of the data; copy it there"
        if not _is_file(path):
            return "", f"the file {cell.strip()!r} is missing; looked for as {path}"
        while path not in self._read and (found := next(self._coming, None)):
            self._read[found[0]] = found[1]
        if path not in self._read:
            self._read.update(read_documents([path]))
        parts = self._read[path]
        fault = next((part.fault for part in parts if part.fault), "")
        if fault:
            return "", f"the file {cell.strip()!r} {fault}"
        return PAGE_BREAK.join(part.text for part in parts), ""  # the messages of a mailbox, as pages

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
    if not name.lower().endswith(ENDINGS):
        return False
    name = cell.strip()
    return len(name.encode()) <= _LONGEST_NAME and not _BREAK.search(name) and Path(name).suffix.lower() in ENDINGS


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
