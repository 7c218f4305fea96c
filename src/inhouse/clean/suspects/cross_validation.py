"""What linear models say of each example that have not seen it: chances of all labels, by cross-validation.

Examples of a group, and twins, are in one fold, so that they do not vouch for each other. Test examples are judged by
models of the train side alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.clean.registry import Subject
from inhouse.core import Dataset, Example, canonical_hash, render_input
from inhouse.scoring.row_space import row_space
from inhouse.scoring.values import amount_of

Floats = NDArray[np.float64]

# Fewer examples of a label cannot be learned from when a part of them is held out; fewer in all say nothing.
LEAST_OF_A_LABEL = 4
LEAST = 60
# With few examples more folds, as each model then learns from nearly all of them; and models that cost more.
FEW = 4000
_FOLDS_OF_FEW, _FOLDS = 10, 5
_PARTS = 256
_MOST_GRAMS = 50_000
# Rows up to which a model has as many weights as there are rows.
_OWN_SPACE = 1500
_STRENGTHS = (3.0, 10.0, 30.0)
_TREES = 300


@dataclass(frozen=True)
class CrossValidated:
    """Chances by models that have not seen the example.

    Attributes:
        labels: in order of the columns of `chances`.
        given: by example, the column of its label; -1 where the label is too rare to be learned.
        chances: [examples, labels].
        vectors: [examples, width], of unit length: what neighbours are found by.
        by: what the models read, for a person.
    """

    labels: tuple[str, ...]
    given: NDArray[np.int_]
    chances: Floats
    vectors: Floats
    by: str

    @property
    def own(self) -> Floats:
        """The chance of the label that is given; 1 where it is too rare to say."""
        rows = np.arange(len(self.given))
        return np.where(self.given >= 0, self.chances[rows, np.maximum(self.given, 0)], 1.0)


def cross_validated(subject: Subject, renamed: Mapping[str, str]) -> CrossValidated | None:
    """The chances of a classify task's examples; None where there are too few to learn from.

    Args:
        renamed: labels that are to be taken for another one (the same name in two writings).
    """
    if "cross_validated" not in subject.memo:
        subject.memo["cross_validated"] = _cross_validated(subject, renamed)
    found: CrossValidated | None = subject.memo["cross_validated"]
    return found


def _cross_validated(subject: Subject, renamed: Mapping[str, str]) -> CrossValidated | None:
    dataset = subject.dataset
    targets = [renamed.get(e.target, e.target) for e in dataset.examples]
    learned = np.array([split != "test" for split in dataset.splits])
    times = Counter(target for target, learns in zip(targets, learned, strict=True) if learns)
    labels = tuple(sorted(label for label, n in times.items() if n >= LEAST_OF_A_LABEL))
    column = {label: i for i, label in enumerate(labels)}
    given = np.array([column.get(target, -1) for target in targets])
    if len(labels) < 2 or sum(times.values()) < LEAST:
        return None
    folds = folds_of(dataset.examples, _FOLDS_OF_FEW if len(targets) <= FEW else _FOLDS)
    return _by_models(subject, labels, given, learned, folds)


def folds_of(examples: Sequence[Example], folds: int) -> NDArray[np.int_]:
    """The fold of each example: one for all that share a group or an input, drawn by content."""
    above: dict[str, str] = {}

    def top(key: str) -> str:
        while (higher := above.setdefault(key, key)) != key:
            above[key] = above.setdefault(higher, higher)
            key = higher
        return key

    for example in examples:
        one, other = sorted((top(f"group:{example.group}"), top(f"input:{example.input_key}")))
        above[other] = one
    return np.array([int(canonical_hash(top(f"group:{e.group}")), 16) % folds for e in examples])


def _by_models(
    subject: Subject,
    labels: tuple[str, ...],
    given: NDArray[np.int_],
    learned: NDArray[np.bool_],
    folds: NDArray[np.int_],
) -> CrossValidated:
    examples = subject.dataset.examples
    texts = [render_input(e.inputs) for e in examples]
    letters = _letters(texts)
    dense, by = _unit(_parts(letters)), "letter n-grams"
    if subject.embed is not None:
        embedded = np.asarray(subject.embed(texts), np.float64)
        dense, by = np.hstack([embedded, dense]), "sentence embeddings and letter n-grams"
    chances = _linear(dense, given, len(labels), learned, folds)
    if len(texts) <= FEW:
        others = _linear(_in_own_space(letters, learned), given, len(labels), learned, folds)
        numbers = _numbers(subject.dataset)
        chances = (chances + others) / 2
        if numbers.shape[1]:
            # Where a number decides (an asset from 450 euros on), a straight line through the words cannot say so.
            beside = np.hstack([np.log(np.clip(np.hstack([chances, others]), 1e-4, 1.0)), numbers])
            trees = _held_out(_forest(), beside, given, len(labels), learned, folds)
            chances, by = (chances + trees) / 2, f"{by} and numbers"
    return CrossValidated(labels, given, chances, _unit(dense), by)


def _held_out(
    model: Any,  # noqa: ANN401 - scikit-learn has no types
    read: Any,  # noqa: ANN401 - dense or sparse
    given: NDArray[np.int_],
    labels: int,
    learned: NDArray[np.bool_],
    folds: NDArray[np.int_],
) -> Floats:
    """Chances of each example of the train side by a model of the other folds; of the test by the mean of all."""
    chances = np.zeros((len(given), labels))
    tests, count = np.flatnonzero(~learned), int(folds.max()) + 1
    for fold in range(count):
        others = np.flatnonzero((folds != fold) & learned & (given >= 0))
        here = np.flatnonzero((folds == fold) & learned)
        if len(set(given[others])) < 2:
            continue
        model.fit(read[others], given[others])
        if len(here):
            chances[np.ix_(here, model.classes_)] = model.predict_proba(read[here])
        if len(tests):
            chances[np.ix_(tests, model.classes_)] += model.predict_proba(read[tests]) / count
    return chances


def _linear(
    read: Any,  # noqa: ANN401 - dense or sparse
    given: NDArray[np.int_],
    labels: int,
    learned: NDArray[np.bool_],
    folds: NDArray[np.int_],
) -> Floats:
    """What logistic regression says, at the strength that is best on one fold (log loss, which wrong labels raise for
    all alike)."""
    from sklearn.linear_model import LogisticRegression

    models = [LogisticRegression(C=strength, max_iter=100, tol=1e-3) for strength in _STRENGTHS]
    fold = int(np.bincount(folds[learned & (given >= 0)]).argmax())
    here, others = learned & (given >= 0) & (folds == fold), learned & (given >= 0) & (folds != fold)
    if len(set(given[others])) < 2:
        return _held_out(models[0], read, given, labels, learned, folds)

    def loss(model: Any) -> float:  # noqa: ANN401 - scikit-learn has no types
        model.fit(read[np.flatnonzero(others)], given[others])
        chances = np.full((int(here.sum()), labels), 1e-9)
        chances[:, model.classes_] += model.predict_proba(read[np.flatnonzero(here)])
        return -float(np.log(chances[np.arange(len(chances)), given[here]]).mean())

    return _held_out(min(models, key=loss), read, given, labels, learned, folds)


def _in_own_space(read: Any, learned: NDArray[np.bool_]) -> Any:  # noqa: ANN401 - a sparse matrix, or a dense one
    """Rows in the space that the learned ones span (see `row_space`), where these are few; as they are otherwise.

    There are as many weights a label as learned rows, instead of tens of thousands, and the chances are the same.
    """
    from scipy.linalg import solve_triangular

    rows, rest = np.flatnonzero(learned), np.flatnonzero(~learned)
    if len(rows) > _OWN_SPACE:
        return read
    root = row_space(read[rows])
    found = np.empty((len(learned), len(rows)))
    found[rows] = root
    found[rest] = solve_triangular(root, (read[rows] @ read[rest].T).toarray(), lower=True).T
    return found


def _forest() -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(_TREES, min_samples_leaf=2, random_state=0)


def _letters(texts: Sequence[str]) -> Any:  # noqa: ANN401 - a sparse matrix
    """Runs of two to four letters and whole words: they read every language, where the encoder reads English."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    given = {"sublinear_tf": True, "max_features": _MOST_GRAMS}
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=2, **given)
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **given)
    return make_union(letters, words).fit_transform(texts).tocsr()


def _parts(letters: Any) -> Floats:  # noqa: ANN401 - a sparse matrix
    """The main directions of the n-grams (latent semantic analysis), as many as help."""
    from sklearn.decomposition import TruncatedSVD

    size = max(2, min(_PARTS, letters.shape[0] - 1, letters.shape[1] - 1))
    return np.asarray(TruncatedSVD(size, n_iter=2, random_state=0).fit_transform(letters), np.float64)


def _unit(vectors: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def _numbers(dataset: Dataset) -> Floats:
    """The input fields that are numbers in nearly all examples, as logarithms with their sign."""
    columns = []
    for name in dataset.examples[0].inputs:
        amounts = [amount_of(example.inputs.get(name, "")) for example in dataset.examples]
        if sum(amount is not None for amount in amounts) >= 0.95 * len(amounts):
            values = np.array([float(amount.number) if amount else 0.0 for amount in amounts])
            columns.append(np.sign(values) * np.log1p(np.abs(values)))
    return np.array(columns).T if columns else np.zeros((len(dataset.examples), 0))
