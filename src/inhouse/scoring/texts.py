"""How near a text is to the expected one: chrF and ROUGE-L."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"\w+")


def chrf(expected: str, answered: str) -> float:
    """chrF2 of one text (Popović 2015), 0 to 1: F-score of character n-grams up to 6, recall counting twice.

    Computed by sacrebleu; two empty texts are equal.
    """
    if not expected.strip() or not answered.strip():
        return float(expected.strip() == answered.strip())
    return float(_chrf().sentence_score(answered, [expected]).score) / 100


def rouge_l(expected: str, answered: str) -> float:
    """ROUGE-L of one text (Lin 2004), 0 to 1: F1 of the longest common subsequence of words, case folded.

    Punctuation is left out; two texts without words are equal.
    """
    from rapidfuzz.distance import LCSseq

    theirs, ours = _WORD.findall(expected.casefold()), _WORD.findall(answered.casefold())
    if not theirs or not ours:
        return float(theirs == ours)
    return 2 * LCSseq.similarity(theirs, ours) / (len(theirs) + len(ours))


@lru_cache(maxsize=1)
def _chrf() -> Any:  # noqa: ANN401 - an untyped library's metric
    from sacrebleu.metrics import CHRF

    return CHRF()
