"""Bytes to text, in whatever encoding they are: found out, told, and read a line at a time in bounded memory."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator

from inhouse.errors import SourceError
from inhouse.sources.bounds import MAX_CHARS
from inhouse.sources.encodings import (
    CHUNK,
    NO_TEXT,
    SAMPLE_BYTES,
    UTF8,
    Encoding,
    encoding_in,
    first_control,
    garbage_in,
    marked,
    scan,
)
from inhouse.sources.registry import RawFile

_TOLD_CHARS = 60


def encoding_of(file: RawFile) -> Encoding:
    """The encoding of a text file: the one that was named, a byte order mark's, UTF-8, UTF-16, or an older one.

    An older encoding is guessed from what the text would be in it (charset-normalizer) and from the language it would
    be in (py3langid), and is told with a line to judge it by. The file is read once, a piece at a time.

    Raises:
        SourceError: the file is empty, or is no text in any of them.
    """
    with file.path.open("rb") as stream:
        scanned = scan(stream)
    if not scanned.size:
        raise SourceError("the file is empty", "put at least ten examples in it", file=file.path)
    if named := file.options.encoding:
        found = Encoding(marked(codecs.lookup(named).name, scanned.head), faulty=True)
    else:
        found = encoding_in(scanned)
    return _told(file, found)


def open_text(file: RawFile, encoding: Encoding, newline: str = "") -> io.TextIOWrapper:
    """The file as text. What is no text there comes as a character that `fault_in` finds."""
    wide = encoding.name.startswith(("utf-16", "utf-32"))
    errors = "replace" if wide else "surrogateescape"
    return io.TextIOWrapper(file.path.open("rb", CHUNK), encoding.name, errors=errors, newline=newline)


def whole_text(file: RawFile, encoding: Encoding) -> str:
    """All of the text."""
    with open_text(file, encoding) as stream:
        return stream.read()


def line_end(stream: io.TextIOBase) -> str:
    """What ends the lines: a carriage return alone, as old Macs wrote it, or a line feed."""
    start = stream.read(CHUNK)
    return "\r" if "\r" in start and "\n" not in start else "\n"


class TooLong(Exception):
    """A line of more than `MAX_CHARS` characters was passed over; it holds the line's beginning."""


class Lines:
    """Iterates over the lines of a text, and remembers those since `begin`.

    A line of more than `MAX_CHARS` raises `TooLong` and is passed over without being held; iteration can go on.
    """

    def __init__(self, stream: io.TextIOBase, end: str) -> None:
        self._read, self._end = stream.readline, end
        self.number = 0
        self.kept: list[str] = []

    def begin(self) -> int:
        """Forget the lines so far; returns the number (1-based) of the next."""
        self.kept.clear()
        return self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._read(MAX_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MAX_CHARS and not line.endswith(self._end):
            rest = self._read(MAX_CHARS)
            if rest:
                while rest and not rest.endswith(self._end):
                    rest = self._read(MAX_CHARS)
                raise TooLong(line[:200])
        self.kept.append(line)
        return line


def fault_in(text: str, encoding: Encoding) -> str:
    """Why a row's text cannot be used: it has a NUL, or bytes that are none in the file's encoding."""
    if match := NO_TEXT.search(text):
        before = text[max(0, match.start() - 20) : match.start()]
        after = f", after {before!r}" if before else ""
        if match[0] == "\0":
            return f"a NUL byte{after}: it is no text"
        return f"byte 0x{ord(match[0]) - 0xDC00:02X} is not {encoding.shown}{after}"
    if encoding.name.startswith(("utf-16", "utf-32")) and "\ufffd" in text:
        return f"it is not {encoding.shown}"
    return ""


# --- what is told


def _told(file: RawFile, found: Encoding) -> Encoding:
    """The encoding with its note; raises SourceError where the text in it is garbage."""
    with open_text(file, found) as stream:
        start = stream.read(SAMPLE_BYTES)
    plain = found.name in (UTF8, "utf-8-sig")
    if garbage := garbage_in(start, "" if plain else found.shown):
        raise SourceError(
            f"this {garbage}",
            "export the table as CSV, JSON Lines or .xlsx; if it is text, name its encoding: --encoding NAME",
            file=file.path,
            line=start.count("\n", 0, first_control(start)) + 1,
        )
    if found.note or plain or file.options.encoding:
        return found
    return Encoding(found.name, f"the file is read as {found.shown}{_example(file, found)}", found.faulty)


def _example(file: RawFile, found: Encoding) -> str:
    """A line with letters beyond ASCII, by which a person sees whether the encoding is right."""
    with open_text(file, found) as stream:
        lines = Lines(stream, line_end(stream))
        stream.seek(0)
        try:
            for line in lines:
                if match := re.search(r"[^\x00-\x7f]", line):
                    start = max(0, match.start() - _TOLD_CHARS // 2)
                    text = line[start : start + _TOLD_CHARS].strip()
                    return f", for example in line {lines.number}: {text!r}; if that is wrong, name it: --encoding NAME"
        except TooLong:
            pass
    return ""
