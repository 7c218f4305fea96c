"""Do the labels follow from the inputs? A cheap classical model is asked, on the training examples alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Metric, canonical_hash, render_input
from inhouse.evaluate.contenders import Field
from inhouse.scoring import compare_scores

# Examples that are looked at, drawn by hash: enough to know a share within three points.
SAMPLE = 2_000
_FOLDS = 5
_STRENGTH = 10.0


def lift_of(given: Field) -> Metric | None:
    """How far the inputs tell the labels of the training examples: see `lift`. Of n-grams and of sentence embeddings,
    the one that tells more; None where answers are no labels, as those may be copied from the input.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if given.task.kind != "classify":
        return None
    order = sorted(range(len(given.train)), key=lambda i: canonical_hash(given.train[i].id))[:SAMPLE]
    sample = [given.train[i] for i in order]
    targets, groups = [e.target for e in sample], [e.group for e in sample]
    texts = [render_input(e.inputs) for e in sample]
    ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True).fit_transform(texts)
    found = [lift(vectors, targets, groups) for vectors in (ngrams, given.embeddings[0][order])]
    return max((one for one in found if one is not None), key=lambda one: one.high, default=None)


def lift(vectors: Any, targets: Sequence[str], groups: Sequence[str]) -> Metric | None:  # noqa: ANN401 - dense or sparse
    """Accuracy of logistic regression less that of the most frequent label, by cross-validation over groups.

    Args:
        vectors: one row per example; targets and groups in the same order.

    Returns:
        the difference with its 95 % interval, or None where the groups are too few to be parted.
    """
    from sklearn.linear_model import LogisticRegression

    fold = np.array([int(canonical_hash(group), 16) % _FOLDS for group in groups])
    labels = np.array(targets)
    right, usual = np.zeros(len(labels)), np.zeros(len(labels))
    for number in range(_FOLDS):
        asked, known = fold == number, fold != number
        if not asked.any():
            continue
        if len(set(labels[known])) < 2:
            return None
        model = LogisticRegression(C=_STRENGTH, max_iter=300).fit(vectors[known], labels[known])
        right[asked] = model.predict(vectors[asked]) == labels[asked]
        usual[asked] = labels[asked] == _most_frequent(labels[known])
    if not len(labels):
        return None
    gain, low, high, _ = compare_scores(right, usual, groups=groups)
    return Metric(value=gain, low=low, high=high, n=len(labels))


def _most_frequent(labels: NDArray[np.str_]) -> str:
    return min(Counter(map(str, labels)).items(), key=lambda pair: (-pair[1], pair[0]))[0]
