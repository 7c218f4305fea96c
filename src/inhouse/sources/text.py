"""Bytes to text: UTF-8 without a byte order mark, or an error that says where and how to convert the file."""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path

from inhouse.errors import SourceError
from inhouse.sources.registry import RawFile

_LINE_END = re.compile(rb"\r\n|\r|\n")


def decode(file: RawFile) -> str:
    """The file's text.

    Raises:
        SourceError: empty, a byte order mark, not UTF-8, or a NUL byte; with line and a command that mends it.
    """
    data, path = file.data, file.path
    if not data.strip():
        raise SourceError("the file is empty", "put at least ten examples in it", file=path)
    if data.startswith(codecs.BOM_UTF8):
        raise SourceError(
            'the file begins with a byte order mark (EF BB BF), as Excel\'s "CSV UTF-8" writes it',
            f"take it off: tail -c +4 {_from_to(path)}",
            file=path,
            line=1,
        )
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError("the file is UTF-16, not UTF-8", f"iconv -f UTF-16 -t UTF-8 {_from_to(path)}", file=path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(file, error) from None
    if "\0" in text:
        raise SourceError(
            "a NUL byte: this is not a text file, or it is UTF-16",
            f"export it again as UTF-8; if it is UTF-16: iconv -f UTF-16LE -t UTF-8 {_from_to(path)}",
            file=path,
            line=_line_of(data, data.index(b"\0")),
        )
    return text


def converted(path: Path, suffix: str = "") -> str:
    """A name for the converted copy of `path`, quoted for the shell."""
    return shlex.quote(f"{path.with_suffix('')}.utf8{suffix or path.suffix}")


def _from_to(path: Path) -> str:
    return f"{shlex.quote(str(path))} > {converted(path)}"


def _not_utf8(file: RawFile, error: UnicodeDecodeError) -> SourceError:
    data, start = file.data, error.start
    line = _line_of(data, start)
    before = re.split(r"[\r\n]", data[max(0, start - 20) : start].decode("utf-8", "ignore"))[-1]
    what = f"byte 0x{data[start]:02X} is not UTF-8" + (f", after {before!r}" if before else "")
    if _has_utf8(data):
        remedy = f"the rest of the file is UTF-8: mend this one place in line {line}"
    else:
        encoding = "WINDOWS-1252" if re.search(rb"[\x80-\x9f]", data) else "LATIN1"
        remedy = f"the file is probably in {encoding}: iconv -f {encoding} -t UTF-8 {_from_to(file.path)}"
    return SourceError(what, remedy, file=file.path, line=line)


def _has_utf8(data: bytes) -> bool:
    """Whether any character beyond ASCII is right as it stands."""
    return not data.decode("utf-8", "ignore").isascii()


def _line_of(data: bytes, offset: int) -> int:
    return sum(1 for _ in _LINE_END.finditer(data, 0, offset)) + 1
