"""Classical models on n-grams and on sentence embeddings, which train in seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from inhouse.core import Example, Prediction, render_input
from inhouse.engine.classifier import predictions
from inhouse.engine.label_head import NGrams
from inhouse.evaluate.contenders.registry import QUICK, Field, contender
from inhouse.evaluate.contenders.shots import embedded

STRENGTHS = (1.0, 10.0, 100.0)


@contender("tfidf-linear", "a classical model on word counts; trains in seconds", kinds=("classify",), turn=QUICK)
def tfidf_linear(given: Field) -> list[Prediction]:
    """Word and letter n-grams with logistic regression: trains in seconds, the thing to beat.

    The n-grams are such as a served file may hold in clear, so that what is judged can be served.
    """
    begun = time.perf_counter()
    ngrams = NGrams.learn(texts_of(given.train))
    train, asked = ngrams.of(texts_of(given.train)), ngrams.of(texts_of(given.questions))
    given.fits["tfidf-linear"] = time.perf_counter() - begun
    return _linear(given, "tfidf-linear", train, asked)


@contender(
    "embedding-linear",
    "a classical model on sentence embeddings; trains in seconds",
    encodes=True,
    kinds=("classify",),
    turn=QUICK,
)
def embedding_linear(given: Field) -> list[Prediction]:
    """Sentence embeddings with logistic regression."""
    train, asked = embedded(given, "embedding-linear")
    return _linear(given, "embedding-linear", train, asked)


def _linear(given: Field, name: str, train: Any, asked: Any) -> list[Prediction]:  # noqa: ANN401 - dense or sparse
    begun = time.perf_counter()
    edge = len(given.validation)
    if name not in given.fitted:
        given.fitted[name] = fit_linear(
            train,
            [e.target for e in given.train],
            asked[:edge],
            [e.target for e in given.validation],
            learn_all="fine-tuned-encoder" in given.tuned_names,
        )
    best, last = given.fitted[name]
    given.fits[name] = given.fits.get(name, 0.0) + time.perf_counter() - begun
    return [*picked(best, asked[:edge]), *picked(last, asked[edge:])]


def fit_linear(
    train: Any,  # noqa: ANN401 - dense or sparse
    targets: Sequence[str],
    asked: Any,  # noqa: ANN401 - dense or sparse
    wanted: Sequence[str],
    *,
    learn_all: bool,
) -> tuple[Any, Any]:
    """Logistic regression at the strength that does best on validation: as it answers validation, and as it serves.

    Args:
        train, asked: features of the training and of the validation examples; None where there are none of these.
        targets, wanted: their labels.
        learn_all: learn from the validation examples too once all is chosen, as the head of a fine-tuned encoder does,
            which it is compared with.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = [LogisticRegression(C=c, max_iter=1000).fit(train, targets) for c in STRENGTHS]
    if not wanted:
        return fitted[0], fitted[0]
    best = max(fitted, key=lambda model: float(np.mean(model.predict(asked) == np.asarray(wanted))))
    if not learn_all:
        return best, best
    return best, LogisticRegression(C=best.C, max_iter=1000).fit(_stacked(train, asked), [*targets, *wanted])


def texts_of(examples: Sequence[Example]) -> list[str]:
    """Their inputs as texts."""
    return [render_input(e.inputs) for e in examples]


def _stacked(above: Any, below: Any) -> Any:  # noqa: ANN401 - dense or sparse
    from scipy.sparse import issparse, vstack

    return vstack([above, below]).tocsr() if issparse(above) else np.vstack([above, below])


def picked(model: Any, asked: Any) -> list[Prediction]:  # noqa: ANN401 - scikit-learn has no types
    """The likeliest labels of each question, of which there may be none."""
    if not asked.shape[0]:
        return []
    chances = np.log(np.maximum(model.predict_proba(asked), np.finfo(float).tiny))
    return predictions([str(label) for label in model.classes_], chances)
