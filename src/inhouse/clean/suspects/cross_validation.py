"""What models say of each example that have not seen it: chances of all labels, by cross-validation.

Of a table of few rows each is left out of a model of all others, field by field (see `left_out`): what a column says
decides there. Texts, and many rows, are judged by linear models in folds. Examples of a group, and twins, are in one
fold, so that they do not vouch for each other. Test examples are judged by models of the train side alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.clean.registry import Subject
from inhouse.clean.suspects.left_out import best_penalty, chances_left_out, cosines, near_numbers, telling
from inhouse.core import Bar, Dataset, Example, canonical_hash, render_input
from inhouse.scoring.ngrams import main_directions, ngrams, unit
from inhouse.scoring.values import amount_of

Floats = NDArray[np.float64]

# Fewer examples of a label cannot be learned from when a part of them is held out; fewer in all say nothing.
LEAST_OF_A_LABEL = 4
LEAST = 60
# By the kind of model, see `CrossValidated.sure`. Set on rows of banking77's train.csv with labels flipped at random;
# see docs/log.md, 2026-11-27 and 2026-11-28.
_SURE_LEFT_OUT, _SURE_LINEAR = 0.005, 0.02
# Of a table so many examples are left out one by one, which takes the cube of their number. Texts are not: folds find
# 94 of 100 flipped labels of banking77 among as many, and this 86 (3,850 rows; docs/log.md, 2026-11-28).
FEW = 4000
_FOLDS = 5
_PARTS = 256
# Of the likeness of two examples: the weight of their longest field of text, and of each number; how near numbers are
# that are alike. Set on ledgers of other seeds than the example's; see docs/log.md, 2026-11-28.
_LONGEST, _NUMBER, _NEAR = 2.0, 0.5, 0.4
_STRENGTHS = (3.0, 10.0, 30.0)


@dataclass(frozen=True)
class CrossValidated:
    """Chances by models that have not seen the example.

    Attributes:
        labels: in order of the columns of `chances`.
        given: by example, the column of its label; -1 where the label is too rare to be learned.
        chances: [examples, labels].
        vectors: [examples, width], of unit length: what neighbours are found by.
        by: what the models read, for a person.
        sure: an example is taken for wrongly labelled without a look where its label has less than this share of the
            chance of the other one.
    """

    labels: tuple[str, ...]
    given: NDArray[np.int_]
    chances: Floats
    vectors: Floats
    by: str
    sure: float

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
    if len(targets) <= FEW and any(len(e.inputs) > 1 for e in dataset.examples):
        return _of_few_rows(subject, labels, given, learned)
    return _in_folds(subject, labels, given, learned)


def folds_of(examples: Sequence[Example], folds: int) -> NDArray[np.int_]:
    """The fold of each example: one for all that share a group or an input, drawn by content."""
    return np.array([int(canonical_hash(top), 16) % folds for top in _tops(examples)])


def groups_of(examples: Sequence[Example]) -> NDArray[np.int_]:
    """The number of each example's group: one for all that share a group or an input."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(top, len(number)) for top in _tops(examples)])


def _tops(examples: Sequence[Example]) -> list[str]:
    """By example, what is the same for all that share a group or an input (union-find)."""
    above: dict[str, str] = {}

    def top(key: str) -> str:
        while (higher := above.setdefault(key, key)) != key:
            above[key] = above.setdefault(higher, higher)
            key = higher
        return key

    for example in examples:
        one, other = sorted((top(f"group:{example.group}"), top(f"input:{example.input_key}")))
        above[other] = one
    return [top(f"group:{example.group}") for example in examples]


def _of_few_rows(
    subject: Subject, labels: tuple[str, ...], given: NDArray[np.int_], learned: NDArray[np.bool_]
) -> CrossValidated | None:
    """Each example, with its group, left out of a model of all others.

    Two examples are alike by the letters and words of each field of text, as they are and weighed by what they tell of
    the label; by their embeddings; and by their numbers. Where a number decides between two labels that the words leave
    open (an asset from 450 euros on), that shows in a second model, in which examples that the first one has answered
    alike are the more alike the nearer their numbers are; the chances are the mean of both.
    """
    dataset, count = subject.dataset, len(labels)
    texts = [render_input(e.inputs) for e in dataset.examples]
    known, groups = np.flatnonzero(learned & (given >= 0)), groups_of(dataset.examples)
    numbers, columns = _columns(dataset)
    if not columns:
        return None
    embedded = None if subject.embed is None else np.asarray(subject.embed(texts), np.float64)
    bar = subject.reporter.bar("labels, each judged without its example", len(columns) + 3)
    likeness = np.zeros((len(given), len(given)))
    for done, (column, weight) in enumerate(columns, start=1):
        letters = _grams(column)
        likeness += weight * (cosines(letters) + cosines(telling(letters, given, count, known)))
        bar.update(done)
    near = sum((near_numbers(number, _NEAR) for number in numbers), np.zeros_like(likeness))
    likeness += _NUMBER * near
    if embedded is not None:
        likeness += embedded @ embedded.T
    penalty = best_penalty(likeness, given, count, known, groups)
    bar.update(len(columns) + 1)
    chances = chances_left_out(likeness, given, count, known, groups, penalty)
    bar.update(len(columns) + 2)
    by = "letter n-grams and words" if embedded is None else "sentence embeddings, letter n-grams and words"
    if numbers:
        answered = np.sqrt(chances)
        likeness += float(np.diag(likeness).mean()) * (answered @ answered.T) * near / len(numbers)
        second = chances_left_out(likeness, given, count, known, groups, penalty)
        chances, by = (chances + second) / 2, f"{by} and numbers"
    bar.update(len(columns) + 3)
    return CrossValidated(
        labels, given, chances, _read(texts) if embedded is None else unit(embedded), by, _SURE_LEFT_OUT
    )


