"""Fitting the head over labels with scikit-learn: what there is to choose is chosen by folds over the training rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.label_head import Floats, LabelHead, Linear, NGrams, pooled_chances
from inhouse.scoring.row_space import row_space
from inhouse.train.encoder_needs import CHOSEN_ON, OWN_SPACE

# scikit-learn and scipy have no types; features are dense or sparse.
Features = Any
Model = Any
Held = NDArray[np.bool_]

FOLDS = 5
# What an SVM's margins may be multiplied by.
MARGINS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
# Validation rows that the guess counts for that both classifiers are right about themselves: a few rows must not turn
# one of them off, nor an easy split, which has no mistake in it, make the head as sure as can be.
PRIOR = 20.0


@dataclass(frozen=True)
class Plain:
    """How the classifier of original vectors and n-grams is made.

    Attributes:
        ngram_weight: of n-grams beside vectors.
        margin: a linear SVM, whose margins times this are logits; 0 for logistic regression. Where n-grams tell most,
            as in a language that the encoder does not know, the SVM is right more often.
    """

    ngram_weight: float
    margin: float = 0.0


def fit_head(
    vectors: NDArray[np.float32], texts: Sequence[str], targets: Sequence[str], *, plain: Plain, strength: float
) -> LabelHead:
    """Learn both classifiers, which weigh the same.

    Args:
        vectors: [n, 2 width] of the texts, the tuned encoder's first.
        targets: their labels, at least two different ones.
        plain: see `chosen_plain`.
        strength: the inverse of the regularisation of logistic regression, scikit-learn's C.
    """
    labels = tuple(sorted(set(targets)))
    wanted = np.searchsorted(np.array(labels), np.array(targets))
    width = vectors.shape[1] // 2
    ngrams = NGrams.learn(texts)
    features = _side_by_side(vectors[:, width:], ngrams.of(texts), plain.ngram_weight)
    return LabelHead(
        labels=labels,
        tuned=_linear(_fitted(vectors[:, :width].astype(np.float64), wanted, strength)),
        plain=_linear(_svm(features, wanted), plain.margin)
        if plain.margin
        else _in_own_space(features, wanted, strength),
        ngrams=ngrams,
        ngram_weight=plain.ngram_weight,
    )


def chosen_plain(
    vectors: NDArray[np.float32],
    texts: Sequence[str],
    targets: Sequence[str],
    *,
    weights: Sequence[float],
    margin_weights: Sequence[float],
    strength: float,
    seed: int,
    groups: Sequence[str] = (),
) -> Plain:
    """The classifier that is right most often on held-out training rows; among equals the first.

    Args:
        vectors: [n, width] by the encoder as it was published.
        groups: of the rows, one each; rows of one group stay in one fold. None where there are none.
        weights, margin_weights: of n-grams, for logistic regression and for the SVM.
    """
    places = np.random.default_rng(seed).permutation(len(targets))[:CHOSEN_ON]
    wanted = np.unique([targets[i] for i in places], return_inverse=True)[1]
    chosen = [texts[i] for i in places]
    terms = NGrams.learn(chosen).of(chosen)
    of_row = folds_of([groups[i] for i in places] if groups else range(len(places)))
    folds = [of_row == fold for fold in range(FOLDS)]
    folds = [held for held in folds if held.any() and len(set(wanted[~held])) > 1]
    found: list[tuple[int, Plain]] = []
    for weight in weights:
        turned, _ = _turned(_side_by_side(vectors[places], terms, weight))
        models = [_fitted(turned[~held], wanted[~held], strength) for held in folds]
        found.append((_right(models, turned, wanted, folds), Plain(weight)))
    for weight in margin_weights:
        features = _side_by_side(vectors[places], terms, weight)
        models = [_svm(features[~held], wanted[~held]) for held in folds]
        found.append((_right(models, features, wanted, folds), Plain(weight, _margin(models, features, wanted, folds))))
    return max(found, key=lambda pair: pair[0])[1]


def folds_of(groups: Sequence[Hashable]) -> NDArray[np.intp]:
    """The fold of each row: rows of one group share it, and groups take turns in the order in which they come."""
    turn = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    return np.array([turn[group] % FOLDS for group in groups])


def fitted_pool(
    head: LabelHead, vectors: NDArray[np.float32], texts: Sequence[str], targets: Sequence[str]
) -> tuple[float, float]:
    """The weights of the head's classifiers that make validation examples likeliest; unknown labels tell nothing.

    Both weights are one scale (the calibration) times a share. As if by `PRIOR` rows the share is held to a half, and
    the scale to 2, where either classifier counts as it is.
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
        held = (2 * point[1] - 1) ** 2 + (point[0] - np.log(2)) ** 2 / 2
        return float(-chances[np.arange(len(wanted)), wanted].sum() + PRIOR * held)

    found = minimize(loss, np.array([np.log(2), 0.5]), bounds=[(-3.0, 3.0), (0.0, 1.0)], method="L-BFGS-B")
    return _weights(found.x)


