"""The passages of a text: what can be copied out of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Words, signs, and white space. Scripts that are written without spaces have a piece for each letter.
_UNSPACED = r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]"
_PIECE = re.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})\w)+|[^\w\s]|\s+")


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
        return cls(tuple(" " if piece[0].isspace() else piece for piece in _PIECE.findall(text.strip())))

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def __contains__(self, value: object) -> bool:
        """Whether a text is one of them, white space beside signs aside."""
        return isinstance(value, str) and _joined(Passages.of(value)) in _joined(self)


def _joined(passages: Passages) -> str:
    """Words and signs with their borders, as one text to search in; between two words there was white space."""
    return "\0".join(("", *(piece for piece in passages.pieces if piece != " "), ""))
