"""Bytes to text, in whatever encoding they are: found out, told, and read a line at a time in bounded memory."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inhouse.errors import SourceError
from inhouse.sources.bounds import MAX_CHARS
from inhouse.sources.registry import RawFile

UTF8 = "utf-8"

_BOMS = (  # UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What is called so in the menus of programs.
_SHOWN = {
    "utf-8-sig": "UTF-8",
    "cp932": "Shift-JIS (cp932)",
    "gb18030": "GB 18030",
    "big5": "Big5",
    "cp949": "Korean (cp949)",
    "koi8_r": "KOI8-R",
    "mac_roman": "Mac Roman",
    "cp850": "DOS (cp850)",
    "cp852": "DOS, Central Europe (cp852)",
    "cp857": "DOS, Turkish (cp857)",
    "cp775": "DOS, Baltic (cp775)",
    "cp866": "DOS, Cyrillic (cp866)",
}

# Older encodings of scripts that no other shares, with the languages that are written so.
_SCRIPTS = {
    "cp932": "ja",
    "euc_jp": "ja",
    "gb18030": "zh",
    "big5": "zh",
    "cp949": "ko",
    "cp1251": "ru uk be bg sr mk",
    "koi8_r": "ru uk be bg",
    "cp866": "ru uk be bg",
    "cp1253": "el",
    "cp1255": "he yi",
    "cp1256": "ar fa ur",
    "cp874": "th",
}
# Fewer letters beyond ASCII tell nothing: a currency sign is a letter in the wrong encoding.
_FEW_LETTERS = 4
_WORD = re.compile(r"[^\W\d_]+")
# What letters become in a wrong encoding: a byte without a sign, a capital inside a word, a sign inside or behind one.
_ODD_IN_WORDS = re.compile(
    r"\ufffd|[\x80-\x9f]|(?<=[a-zß-öø-ÿ])[À-ÖØ-ÞŒŠŽŸĀĂĄĆČĎĐĒĖĘĚĢĪĶĹĻŁŃŅŇŌŐŖŘŚŞŢŤŪŮŰŲŹŻİĞ]"
    r"|(?<=[A-Za-z])[^\x00-\x7f\w’‘'·](?=[a-z])|(?<=[A-Za-z])[‰ˆ˜¸‡†•¨´¯˙˝˛ˇ∞∂∑∏π∫ªº¬√ƒ≈∆◊≠≤≥±µ¶§¤¢£¥¦¿¡„‚▒░█▄▀│┤╣║╗╝┐└┴┬├─┼╚╔╩╦╠═╬┘┌■]"
)
# Latin letters have other bytes in each part of Europe: the language says which; then Windows', DOS' or a Mac's.
_WESTERN = ("cp1252", "cp850", "mac_roman")
_LATIN = {
    "en de fr nl es it pt da sv no nb nn fi is ga gl ca eu af": _WESTERN,
    "cs sk pl hu sl hr bs ro sq": ("cp1250", "cp852"),
    "tr": ("cp1254", "cp857"),
    "lt lv et": ("cp1257", "cp775"),
}
_OF_LANGUAGE = {language: encodings for languages, encodings in _LATIN.items() for language in languages.split()}

_CHUNK = 2**20
_SAMPLE_BYTES = 64 * 2**10
_FEW_NULS, _MANY_NULS = 0.05, 0.2
_GARBAGE_SHARE = 0.02
# No text has these; some tables are separated by one of the first and the last.
_CONTROL = re.compile("[\0\x03-\x08\x0e-\x1b\x7f-\x9f\ufffd\udc80-\udcff]")
NO_TEXT = re.compile("[\0\ud800-\udfff]")
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_TOLD_CHARS = 60


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes are text.

    Attributes:
        name: Python's name of it.
        note: what to tell the user; empty for plain UTF-8.
        faulty: whether some places may be no text: rows with them cannot be used (see `fault_in`).
    """

    name: str
    note: str = ""
    faulty: bool = False

    @property
    def shown(self) -> str:
        """Its name for a person."""
        return _SHOWN.get(self.name) or self.name.upper().replace("CP12", "Windows-12")


