"""Whether a text holds a value when slips of text recognition are set aside: `l0tal` for `Total`, `SDN BND` for BHD."""

from __future__ import annotations

import re
from functools import lru_cache

from inhouse.scoring.values import normal_text

# Letters and digits that text recognition takes for each other, each group as its first.
_ALIKE = ("o0qdø", "l1i|!j", "s5$", "b8ß", "z2", "g69", "uv", "ce(")
_FOLD = str.maketrans({sign: group[0] for group in _ALIKE for sign in group})
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_NO_LETTER = re.compile(r"[\W_]+")
# A shorter value is found in nearly every text, some letter or other apart.
_SHORTEST_FUZZY = 6
_WORDS_IN_ANY_ORDER = 4


@lru_cache(maxsize=20_000)
def ocr_folded(text: str) -> str:
    """Letters and digits alone, those that text recognition confuses made one."""
    plain = normal_text(text)
    for pair, one in _PAIRS:
        plain = plain.replace(pair, one)
    return _NO_LETTER.sub("", plain.translate(_FOLD))


def likeness(value: str, text: str) -> float:
    """How much of `value` stands in `text`, from 0 to 1: 1 where it does but for slips of text recognition.

    Of a long value (an address), whose lines may stand apart, it is the share of letters in the words that do.
    """
    from rapidfuzz import fuzz

    wanted, there = ocr_folded(value), ocr_folded(text)
    if not wanted or not there:
        return float(not wanted)
    if len(wanted) < _SHORTEST_FUZZY:
        words, size = text.split(), len(value.split())
        runs = {ocr_folded(" ".join(words[i : i + size])) for i in range(len(words))}
        plain = re.escape(normal_text(value))
        return float(wanted in runs or re.search(rf"(?<!\w){plain}(?!\w)", normal_text(text)) is not None)
    if wanted in there:
        return 1.0
    alike = fuzz.partial_ratio(wanted, there) / 100 if len(wanted) <= len(there) else fuzz.ratio(wanted, there) / 100
    parts = [ocr_folded(word) for word in re.split(r"[\s,;/]+", value)]
    if len(parts) < _WORDS_IN_ANY_ORDER:
        return alike
    return max(alike, sum(len(part) for part in parts if part in there) / max(1, sum(map(len, parts))))
