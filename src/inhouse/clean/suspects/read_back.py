"""Whether a text says what its attributes say: each attribute is read back from the text by a model of the others.

For every attribute a linear model learns, from the words of the texts, which value it has or that it is absent; an
example is judged by a model that has not seen it, nor its twins. Where the model reads another value than is given,
text and attributes do not match. It is confident learning (Northcutt et al. 2021) with each attribute as a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import canonical_hash
from inhouse.scoring.values import normal_text

# A value that fewer examples have, and an attribute of more values, cannot be learned from words.
LEAST = 10
MOST_VALUES = 60
FOLDS = 4
_STRENGTH = 0.3
_WORDS = r"\w+|[£$€%]"


@dataclass(frozen=True)
class ReadBack:
    """One attribute, as the models read it.

    Attributes:
        unlikely: by example, the chance that its text has another value than is given; 0 where nothing can be said.
        read: by example, the value that the text seems to have; empty where the attribute seems to be absent.
    """

    name: str
    unlikely: NDArray[np.float64]
    read: tuple[str, ...]


def read_back(texts: Sequence[str], attributes: Sequence[Mapping[str, str]], groups: Sequence[str]) -> list[ReadBack]:
    """Each attribute that can be learned, read from all texts; texts of a group are never judged by each other."""
    from sklearn.feature_extraction.text import CountVectorizer

    if len(texts) < FOLDS * LEAST or not any(attributes):
        return []
    try:
        words = CountVectorizer(ngram_range=(1, 2), min_df=2, binary=True, token_pattern=_WORDS).fit_transform(texts)
    except ValueError:  # no word stands in two of the texts
        return []
    folds = np.array([int(canonical_hash(group), 16) % FOLDS for group in groups])
    plain = [f" {_spaced(normal_text(text))} " for text in texts]
    found = []
    for name in sorted({name for given in attributes for name in given}):
        values = np.array([given.get(name, "") for given in attributes])
        frequent = sorted(value for value, times in Counter(values.tolist()).items() if times >= LEAST)
        if 2 <= len(frequent) <= MOST_VALUES:
            found.append(_read(name, words.tocsr(), values, frequent, folds, plain))
    return found


def _read(
    name: str,
    words: Any,  # noqa: ANN401 - a sparse matrix
    values: NDArray[np.str_],
    frequent: Sequence[str],
    folds: NDArray[np.int_],
    plain: Sequence[str],
) -> ReadBack:
    known = np.isin(values, frequent)
    chances = _chances(words, values, frequent, folds, known)
    given = np.searchsorted(frequent, np.where(known, values, frequent[0]))
    unlikely = (chances * _distances(chances, given, known, frequent)[given]).sum(1)
    # What stands there word for word is there, whatever else the words look like.
    written = [f" {_spaced(normal_text(value))} " for value in values]
    literal = np.array([bool(w.strip()) and w in text for w, text in zip(written, plain, strict=True)])
    judged = known & ~literal & (chances.sum(1) > 0)
    return ReadBack(name, np.where(judged, unlikely, 0.0), tuple(frequent[i] for i in chances.argmax(1)))


def _spaced(text: str) -> str:
    """Words and signs of money, with one space between."""
    return " ".join("".join(sign if sign.isalnum() or sign in "£$€%-" else " " for sign in text).split())


def _chances(
    words: Any,  # noqa: ANN401 - a sparse matrix
    values: NDArray[np.str_],
    frequent: Sequence[str],
    folds: NDArray[np.int_],
    known: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The chances [n, values] by models that have seen other folds alone."""
    from sklearn.linear_model import LogisticRegression

    chances = np.zeros((len(values), len(frequent)))
    for fold in range(FOLDS):
        here, others = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & known)
        if not len(here) or len(set(values[others])) < 2:
            continue
        # Balanced: that most have an attribute says nothing about whether this text mentions it.
        model = LogisticRegression(C=_STRENGTH, max_iter=200, tol=1e-3, class_weight="balanced")
        model.fit(words[others], values[others])
        chances[np.ix_(here, np.searchsorted(frequent, model.classes_))] = model.predict_proba(words[here])
    return chances


def _distances(
    chances: NDArray[np.float64], given: NDArray[np.int_], known: NDArray[np.bool_], frequent: Sequence[str]
) -> NDArray[np.float64]:
    """How much it says that b is read where a is given [a, b]: little where that is usual (low, and 1 out of 5), 1
    where one of them is that there is none."""
    size = len(frequent)
    mean = np.zeros((size, size))
    for value in range(size):
        rows = chances[known & (given == value)]
        mean[value] = rows.mean(0) if len(rows) else 0.0
    own = np.maximum(np.diag(mean), 1e-9)
    apart = np.clip(1 - mean / own[:, None], 0.0, 1.0)
    absent = np.flatnonzero(np.array(frequent) == "")
    apart[:, absent] = 1.0
    apart[absent, :] = 1.0
    np.fill_diagonal(apart, 0.0)
    return apart