def encoding_of(file: RawFile) -> Encoding:
    """The encoding of a text file: the one that was named, a byte order mark's, UTF-8, UTF-16, or an older one.

    An older encoding is guessed from what the text would be in it (charset-normalizer) and from the language it would
    be in (py3langid), and is told with a line to judge it by. The file is read once, a piece at a time.

    Raises:
        SourceError: the file is empty, or is no text in any of them.
    """
    scan = _scan(file.path)
    if not scan.size:
        raise SourceError("the file is empty", "put at least ten examples in it", file=file.path)
    if named := file.options.encoding:
        name = codecs.lookup(named).name
        found = Encoding(_marked(name, scan.head), faulty=True)
    elif bom := next((name for mark, name in _BOMS if scan.head.startswith(mark)), ""):
        found = Encoding(bom, faulty=bool(scan.nuls or scan.invalid) or bom != "utf-8-sig")
    elif wide := _without_mark(scan):
        found = Encoding(wide, faulty=True)
    elif not scan.invalid:
        found = Encoding(UTF8, faulty=bool(scan.nuls))
    elif scan.valid >= scan.invalid:  # in an older encoding, bytes hardly ever are UTF-8 by chance
        note = f"the file is UTF-8 and {scan.invalid:,} of its bytes are not: rows with them are rejected"
        found = Encoding(UTF8, note, faulty=True)
    else:
        found = Encoding(_older(scan.sample), faulty=True)
    return _told(file, found, scan)


def open_text(file: RawFile, encoding: Encoding, newline: str = "") -> io.TextIOWrapper:
    """The file as text. What is no text there comes as a character that `fault_in` finds."""
    wide = encoding.name.startswith(("utf-16", "utf-32"))
    errors = "replace" if wide else "surrogateescape"
    return io.TextIOWrapper(file.path.open("rb", _CHUNK), encoding.name, errors=errors, newline=newline)


def whole_text(file: RawFile, encoding: Encoding) -> str:
    """All of the text."""
    with open_text(file, encoding) as stream:
        return stream.read()


def line_end(stream: io.TextIOBase) -> str:
    """What ends the lines: a carriage return alone, as old Macs wrote it, or a line feed."""
    start = stream.read(_CHUNK)
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


# --- what the bytes say


@dataclass
class _Scan:
    """What was seen of the bytes: the first of them, how many are no ASCII, and lines with such."""

    head: bytes = b""
    size: int = 0
    nuls: int = 0
    valid: int = 0
    invalid: int = 0
    sample: bytes = b""


def _scan(path: Path) -> _Scan:
    """One pass over the file. Characters of several bytes that a piece's end cuts are counted with the next piece."""
    scan, strict = _Scan(), codecs.getincrementaldecoder(UTF8)()
    rest, clean = b"", True
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            scan.head = scan.head or piece[:_SAMPLE_BYTES]
            scan.size += len(piece.strip()) and len(piece)
            scan.nuls += piece.count(0)
            if clean:
                before = rest
                try:
                    text = strict.decode(piece)
                    rest = strict.getstate()[0]
                    if not piece.isascii():
                        scan.valid += len(text) - len(piece.translate(None, _BEYOND_ASCII))
                    continue
                except UnicodeDecodeError:
                    clean, rest = False, before
            rest = _count(scan, rest + piece)
        if rest or not clean:
            _count(scan, rest, last=True)
    return scan


def _count(scan: _Scan, piece: bytes, *, last: bool = False) -> bytes:
    """Count what is UTF-8 in a piece and what is not; returns the bytes at its end that the next one may complete."""
    end = len(piece)
    if not last:
        while end > max(0, len(piece) - 3) and piece[end - 1] >= 0x80:
            end -= 1
        if end == len(piece) - 3:
            end = len(piece)  # no character is that long: it ends here, or is none
    piece, rest = piece[:end], piece[end:]
    kept = piece.decode(UTF8, "ignore")
    scan.valid += len(kept) - len(piece.translate(None, _BEYOND_ASCII))
    scan.invalid += len(piece.decode(UTF8, "surrogateescape")) - len(kept)
    if len(scan.sample) < _SAMPLE_BYTES:
        lines = (line for line in re.split(rb"[\r\n]+", piece) if not line.isascii())
        scan.sample += b"\n".join(line[:_SAMPLE_BYTES] for line in lines)[:_SAMPLE_BYTES]
    return rest


