"""Classical models on n-grams and on sentence embeddings, which train in seconds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from inhouse.core import Prediction, canonical_hash, render_input
from inhouse.evaluate.contenders.registry import Field, contender

STRENGTHS = (1.0, 10.0, 100.0)


@contender("tfidf-linear", kinds=("classify",))
def tfidf_linear(given: Field) -> list[Prediction]:
    """Word and letter n-grams with logistic regression: trains in seconds, the thing to beat."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    begun = time.perf_counter()
    vectorizer = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
    )
    train = vectorizer.fit_transform([render_input(e.inputs) for e in given.train])
    asked = [render_input(e.inputs) for e in given.questions]
    given.fits["tfidf-linear"] = time.perf_counter() - begun
    return _linear(given, "tfidf-linear", train, vectorizer.transform(asked))


@contender("embedding-linear", kinds=("classify",))
def embedding_linear(given: Field) -> list[Prediction]:
    """Sentence embeddings with logistic regression."""
    train, asked = given.embeddings
    return _linear(given, "embedding-linear", train, asked)


def _linear(given: Field, name: str, train: Any, asked: Any) -> list[Prediction]:  # noqa: ANN401 - dense or sparse
    """Logistic regression at the strength that does best on validation.

    Against a fine-tuned encoder, whose head learns from the validation examples too once all is chosen, it does so as
    well before it answers test questions.
    """
    from sklearn.linear_model import LogisticRegression

    begun = time.perf_counter()
    targets = [e.target for e in given.train]
    edge = len(given.validation)
    wanted = [e.target for e in given.validation]
    fitted = [LogisticRegression(C=c, max_iter=1000).fit(train, targets) for c in STRENGTHS]
    best = max(fitted, key=lambda model: float(np.mean(model.predict(asked[:edge]) == wanted)) if edge else 0.0)
    last = best
    if edge and given.tuned_name == "fine-tuned-encoder":
        last = LogisticRegression(C=best.C, max_iter=1000).fit(_stacked(train, asked[:edge]), [*targets, *wanted])
    given.fits[name] = given.fits.get(name, 0.0) + time.perf_counter() - begun
    return [*_picked(best, asked[:edge]), *_picked(last, asked[edge:])]


def _stacked(above: Any, below: Any) -> Any:  # noqa: ANN401 - dense or sparse
    from scipy.sparse import issparse, vstack

    return vstack([above, below]).tocsr() if issparse(above) else np.vstack([above, below])


def _picked(model: Any, asked: Any) -> list[Prediction]:  # noqa: ANN401 - scikit-learn has no types
    """The likeliest label of each question, of which there may be none."""
    if not asked.shape[0]:
        return []
    chances = model.predict_proba(asked)
    return [
        Prediction(target=str(model.classes_[pick]), confidence=float(row[pick]))
        for pick, row in zip(chances.argmax(1), chances, strict=True)
    ]


def curve_rises(given: Field) -> bool | None:
    """Whether more examples would still help, judged by the cheap `embedding-linear` at half and at all of the data.

    A training per point would cost hours; on banking77 both curves rise and flatten together. None without validation
    examples.
    """
    from sklearn.linear_model import LogisticRegression

    wanted = [e.target for e in given.validation]
    if not wanted or given.task.kind != "classify":
        return None
    train, asked = given.embeddings
    targets = np.array([e.target for e in given.train])
    half = np.array([int(canonical_hash(e.group), 16) % 2 == 0 for e in given.train])
    if len(set(targets[half])) < 2:
        return None
    scores = [
        float(
            np.mean(
                LogisticRegression(C=10.0, max_iter=1000).fit(train[part], targets[part]).predict(asked[: len(wanted)])
                == wanted
            )
        )
        for part in (half, np.ones_like(half))
    ]
    return scores[1] - scores[0] >= 0.01
