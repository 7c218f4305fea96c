"""Plain text in whatever encoding it was saved."""

from __future__ import annotations

import codecs

from inhouse.sources.documents.bounds import Unreadable
from inhouse.sources.text import NO_TEXT

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Enough of a text to tell its encoding.
_SAMPLE = 200_000


def read_plain(data: bytes) -> str:
    """The text; raises `Unreadable` for what is none."""
    text = decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    if NO_TEXT.search(text):
        raise Unreadable("is not a text file")
    return text


def decoded(data: bytes, declared: str = "") -> str:
    """Bytes as text: by their byte order mark, as UTF-8, as what is declared, else as what the bytes look like.

    Raises:
        Unreadable: they look like no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    for encoding in ("utf-8", declared):
        try:
            return data.decode(encoding) if encoding else _guessed(data)
        except (UnicodeDecodeError, LookupError):
            continue
    return _guessed(data)


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    sample = data[:_SAMPLE]
    if sample.count(0) * 5 > len(sample):  # UTF-16 without a mark: every second byte of Latin text is zero
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        return data.decode("utf-16-le" if odd > even else "utf-16-be", "replace")
    if 0 in sample:
        raise Unreadable("is not a text file")
    best = from_bytes(sample, cp_isolation=["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "iso8859_15"])
    # cp1252 is what Windows writes in most of Europe, and a short text gives a guess nothing to go by.
    found = best.best() if len(sample) > 200 else None
    return data.decode(found.encoding if found else "cp1252", "replace")