def _weights(point: NDArray[np.float64]) -> tuple[float, float]:
    scale, share = float(np.exp(point[0])), float(point[1])
    return scale * share, scale * (1 - share)


def _side_by_side(vectors: NDArray[np.float32], terms: Features, weight: float) -> Features:
    """Vectors [n, width] and n-grams [n, terms] times `weight`, as one sparse matrix."""
    from scipy.sparse import csr_matrix, hstack

    return hstack([csr_matrix(vectors.astype(np.float64)), weight * terms]).tocsr()


def _right(models: Sequence[Model], features: Features, wanted: NDArray[np.intp], folds: Sequence[Held]) -> int:
    """How many held-out rows are answered rightly by what the others teach."""
    return sum(
        int((model.predict(features[held]) == wanted[held]).sum()) for model, held in zip(models, folds, strict=True)
    )


def _margin(models: Sequence[Model], features: Features, wanted: NDArray[np.intp], folds: Sequence[Held]) -> float:
    """What makes logits of an SVM's margins, by the likelihood of held-out rows of labels that their fold knows."""

    def loss(scale: float) -> float:
        total = 0.0
        for model, held in zip(models, folds, strict=True):
            known = np.flatnonzero(held & np.isin(wanted, model.classes_))
            if len(known):
                chances = _linear(model, scale).log_chances(np.zeros((len(known), 0), np.float32), features[known])
                total -= chances[np.arange(len(known)), np.searchsorted(model.classes_, wanted[known])].sum()
        return total

    return min(MARGINS, key=loss)


def _turned(features: Features) -> tuple[Floats, Callable[[Floats], Floats]]:
    """Rows in their own space (see `row_space`), and what turns weights on it into weights on the features."""
    from scipy.linalg import solve_triangular

    root = row_space(features)
    return root, lambda weights: np.asarray((features.T @ solve_triangular(root, weights.T, trans="T", lower=True)).T)


def _in_own_space(features: Features, wanted: NDArray[np.intp], strength: float) -> Linear:
    """Logistic regression, by way of the rows' own space where they are not too many."""
    if features.shape[0] > OWN_SPACE:
        return _linear(_fitted(features, wanted, strength))
    turned, back = _turned(features)
    found = _linear(_fitted(turned, wanted, strength))
    return Linear(back(found.weights.astype(np.float64)).astype(np.float32), found.bias)


def _fitted(features: Features, wanted: NDArray[np.intp], strength: float) -> Model:
    from sklearn.linear_model import LogisticRegression

    with _rare_labels():
        return LogisticRegression(C=strength, max_iter=1000).fit(features, wanted)


def _svm(features: Features, wanted: NDArray[np.intp]) -> Model:
    from sklearn.svm import LinearSVC

    with _rare_labels():
        return LinearSVC(random_state=0).fit(features, wanted)


@contextmanager
def _rare_labels() -> Iterator[None]:
    """Within, scikit-learn does not take labels of one or two rows each for numbers, and warn of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        yield


def _linear(model: Model, scale: float = 1.0) -> Linear:
    """A fitted model's logits, times `scale`; of two labels, which scikit-learn keeps as one row, both."""
    weights, bias = scale * model.coef_, scale * model.intercept_
    if len(weights) == 1:
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.array([0.0, *bias])
    return Linear(weights.astype(np.float32), bias.astype(np.float32))
