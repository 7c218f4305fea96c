"""Characters that say nothing or say it wrongly, and the stretches of text that mend them where that is exact."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inhouse.core import Masked

# Control characters without tab, line feed, carriage return, and form feed, which parts the pages of a document: of C0,
# DEL, and C1 (ISO 6429).
CONTROLS = tuple(chr(i) for i in (*range(9), 11, *range(14, 32), *range(127, 160)))
# A vertical tab breaks lines; the four information separators keep apart what they stand between.
_AS_BREAK = {"\x0b": "\n", "\x1c": "\n", "\x1d": " ", "\x1e": "\n", "\x1f": " ", "\x85": "\n"}
_CONTROL_RUN = re.compile(f"[{re.escape(''.join(CONTROLS))}]+")
# Characters without a glyph: soft hyphen, zero-width space, word joiner, byte order mark, what turns the direction of
# writing, joiners and variation selectors in a row (one alone shapes emoji and letters of many scripts).
_INVISIBLE_RUN = re.compile(
    "[\u00ad\u200b\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069]+|[\u200c\u200d]{2,}|[\ufe00-\ufe0f]{3,}"
    "|[\U000e0100-\U000e01ef]{3,}"
)
# Tag characters write text that nobody sees; flags of regions alone have a use for them (Unicode UTS 51).
TAGS_RUN = re.compile("(?<!\U0001f3f4)(?<![\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+")
LOST = "\ufffd"
_TWO = re.compile("[^\x00-\x7f]{2}")
_FOREIGN_RUN = re.compile("[^\x00-\x7f]+")


def mend_controls(text: str, field: str) -> Iterator[Masked]:
    """Stretches without control characters; those that keep words apart become white space."""
    for run in _CONTROL_RUN.finditer(text):
        breaks = {_AS_BREAK[c] for c in run[0] if c in _AS_BREAK}
        yield Masked(field=field, start=run.start(), end=run.end(), text=max(breaks, key="\n".count, default=""))


def mend_invisible(text: str, field: str) -> Iterator[Masked]:
    """Stretches without characters that have no glyph."""
    for run in _INVISIBLE_RUN.finditer(text):
        yield Masked(field=field, start=run.start(), end=run.end(), text="")


def mend_tags(text: str, field: str) -> Iterator[Masked]:
    """Stretches without text in tag characters."""
    for run in TAGS_RUN.finditer(text):
        yield Masked(field=field, start=run.start(), end=run.end(), text="")


def read_tags(text: str) -> str:
    """What tag characters write."""
    return "".join(chr(ord(c) - 0xE0000) for run in TAGS_RUN.findall(text) for c in run if ord(c) > 0xE001F)


def mojibake(text: str) -> str | None:
    """The text as it was before its UTF-8 was read in another encoding (ftfy, Speer 2019); None where it is fine."""
    if _TWO.search(text) is None:  # two bytes of UTF-8 at least stand for what is not ASCII
        return None
    import ftfy

    fixed = ftfy.fix_encoding(text)
    return None if fixed == text else fixed


def mend_mojibake(text: str, fixed: str, field: str) -> Iterator[Masked]:
    """The stretches that differ, as far as each is exactly what its mended form gives in a wrong encoding.

    ASCII is the same in every such encoding, so the runs between stay where they are.
    """
    broken, mended = list(_FOREIGN_RUN.finditer(text)), _FOREIGN_RUN.findall(fixed)
    if _FOREIGN_RUN.split(text) != _FOREIGN_RUN.split(fixed):
        return
    for run, right in zip(broken, mended, strict=True):
        if run[0] != right and run[0] in _misread(right):
            yield Masked(field=field, start=run.start(), end=run.end(), text=right)


def _misread(text: str) -> Iterator[str]:
    """What a text's UTF-8 reads as in the encodings that files are taken for, once and twice."""
    from ftfy.chardata import CHARMAP_ENCODINGS

    once = [wrong for encoding in CHARMAP_ENCODINGS if (wrong := _read_as(text, encoding)) is not None]
    yield from once
    for wrong in once:
        yield from (twice for encoding in CHARMAP_ENCODINGS if (twice := _read_as(wrong, encoding)) is not None)


def _read_as(text: str, encoding: str) -> str | None:
    try:
        return text.encode("utf-8").decode(encoding)
    except UnicodeError:
        return None
