"""Chances of labels by kernel ridge regression, each example judged as if its group had not been learned from.

One solve gives what leaving out each group and learning again would: with A = (K + wI)^-1 for the likenesses K of the
examples, and Y what they should say, the answers to the rows G by a model of all others are Y_G - (A_GG)^-1 (A Y)_G.
For one row this is eq. 5.12 of Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006); see also
Rifkin and Lippert, "Notes on Regularized Least Squares" (MIT-CSAIL-TR-2007-025).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]

# Weights of the penalty, in shares of an example's likeness to itself; the one with the least log loss is taken.
PENALTIES = (0.03, 0.1, 0.3)
# Examples that tell which penalty is best: a solve takes the cube of their number.
_ENOUGH = 1500
# By how much answers are multiplied before they become chances (softmax).
_SHARPNESS = (3.0, 4.0, 6.0, 8.0, 10.0, 13.0, 17.0)
# So many examples of no label in particular are added to those that a feature is seen in, before it is weighed.
_UNSURE = 3.0


def best_penalty(likeness: Floats, given: Ints, labels: int, known: Ints, groups: Ints) -> float:
    """The penalty with the least log loss on examples left out, `_ENOUGH` of them at most, evenly spread.

    Args:
        likeness: [examples, examples], positive semi-definite.
        given: by example, the column of its label.
        known: positions of the examples to learn from.
        groups: by example, its group.
    """
    some = known[:: max(1, len(known) // _ENOUGH)]
    wanted = np.eye(labels)[given[some]]
    usual, inner = wanted.mean(0), likeness[np.ix_(some, some)]

    def loss(penalty: float) -> float:
        answers, _ = _left_out(inner, wanted - usual, groups[some], penalty)
        return min(_loss(answers + usual, given[some], sharpness) for sharpness in _SHARPNESS)[0]

    return min(PENALTIES, key=loss)


def chances_left_out(likeness: Floats, given: Ints, labels: int, known: Ints, groups: Ints, penalty: float) -> Floats:
    """The chances [examples, labels] of all examples; those not `known` are judged by a model of all that are.

    Args: see `best_penalty`.
    """
    rest = np.setdiff1d(np.arange(len(given)), known)
    wanted = np.eye(labels)[given[known]]
    usual = wanted.mean(0)
    answers, weights = _left_out(likeness[np.ix_(known, known)], wanted - usual, groups[known], penalty)
    _, sharpness = min(_loss(answers + usual, given[known], sharpness) for sharpness in _SHARPNESS)
    found = np.empty((len(given), labels))
    found[known] = answers + usual
    found[rest] = likeness[np.ix_(rest, known)] @ weights + usual
    return softmax(sharpness * found)


def _left_out(inner: Floats, wanted: Floats, groups: Ints, penalty: float) -> tuple[Floats, Floats]:
    """Answers to each row by a model that has not seen its group, and the weights of a model that has seen all."""
    weight = penalty * float(np.diag(inner).mean())
    inverse = np.linalg.inv(inner + weight * np.eye(len(inner)))
    weights = inverse @ wanted
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(groups.tolist()):
        rows[group].append(i)
    answers = np.empty_like(wanted)
    alone = [same[0] for same in rows.values() if len(same) == 1]
    answers[alone] = wanted[alone] - weights[alone] / inverse[alone, alone][:, None]
    for same in rows.values():
        if len(same) > 1:
            answers[same] = wanted[same] - np.linalg.solve(inverse[np.ix_(same, same)], weights[same])
    return answers, weights


def _loss(answers: Floats, given: Ints, sharpness: float) -> tuple[float, float]:
    chances = softmax(sharpness * answers)[np.arange(len(given)), given]
    return float(-np.log(np.maximum(chances, 1e-9)).mean()), sharpness


def softmax(scores: Floats) -> Floats:
    """Chances of scores [rows, labels]."""
    raised = np.exp(scores - scores.max(1, keepdims=True))
    chances: Floats = raised / raised.sum(1, keepdims=True)
    return chances


def cosines(features: Any) -> Floats:  # noqa: ANN401 - a scipy sparse matrix
    """How alike the rows of features [examples, features] are, from 0 to 1."""
    products = (features @ features.T).toarray()
    lengths = np.sqrt(np.maximum(np.diag(products), 1e-12))
    return np.asarray(products / lengths[:, None] / lengths[None, :])


def telling(features: Any, given: Ints, labels: int, known: Ints) -> Any:  # noqa: ANN401 - scipy sparse matrices
    """Features weighed by what they tell of the label (Debole and Sebastiani, "Supervised term weighting", 2003).

    A weight is how far the labels of the examples that have the feature are from those of all (Kullback-Leibler). It is
    one for all labels, and hardly moves with a single example, so that a label does not vouch for itself by it.
    """
    wanted = np.zeros((len(given), labels))
    wanted[known, given[known]] = 1.0
    usual = (wanted.sum(0) + 1e-6) / (len(known) + labels * 1e-6)
    seen = (features != 0).T.astype(float) @ wanted
    share = (seen + _UNSURE * usual) / (seen.sum(1, keepdims=True) + _UNSURE)
    return features.multiply((share * np.log(share / usual)).sum(1)).tocsr()


def near_numbers(numbers: Floats, width: float) -> Floats:
    """How near numbers are to each other, from 0 to 1: 0.6 at `width` standard deviations."""
    usual = numbers / max(float(numbers.std()), 1e-9)
    return np.asarray(np.exp(-((usual[:, None] - usual[None, :]) ** 2) / (2 * width**2)))