def _columns(dataset: Dataset) -> tuple[list[Floats], list[tuple[list[str], float]]]:
    """The input fields that are numbers in nearly all examples, as logarithms with their sign; and the others as text
    with their weights."""
    numbers, texts = [], []
    for name in dataset.examples[0].inputs:
        column = [example.inputs.get(name, "") for example in dataset.examples]
        amounts = [amount_of(value) for value in column]
        if sum(amount is not None for amount in amounts) >= 0.95 * len(amounts):
            values = np.array([float(amount.number) if amount else 0.0 for amount in amounts])
            numbers.append(np.sign(values) * np.log1p(np.abs(values)))
        elif _readable(column):
            texts.append(column)
    whole = [render_input(example.inputs) for example in dataset.examples]
    if not texts and _readable(whole):
        texts.append(whole)
    longest = max(texts, key=lambda column: sum(map(len, column)), default=None)
    return numbers, [(column, _LONGEST if column is longest else 1.0) for column in texts]


def _readable(column: Sequence[str]) -> bool:
    """Whether there are words, and two texts that share two letters: no n-grams can be counted otherwise."""
    seen: set[tuple[str, str]] = set()
    words = shared = False
    for text in column:
        pairs = {pair for word in text.lower().split() for pair in pairwise(f" {word} ")}
        words, shared = words or re.search(r"\w", text) is not None, shared or not seen.isdisjoint(pairs)
        if words and shared:
            return True
        seen |= pairs
    return False


def _in_folds(
    subject: Subject, labels: tuple[str, ...], given: NDArray[np.int_], learned: NDArray[np.bool_]
) -> CrossValidated:
    """Linear models in folds."""
    examples = subject.dataset.examples
    folds = folds_of(examples, _FOLDS)
    texts = [render_input(e.inputs) for e in examples]
    dense, by = _read(texts), "letter n-grams"
    if subject.embed is not None:
        dense = np.hstack([np.asarray(subject.embed(texts), np.float64), dense])
        by = "sentence embeddings and letter n-grams"
    bar = subject.reporter.bar("labels, judged by models of the others", len(_STRENGTHS) + _FOLDS)
    return CrossValidated(
        labels, given, _linear(dense, given, len(labels), learned, folds, bar), unit(dense), by, _SURE_LINEAR
    )


def _held_out(
    model: Any,  # noqa: ANN401 - scikit-learn has no types
    read: Floats,
    given: NDArray[np.int_],
    labels: int,
    learned: NDArray[np.bool_],
    folds: NDArray[np.int_],
    bar: Bar,
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
        bar.update(len(_STRENGTHS) + fold + 1)
        if len(tests):
            chances[np.ix_(tests, model.classes_)] += model.predict_proba(read[tests]) / count
    return chances


def _linear(
    read: Floats,
    given: NDArray[np.int_],
    labels: int,
    learned: NDArray[np.bool_],
    folds: NDArray[np.int_],
    bar: Bar,
) -> Floats:
    """What logistic regression says, at the strength that is best on one fold (log loss, which wrong labels raise for
    all alike)."""
    from sklearn.linear_model import LogisticRegression

    models = [LogisticRegression(C=strength, max_iter=100, tol=1e-3) for strength in _STRENGTHS]
    fold = int(np.bincount(folds[learned & (given >= 0)]).argmax())
    here, others = learned & (given >= 0) & (folds == fold), learned & (given >= 0) & (folds != fold)
    if len(set(given[others])) < 2:
        return _held_out(models[0], read, given, labels, learned, folds, bar)

    def loss(model: Any) -> float:  # noqa: ANN401 - scikit-learn has no types
        model.fit(read[np.flatnonzero(others)], given[others])
        chances = np.full((int(here.sum()), labels), 1e-9)
        chances[:, model.classes_] += model.predict_proba(read[np.flatnonzero(here)])
        return -float(np.log(chances[np.arange(len(chances)), given[here]]).mean())

    losses = []
    for model in models:
        losses.append(loss(model))
        bar.update(len(losses))
    return _held_out(models[int(np.argmin(losses))], read, given, labels, learned, folds, bar)


def _grams(texts: Sequence[str]) -> Any:  # noqa: ANN401 - a sparse matrix
    return ngrams(texts, words=True, least=2)


def _read(texts: Sequence[str]) -> Floats:
    return main_directions(_grams(texts), _PARTS)
