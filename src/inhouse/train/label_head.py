"""Fitting the head over labels: scikit-learn's logistic regression, chosen by cross-validation on training rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.label_head import Floats, LabelHead, Linear, NGrams, pooled_chances, side_by_side

FOLDS = 5
# So many rows are enough to choose by. Up to so many, too, the features are turned into the rows' own space: a dense
# matrix of as many columns as rows, in which logistic regression has the same solution, tens of times faster.
CHOSEN_ON = 2000
# The tuned encoder's vectors lie where its training put them; on banking77 strengths of 3 to 30 were equal.
TUNED_STRENGTH = 10.0
# Validation rows that the guess of equal weights counts for: a few rows must not turn one classifier off.
PRIOR = 20.0


def fit_head(
    vectors: NDArray[np.float32],
    texts: Sequence[str],
    targets: Sequence[str],
    *,
    ngram_weights: Sequence[float],
    strengths: Sequence[float],
    seed: int,
) -> LabelHead:
    """Learn both classifiers; they weigh the same until `with_pool`.

    Args:
        vectors: [n, 2 width] of the training texts, the tuned encoder's first.
        ngram_weights, strengths: what the second classifier chooses from: of n-grams beside vectors, and C.
    """
    labels = tuple(sorted(set(targets)))
    wanted = np.searchsorted(np.array(labels), np.array(targets))
    width = vectors.shape[1] // 2
    ngrams = NGrams.learn(texts)
    terms = ngrams.of(texts)
    weight, strength = _chosen(vectors[:, width:], terms, wanted, list(product(ngram_weights, strengths)), seed)
    return LabelHead(
        labels=labels,
        tuned=_linear(vectors[:, :width].astype(np.float64), wanted, TUNED_STRENGTH),
        plain=_in_own_space(side_by_side(vectors[:, width:], terms, weight), wanted, strength),
        ngrams=ngrams,
        ngram_weight=weight,
    )


def with_pool(head: LabelHead, vectors: NDArray[np.float32], texts: Sequence[str], targets: Sequence[str]) -> LabelHead:
    """The head with weights that make validation examples likeliest; examples of unknown labels tell nothing.

    Both weights are one scale (the calibration) times a share, and the share is held to a half as if by `PRIOR` rows.
    """
    from dataclasses import replace

    from scipy.optimize import minimize

    place = {label: i for i, label in enumerate(head.labels)}
    known = [i for i, target in enumerate(targets) if target in place]
    if not known:
        return head
    experts = head.experts(vectors[known], [texts[i] for i in known])
    wanted = np.array([place[targets[i]] for i in known])

    def loss(point: NDArray[np.float64]) -> float:
        chances = pooled_chances(experts, _weights(point))
        return float(-chances[np.arange(len(wanted)), wanted].sum() + PRIOR * (2 * point[1] - 1) ** 2)

    found = minimize(loss, np.array([0.5, 0.5]), bounds=[(-3.0, 3.0), (0.0, 1.0)], method="L-BFGS-B")
    return replace(head, pool=_weights(found.x))


def _weights(point: NDArray[np.float64]) -> tuple[float, float]:
    scale, share = float(np.exp(point[0])), float(point[1])
    return scale * share, scale * (1 - share)


def _chosen(
    vectors: NDArray[np.float32], terms: Any, wanted: NDArray[np.intp], choices: list[tuple[float, float]], seed: int
) -> tuple[float, float]:
    """The weight of n-grams and the strength that are right most often on held-out training rows; ties: the first."""
    order = np.random.default_rng(seed).permutation(len(wanted))[:CHOSEN_ON]
    folds = np.arange(len(order)) % FOLDS
    right: dict[tuple[float, float], int] = {}
    for weight in dict.fromkeys(weight for weight, _ in choices):
        turned, _ = _turned(side_by_side(vectors[order], terms[order], weight))
        for strength in (c for w, c in choices if w == weight):
            right[weight, strength] = sum(
                _right(turned, wanted[order], folds == fold, strength) for fold in range(min(FOLDS, len(order)))
            )
    return max(choices, key=lambda choice: right[choice])


def _right(features: Floats, wanted: NDArray[np.intp], held: NDArray[np.bool_], strength: float) -> int:
    """How many held-out rows are answered rightly by what the others teach; none where they are all of one label."""
    if len(set(wanted[~held])) < 2:
        return 0
    return int((_fitted(features[~held], wanted[~held], strength).predict(features[held]) == wanted[held]).sum())


def _turned(features: Any) -> tuple[Floats, Any]:
    """Rows in their own space: Z [n, rank] with Z Z' = X X', and what turns weights on Z into weights on X.

    L2-penalised weights are sums of rows (the representer theorem), so nothing is lost.
    """
    values, axes = np.linalg.eigh((features @ features.T).toarray())
    kept = values > 1e-9 * values[-1]
    root = np.sqrt(values[kept])
    return axes[:, kept] * root, lambda weights: np.asarray((features.T @ (axes[:, kept] / root) @ weights.T).T)


def _in_own_space(features: Any, wanted: NDArray[np.intp], strength: float) -> Linear:
    """Logistic regression, by way of the rows' own space where they are few."""
    if features.shape[0] > CHOSEN_ON:
        return _linear(features, wanted, strength)
    turned, back = _turned(features)
    found = _linear(turned, wanted, strength)
    return Linear(back(found.weights.astype(np.float64)).astype(np.float32), found.bias)


def _fitted(features: Any, wanted: NDArray[np.intp], strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000).fit(features, wanted)


def _linear(features: Any, wanted: NDArray[np.intp], strength: float) -> Linear:
    """Logistic regression; of two labels, which scikit-learn keeps as one row, both."""
    model = _fitted(features, wanted, strength)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.array([0.0, *bias])
    return Linear(weights.astype(np.float32), bias.astype(np.float32))
