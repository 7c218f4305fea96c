"""BM25 (Robertson & Zaragoza 2009): how much a word that stands in a text says of what is looked for."""

from __future__ import annotations

import math

# The usual constants: how soon a word that comes again says no more, and how far long texts are held back.
K1, B = 1.2, 0.75


def rarity(texts: int, having: int) -> float:
    """How rare a word is that so many of the texts have."""
    return math.log(1 + (texts - having + 0.5) / (having + 0.5))


def weight(rare: float, times: float, words: float, mean_words: float) -> float:
    """What a word counts in a text of so many words in which it stands so many times.

    Args:
        rare: the word's rarity.
        mean_words: of the texts.
    """
    return rare * times * (K1 + 1) / (times + K1 * (1 - B + B * words / mean_words))
