"""Which of many texts belong to a question: by shared words (BM25), by meaning (sentence embeddings), or by both."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import bm25, folded

# Questions that are scored at a time, and how deep a ranking is looked at when two are joined.
_AT_ONCE, DEPTH = 256, 50
# Of reciprocal rank fusion, as its authors have it (Cormack et al. 2009): how little the first ranks stand out.
_SMOOTH = 60

_WORD = re.compile(r"[^\W_]+")

Floats = NDArray[np.float32]


class Texts:
    """Texts to look things up in.

    Args:
        texts: in their order, which is what they are named by.
        vectors: their sentence embeddings (unit length), one row each; None: by words alone.
    """

    def __init__(self, texts: Sequence[str], vectors: Floats | None = None) -> None:
        from scipy.sparse import csr_matrix

        self._vectors = vectors
        counts = [Counter(_words(text)) for text in texts]
        having = Counter(word for one in counts for word in one)
        self._places = {word: place for place, word in enumerate(having)}
        mean = max(1.0, sum(one.total() for one in counts) / max(1, len(texts)))
        rare = {word: bm25.rarity(len(texts), many) for word, many in having.items()}
        cells = [
            (place, self._places[word], bm25.weight(rare[word], times, one.total(), mean))
            for place, one in enumerate(counts)
            for word, times in one.items()
        ]
        rows, columns, weights = zip(*cells, strict=True) if cells else ((), (), ())
        self._weights: Any = csr_matrix((weights, (rows, columns)), (len(texts), max(1, len(having))), dtype=np.float32)

    def nearest(self, questions: Sequence[str], vectors: Floats | None, count: int) -> list[list[int]]:
        """The places of the texts that belong most to each question, the nearest first; at most `count`.

        Ranked by words and by meaning, and both joined by reciprocal rank, as their scores do not compare.

        Args:
            vectors: of the questions, where the texts have theirs.
        """
        by_words = self.by_words(questions)
        if self._vectors is None or vectors is None:
            return [one[:count] for one in by_words]
        by_meaning = most_alike(vectors, self._vectors, DEPTH)
        return [fused(both, count) for both in zip(by_words, by_meaning, strict=True)]

    def by_words(self, questions: Sequence[str]) -> list[list[int]]:
        """The places of the `DEPTH` texts of the highest BM25; of those that share a word."""
        from scipy.sparse import csr_matrix

        found: list[list[int]] = []
        for start in range(0, len(questions), _AT_ONCE):
            asked = [self._known(text) for text in questions[start : start + _AT_ONCE]]
            rows = [row for row, words in enumerate(asked) for _ in words]
            columns = [word for words in asked for word in words]
            shape = (len(asked), self._weights.shape[1])
            query = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)
            found += _best((query @ self._weights.T).toarray(), DEPTH, above=0.0)
        return found

    def _known(self, text: str) -> list[int]:
        return [self._places[word] for word in dict.fromkeys(_words(text)) if word in self._places]


def most_alike(asked: Floats, vectors: Floats, count: int) -> list[list[int]]:
    """For each of the vectors asked, the places of the `count` others that are most alike, the nearest first."""
    found: list[list[int]] = []
    for start in range(0, len(asked), _AT_ONCE):
        found += _best(asked[start : start + _AT_ONCE] @ vectors.T, count)
    return found


def fused(rankings: Sequence[Sequence[int]], count: int) -> list[int]:
    """Rankings joined: what stands high in several comes first."""
    worth: Counter[int] = Counter()
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            worth[place] += 1 / (_SMOOTH + rank)  # type: ignore[assignment]
    return sorted(worth, key=lambda place: (-worth[place], place))[:count]


def room_for_shots(room: int, prompt: int, most: int) -> int:
    """Tokens left for what is looked up, `most` at most: of `room` for a prompt that has `prompt` without it."""
    return min(most, room - prompt - 10)


def fitting(places: Sequence[int], costs: Sequence[int], count: int, budget: int) -> list[int]:
    """The first of the places, in their order, that have room together; what is too long is passed over.

    Args:
        costs: tokens of each place's text, in the order of `places`.
    """
    kept: list[int] = []
    for place, cost in zip(places, costs, strict=True):
        if cost <= budget and len(kept) < count:
            kept.append(place)
            budget -= cost
    return kept


def _best(scores: NDArray[Any], count: int, above: float = -np.inf) -> list[list[int]]:
    """The places of the highest scores of each row, the highest first; equal ones in their order."""
    count = min(count, scores.shape[1])
    if not count:
        return [[] for _ in scores]
    # Parted first, as sorting ten thousand scores for each question would take minutes.
    kept = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    values = np.take_along_axis(scores, kept, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    places, values = np.take_along_axis(kept, order, axis=1), np.take_along_axis(values, order, axis=1)
    return [[int(p) for p, v in zip(*row, strict=True) if v > above] for row in zip(places, values, strict=True)]


def _words(text: str) -> list[str]:
    return _WORD.findall(folded(text))
