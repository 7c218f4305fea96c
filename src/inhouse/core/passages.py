"""The passages of a text: what can be copied out of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise

# Thai and Lao, Burmese, Khmer and Tai scripts, kana, Han. Tibetan has a sign after each syllable, and needs no more.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u3040-\u30ff\u3400-\u9fff"
    r"\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff\U00020000-\U0003ffff"
)
# Combining marks stand in these two, of which the second is all variation selectors.
_MARKED = (range(0x300, 0x1F000), range(0xE0100, 0xE01F0))
# Of scripts without spaces, what puts the next letter below the one before, as Burmese, Khmer and Tai Tham do.
_STACKING = "\u1039\u17d2\u1a60"
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class Passages:
    """Every run of a text's words and signs, with one space for white space of any kind between them.

    Attributes:
        pieces: words, signs and spaces, in the text's order; none begins or ends with white space.
    """

    pieces: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Passages:
        """The passages of `text`."""
        return cls(tuple(" " if piece[0].isspace() else piece for piece in _piece().findall(text.strip())))

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def __contains__(self, value: object) -> bool:
        """Whether a text is one of them, white space beside signs aside."""
        return isinstance(value, str) and Passages.of(value)._joined in self._joined

    @cached_property
    def _joined(self) -> str:
        """Words and signs with their borders, as one text to search in; between two words there was white space."""
        return "\0".join(("", *(piece for piece in self.pieces if piece != " "), ""))


@cache
def _piece() -> re.Pattern[str]:
    """A word, a sign, or white space; of scripts without spaces, a letter. Each with the marks that combine with it."""
    mark, letter = f"[{_JOINERS}{''.join(_ranges_of_marks())}]", rf"[^\W{_UNSPACED}]"
    unspaced = f"[{_UNSPACED}]{mark}*"
    stacked = f"{unspaced}(?:(?<=[{_STACKING}]){unspaced})*"
    return re.compile(rf"{letter}+(?:{mark}+{letter}*)*|\s+|[^\w\s]{mark}*|{stacked}")


def _ranges_of_marks() -> Iterator[str]:
    """The combining marks (Unicode's category M) as ranges of a character class: `re` has no name for them."""
    marks = [code for codes in _MARKED for code in codes if unicodedata.category(chr(code))[0] == "M"]
    ends = [i for i, (one, following) in enumerate(pairwise(marks)) if following != one + 1]
    for first, last in zip([0, *(i + 1 for i in ends)], [*ends, len(marks) - 1], strict=True):
        yield f"{chr(marks[first])}-{chr(marks[last])}"
