"""Fitting the head over labels: scikit-learn's logistic regression, chosen by cross-validation on training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.label_head import Floats, LabelHead, Linear, NGrams, pooled_chances

# scikit-learn and scipy have no types; features are dense or sparse.
Features = Any
Model = Any

FOLDS = 5
# So many rows are enough to choose by. Up to so many, too, the features are turned into the rows' own space: a dense
# matrix of as many columns as rows, in which logistic regression has the same solution, tens of times faster.
CHOSEN_ON = 2000
# Validation rows that the guess of equal weights counts for: a few rows must not turn one classifier off.
PRIOR = 20.0


def fit_head(
    vectors: NDArray[np.float32], texts: Sequence[str], targets: Sequence[str], *, ngram_weight: float, strength: float
) -> LabelHead:
    """Learn both classifiers, which weigh the same.

    Args:
        vectors: [n, 2 width] of the texts, the tuned encoder's first.
        targets: their labels, at least two different ones.
        ngram_weight: of n-grams beside vectors, see `chosen_weight`.
        strength: the inverse of the regularisation, scikit-learn's C.
    """
    labels = tuple(sorted(set(targets)))
    wanted = np.searchsorted(np.array(labels), np.array(targets))
    width = vectors.shape[1] // 2
    ngrams = NGrams.learn(texts)
    return LabelHead(
        labels=labels,
        tuned=_linear(vectors[:, :width].astype(np.float64), wanted, strength),
        plain=_in_own_space(_side_by_side(vectors[:, width:], ngrams.of(texts), ngram_weight), wanted, strength),
        ngrams=ngrams,
        ngram_weight=ngram_weight,
    )


def chosen_weight(
    vectors: NDArray[np.float32],
    texts: Sequence[str],
    targets: Sequence[str],
    *,
    weights: Sequence[float],
    strength: float,
    seed: int,
) -> float:
    """The weight of n-grams that is right most often on held-out training rows; among equals the first.

    Args:
        vectors: [n, width] by the encoder as it was published.
    """
    places = np.random.default_rng(seed).permutation(len(targets))[:CHOSEN_ON]
    wanted = np.unique([targets[i] for i in places], return_inverse=True)[1]
    chosen = [texts[i] for i in places]
    terms = NGrams.learn(chosen).of(chosen)
    folds = np.arange(len(places)) % FOLDS

    def right(weight: float) -> int:
        turned, _ = _turned(_side_by_side(vectors[places], terms, weight))
        return sum(_right(turned, wanted, folds == fold, strength) for fold in range(FOLDS))

    return max(weights, key=right)


def fitted_pool(
    head: LabelHead, vectors: NDArray[np.float32], texts: Sequence[str], targets: Sequence[str]
) -> tuple[float, float]:
    """The weights of the head's classifiers that make validation examples likeliest; unknown labels tell nothing.

    Both weights are one scale (the calibration) times a share, and the share is held to a half as if by `PRIOR` rows.
    """
    from scipy.optimize import minimize

    place = {label: i for i, label in enumerate(head.labels)}
    known = [i for i, target in enumerate(targets) if target in place]
    if not known:
        return head.pool
    experts = head.experts(vectors[known], [texts[i] for i in known])
    wanted = np.array([place[targets[i]] for i in known])

    def loss(point: NDArray[np.float64]) -> float:
        chances = pooled_chances(experts, _weights(point))
        return float(-chances[np.arange(len(wanted)), wanted].sum() + PRIOR * (2 * point[1] - 1) ** 2)

    found = minimize(loss, np.array([0.5, 0.5]), bounds=[(-3.0, 3.0), (0.0, 1.0)], method="L-BFGS-B")
    return _weights(found.x)


def _weights(point: NDArray[np.float64]) -> tuple[float, float]:
    scale, share = float(np.exp(point[0])), float(point[1])
    return scale * share, scale * (1 - share)


def _side_by_side(vectors: NDArray[np.float32], terms: Features, weight: float) -> Features:
    """Vectors [n, width] and n-grams [n, terms] times `weight`, as one sparse matrix."""
    from scipy.sparse import csr_matrix, hstack

    return hstack([csr_matrix(vectors.astype(np.float64)), weight * terms]).tocsr()


def _right(features: Floats, wanted: NDArray[np.intp], held: NDArray[np.bool_], strength: float) -> int:
    """How many held-out rows are answered rightly by what the others teach; none where they are all of one label."""
    if not held.any() or len(set(wanted[~held])) < 2:
        return 0
    return int((_fitted(features[~held], wanted[~held], strength).predict(features[held]) == wanted[held]).sum())


def _turned(features: Features) -> tuple[Floats, Callable[[Floats], Floats]]:
    """Rows in their own space: Z [n, rank] with Z Z' = X X', and what turns weights on Z into weights on X.

    L2-penalised weights are sums of rows (the representer theorem), so nothing is lost.
    """
    values, axes = np.linalg.eigh((features @ features.T).toarray())
    kept = values > 1e-9 * values[-1]
    root = np.sqrt(values[kept])
    return axes[:, kept] * root, lambda weights: np.asarray((features.T @ (axes[:, kept] / root) @ weights.T).T)


def _in_own_space(features: Features, wanted: NDArray[np.intp], strength: float) -> Linear:
    """Logistic regression, by way of the rows' own space where they are few."""
    if features.shape[0] > CHOSEN_ON:
        return _linear(features, wanted, strength)
    turned, back = _turned(features)
    found = _linear(turned, wanted, strength)
    return Linear(back(found.weights.astype(np.float64)).astype(np.float32), found.bias)


def _fitted(features: Features, wanted: NDArray[np.intp], strength: float) -> Model:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000).fit(features, wanted)


def _linear(features: Features, wanted: NDArray[np.intp], strength: float) -> Linear:
    """Logistic regression; of two labels, which scikit-learn keeps as one row, both."""
    model = _fitted(features, wanted, strength)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.array([0.0, *bias])
    return Linear(weights.astype(np.float32), bias.astype(np.float32))
