"""The head over labels: vectors and letters of a text in, a probability for each label out.

Two linear classifiers, each multinomial logistic regression, see a text: one the vector of the tuned encoder, the other
that of the original encoder with TF-IDF n-grams of words and letters beside it. Their log-probabilities are added up
with weights that were fitted on validation examples (a logarithmic opinion pool, Genest & Zidek 1986; the sum of the
weights is the calibration, as in temperature scaling, arXiv:1706.04599).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

Floats = NDArray[np.float64]
# N-grams of words, and of letters.
MOST_TERMS = 50_000
# Two digits of a number, with what may stand between them: 12, 1 2, 1,2 and 3/4.
_NUMBER = re.compile(r"\d[\W_]?\d")


@dataclass(frozen=True)
class Linear:
    """Logits of k labels: features [n, d] times weights [k, d] plus bias [k]."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def log_chances(self, features: NDArray[np.float32], terms: Any = None) -> Floats:  # noqa: ANN401 - sparse
        """Log-probabilities [n, k].

        Args:
            features: the first of the d columns, dense.
            terms: the others, sparse; None where there are none.
        """
        dense, others = self._parts(features.shape[1])
        logits = features @ dense + self.bias
        if terms is not None:
            logits = logits + terms @ others
        return np.asarray(log_softmax(logits, axis=1))

    @cached_property
    def _turned(self) -> Floats:
        return np.ascontiguousarray(self.weights.T, dtype=np.float64)

    def _parts(self, width: int) -> tuple[Floats, Floats]:
        """The weights [d, k] of dense features and of the others."""
        return self._turned[:width], self._turned[width:]


class NGrams:
    """TF-IDF of words (one and two) and of letters (two to four, within words), each part of unit length.

    Args:
        parts: of words, then of letters: vocabulary in order of its columns, and inverse document frequencies.
    """

    def __init__(self, parts: Sequence[tuple[Sequence[str], Sequence[float]]]) -> None:
        self.parts = [(list(terms), [float(v) for v in weights]) for terms, weights in parts]
        self._vectorizers = [
            _vectorizer(which, vocabulary={term: i for i, term in enumerate(terms)})
            for which, (terms, _) in enumerate(self.parts)
        ]
        for vectorizer, (_, weights) in zip(self._vectorizers, self.parts, strict=True):
            vectorizer.idf_ = np.array(weights)

    @classmethod
    def learn(cls, texts: Sequence[str]) -> NGrams:
        """Those of training texts, without what could tell of a single one.

        They stand in clear in the model's file. So each is in two texts at least, none holds two digits that follow
        each other with at most one sign or space between them (ids, dates, amounts), and of each part there are at most
        `MOST_TERMS`, the most frequent ones.
        """
        parts = []
        for which in (0, 1):
            terms: list[tuple[str, float]] = []
            with suppress(ValueError):  # no word of two letters is in two texts
                found = _vectorizer(which, min_df=2, max_features=MOST_TERMS).fit(texts)
                pairs = zip(found.get_feature_names_out().tolist(), found.idf_.tolist(), strict=True)
                terms = [(term, weight) for term, weight in pairs if not _NUMBER.search(term)]
            terms = terms or [("\0", 1.0)]
            parts.append(([term for term, _ in terms], [weight for _, weight in terms]))
        return cls(parts)

    def of(self, texts: Sequence[str]) -> Any:  # noqa: ANN401 - a sparse matrix
        """Features [n, terms], sparse."""
        from scipy.sparse import hstack

        return hstack([v.transform(texts) for v in self._vectorizers]).tocsr()


def told_only_by(which: int, gone: Iterable[str], kept: Iterable[str]) -> set[str]:
    """The terms (of words where `which` is 0, else of letters) that are in texts which go and in none that stays."""
    terms_of = _vectorizer(which).build_analyzer()
    found = {term for text in gone for term in terms_of(text)}
    for text in kept if found else ():
        found.difference_update(terms_of(text))
    return found


def _vectorizer(which: int, **of_terms: Any) -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.feature_extraction.text import TfidfVectorizer

    if which == 0:
        return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **of_terms)
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, **of_terms)


@dataclass(frozen=True)
class LabelHead:
    """What was learned of the labels.

    Attributes:
        labels: in the order of the classifiers' rows.
        tuned: sees the tuned encoder's vectors.
        plain: sees the original encoder's vectors, then n-grams times `ngram_weight`.
        pool: weights of the two's log-probabilities.
    """

    labels: tuple[str, ...]
    tuned: Linear
    plain: Linear
    ngrams: NGrams
    ngram_weight: float
    pool: tuple[float, float] = (0.5, 0.5)

    def experts(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Log-probabilities [n, labels] of either classifier.

        Args:
            vectors: [n, 2 width], the tuned encoder's first.
        """
        width = self.tuned.weights.shape[1]
        return (
            self.tuned.log_chances(vectors[:, :width]),
            self.plain.log_chances(vectors[:, width:], self.ngram_weight * self.ngrams.of(texts)),
        )

    def log_chances(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> Floats:
        """Log-probabilities [n, labels] of both together; `vectors` as in `experts`."""
        return pooled_chances(self.experts(vectors, texts), self.pool)

    def with_pool(self, pool: tuple[float, float]) -> LabelHead:
        """The same with other weights of the two classifiers."""
        return replace(self, pool=pool)

    def as_bytes(self) -> tuple[bytes, bytes]:
        """The numbers as safetensors, and the rest as JSON: the same bytes for the same head."""
        from safetensors.numpy import save

        tensors = {f"{name}.{part}": getattr(getattr(self, name), part) for name, part in _TENSORS}
        tensors |= {f"idf.{i}": np.array(weights) for i, (_, weights) in enumerate(self.ngrams.parts)}
        told = {
            "labels": self.labels,
            "pool": self.pool,
            "ngram_weight": self.ngram_weight,
            "ngrams": [terms for terms, _ in self.ngrams.parts],
        }
        numbers: bytes = save({name: np.ascontiguousarray(t) for name, t in tensors.items()})
        return numbers, json.dumps(told, ensure_ascii=False).encode("utf-8")

    @classmethod
    def of_bytes(cls, numbers: bytes, words: bytes) -> LabelHead:
        """What `as_bytes` gave."""
        from safetensors.numpy import load

        tensors, told = load(numbers), json.loads(words)
        linear = {name: Linear(tensors[f"{name}.weights"], tensors[f"{name}.bias"]) for name in ("tuned", "plain")}
        return cls(
            labels=tuple(told["labels"]),
            tuned=linear["tuned"],
            plain=linear["plain"],
            ngrams=NGrams([(terms, tensors[f"idf.{i}"].tolist()) for i, terms in enumerate(told["ngrams"])]),
            ngram_weight=float(told["ngram_weight"]),
            pool=(float(told["pool"][0]), float(told["pool"][1])),
        )


_TENSORS = [(name, part) for name in ("tuned", "plain") for part in ("weights", "bias")]


def pooled_chances(experts: tuple[Floats, Floats], pool: tuple[float, float]) -> Floats:
    """Log-probabilities [n, labels] of two classifiers together."""
    return np.asarray(log_softmax(pool[0] * experts[0] + pool[1] * experts[1], axis=1))
