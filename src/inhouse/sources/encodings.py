"""Which encoding bytes are text in: a byte order mark's, UTF-8, UTF-16, or one from before them."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from dataclasses import dataclass
from typing import BinaryIO

from inhouse.sources.bounds import Unreadable

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

CHUNK = 2**20
SAMPLE_BYTES = 64 * 2**10
_FEW_NULS, _MANY_NULS = 0.05, 0.2
_GARBAGE_SHARE = 0.02
# No text has these; some tables are separated by one of the first and the last.
_CONTROL = re.compile("[\0\x03-\x08\x0e-\x1b\x7f-\x9f\ufffd\udc80-\udcff]")
NO_TEXT = re.compile("[\0\ud800-\udfff]")
_BEYOND_ASCII = bytes(range(0x80, 0x100))


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


def read_plain(data: bytes) -> str:
    """A document of plain text, its lines ended by line feeds; raises `Unreadable` for what is no text."""
    text = decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    if fault := garbage_in(text[:SAMPLE_BYTES]) or ("holds a NUL byte: it is no text" if "\0" in text else ""):
        raise Unreadable(fault)
    return text


def decoded(data: bytes, declared: str = "") -> str:
    """Bytes as text: by their byte order mark, as UTF-8, as what is declared, else as what the bytes look like."""
    scanned = scan(io.BytesIO(data))
    if declared and scanned.invalid and not data.startswith(tuple(mark for mark, _ in _BOMS)):
        try:
            return data.decode(declared)
        except (UnicodeDecodeError, LookupError):
            pass
    return data.decode(encoding_in(scanned).name, "replace")


def garbage_in(start: str, shown: str = "") -> str:
    """Why a text, by its first characters, is none ("is no text: ..."); empty where it is one.

    Args:
        shown: the encoding it was read in, where that is to be told.
    """
    odd = len(_CONTROL.findall(start))
    if odd <= 1 or odd <= _GARBAGE_SHARE * len(start):
        return ""
    told = f", read as {shown}" if shown else ""
    return f"is no text: {odd:,} of its first {len(start):,} characters are control characters{told}"


def first_control(text: str) -> int:
    """Where the first character stands that no text has; 0 where there is none."""
    return match.start() if (match := _CONTROL.search(text)) else 0


def encoding_in(scan: Scan) -> Encoding:
    """The encoding of the bytes that were scanned.

    An older encoding is guessed from what the text would be in it (charset-normalizer) and from the language it would
    be in (py3langid).
    """
    if bom := next((name for mark, name in _BOMS if scan.head.startswith(mark)), ""):
        return Encoding(bom, faulty=bool(scan.nuls or scan.invalid) or bom != "utf-8-sig")
    if wide := _without_mark(scan):
        return Encoding(wide, faulty=True)
    if not scan.invalid:
        return Encoding(UTF8, faulty=bool(scan.nuls))
    if scan.valid >= scan.invalid:  # in an older encoding, bytes hardly ever are UTF-8 by chance
        note = f"the file is UTF-8 and {scan.invalid:,} of its bytes are not: rows with them are rejected"
        return Encoding(UTF8, note, faulty=True)
    return Encoding(_older(scan.sample), faulty=True)


@dataclass
class Scan:
    """What was seen of the bytes: the first of them, how many are no ASCII, and lines with such."""

    head: bytes = b""
    size: int = 0
    nuls: int = 0
    valid: int = 0
    invalid: int = 0
    sample: bytes = b""


def scan(file: BinaryIO) -> Scan:
    """One pass over the bytes. Characters of several bytes that a piece's end cuts are counted with the next piece."""
    found, strict = Scan(), codecs.getincrementaldecoder(UTF8)()
    rest, clean = b"", True
    while piece := file.read(CHUNK):
        found.head = found.head or piece[:SAMPLE_BYTES]
        found.size += len(piece.strip()) and len(piece)
        found.nuls += piece.count(0)
        if clean:
            before = rest
            try:
                text = strict.decode(piece)
                rest = strict.getstate()[0]
                if not piece.isascii():
                    found.valid += len(text) - len(piece.translate(None, _BEYOND_ASCII))
                continue
            except UnicodeDecodeError:
                clean, rest = False, before
        rest = _count(found, rest + piece)
    if rest or not clean:
        _count(found, rest, last=True)
    return found


def _count(scan: Scan, piece: bytes, *, last: bool = False) -> bytes:
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
    if len(scan.sample) < SAMPLE_BYTES:
        lines = (line for line in re.split(rb"[\r\n]+", piece) if not line.isascii())
        scan.sample += b"\n".join(line[:SAMPLE_BYTES] for line in lines)[:SAMPLE_BYTES]
    return rest


def marked(name: str, head: bytes) -> str:
    """The named encoding as Python calls it with the byte order mark that is there, or that is missing."""
    mark = next((marked for mark, marked in _BOMS if head.startswith(mark)), "")
    if name in ("utf-16", "utf-32"):
        return name if mark == name else f"{name}-le"
    return mark if name == UTF8 and mark == "utf-8-sig" else name


def _without_mark(scan: Scan) -> str:
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