def _marked(name: str, head: bytes) -> str:
    """The named encoding as Python calls it with the byte order mark that is there, or that is missing."""
    mark = next((marked for mark, marked in _BOMS if head.startswith(mark)), "")
    if name in ("utf-16", "utf-32"):
        return name if mark == name else f"{name}-le"
    return mark if name == UTF8 and mark == "utf-8-sig" else name


def _without_mark(scan: _Scan) -> str:
    """UTF-16 or UTF-32 without a byte order mark: the bytes that are always zero tell it; empty for any other."""
    sample = scan.head[: len(scan.head) // 4 * 4]
    share = sample.count(0) / max(1, len(sample))
    if share < (_FEW_NULS if scan.invalid else _MANY_NULS):
        return ""
    zero = [sample[place::4].count(0) / (len(sample) / 4) for place in range(4)]
    for name, pattern in (("utf-32-le", (0, 0, 1, 1)), ("utf-32-be", (1, 1, 0, 0))):
        if all((z > 0.9) == bool(p) for z, p in zip(zero, pattern, strict=True)):
            return name
    even, odd = zero[0] + zero[2], zero[1] + zero[3]
    if min(even, odd) > 0.05 * max(even, odd):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _older(sample: bytes) -> str:
    """The most likely encoding from before UTF-8."""
    for name in _likely_scripts(sample):
        text = sample.decode(name, "replace")
        if _is_other_script(text) and _language(text) in _SCRIPTS[name].split():
            return name
    language = _language(sample.decode("cp1252", "replace"), tuple(_OF_LANGUAGE))
    return min(_OF_LANGUAGE[language], key=lambda name: len(_ODD_IN_WORDS.findall(sample.decode(name, "replace"))))


def _likely_scripts(sample: bytes) -> list[str]:
    """The encodings of other scripts that look least like no text; the most like a language first."""
    from charset_normalizer import from_bytes

    found: dict[str, tuple[float, float]] = {}
    for match in from_bytes(sample, cp_isolation=list(_SCRIPTS), enable_fallback=False):
        for name in match.could_be_from_charset:
            found.setdefault(name, (match.chaos, -match.coherence))
    least = min((chaos for chaos, _ in found.values()), default=0.0)
    likely = [name for name in _SCRIPTS if name in found and found[name][0] <= least + 0.02]
    return sorted(likely, key=lambda name: found[name][1])


def _is_other_script(text: str) -> bool:
    """Whether letters beyond ASCII are no Latin ones, and stand in words of their own."""
    words = [word for word in _WORD.findall(text[:20_000]) if not word.isascii()]
    letters = [c for word in words for c in word if c > "\x7f"]
    mixed = sum(any(c.isascii() for c in word) for word in words)
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    return len(letters) >= _FEW_LETTERS and 2 * mixed < len(words) and 2 * latin < len(letters)


def _language(text: str, among: tuple[str, ...] = ()) -> str:
    """The most likely language, of all or of some."""
    import py3langid

    ranked: list[tuple[str, float]] = py3langid.rank(text[:20_000])
    return next(name for name, _ in ranked if not among or name in among)


# --- what is told


def _told(file: RawFile, found: Encoding, scan: _Scan) -> Encoding:
    """The encoding with its note; raises SourceError where the text in it is garbage."""
    with open_text(file, found) as stream:
        start = stream.read(_SAMPLE_BYTES)
    odd = len(_CONTROL.findall(start))
    if odd > 1 and odd > _GARBAGE_SHARE * len(start):
        where = start.count("\n", 0, match.start()) + 1 if (match := _CONTROL.search(start)) else 1
        raise SourceError(
            f"this is no text: {odd:,} of its first {len(start):,} characters are control characters"
            + ("" if found.name in (UTF8, "utf-8-sig") else f", read as {found.shown}"),
            "export the table as CSV, JSON Lines or .xlsx; if it is text, name its encoding: --encoding NAME",
            file=file.path,
            line=where,
        )
    if found.note or found.name in (UTF8, "utf-8-sig") or file.options.encoding:
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
