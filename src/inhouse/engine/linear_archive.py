"""A linear classifier over labels as one file: on n-grams, or on the vectors of a sentence encoder that was not tuned.

The file is a zip archive like a fine-tuned encoder's, with `head.*` and `unseen.json` of the same meaning, so that what
is forgotten is taken out of both in the same way. Nothing in it can run code.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Prediction
from inhouse.engine.answers import Question
from inhouse.engine.classifier import HEAD, TEXTS_AT_ONCE, UNSEEN, as_before, predictions, text_key, write_archive
from inhouse.engine.label_head import Linear, NGrams
from inhouse.engine.protocol import Progress
from inhouse.errors import ModelUnavailable

LINEAR_ENGINE = "linear"
# Vectors [n, width] of texts.
Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def linear_of(fitted: Any) -> tuple[tuple[str, ...], Linear]:  # noqa: ANN401 - scikit-learn has no types
    """Labels, and weights in their order, of a logistic regression; of two labels it keeps the second one's alone."""
    weights, bias = np.asarray(fitted.coef_, np.float32), np.asarray(fitted.intercept_, np.float32)
    if len(weights) == 1:
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.append(np.float32(0), bias)
    return tuple(str(label) for label in fitted.classes_), Linear(weights, bias)


def write_linear(
    file: Path, labels: Sequence[str], linear: Linear, ngrams: NGrams | None, unseen: Mapping[str, Prediction]
) -> None:
    """Write a linear classifier as one file.

    Args:
        ngrams: that it reads; None where it reads an encoder's vectors.
        unseen: by text, the answers to validation examples of a model that had not learned from them.
    """
    from safetensors.numpy import save

    parts = [] if ngrams is None else ngrams.parts
    tensors = {"weights": linear.weights, "bias": linear.bias}
    tensors |= {f"idf.{i}": np.array(weights) for i, (_, weights) in enumerate(parts)}
    told = {"labels": list(labels), "ngrams": [terms for terms, _ in parts]}
    answers = {text_key(text): [a.target, a.confidence] for text, a in unseen.items()}
    write_archive(
        file,
        {
            UNSEEN: json.dumps(answers).encode("utf-8"),
            HEAD[0]: save({name: np.ascontiguousarray(t) for name, t in tensors.items()}),
            HEAD[1]: json.dumps(told, ensure_ascii=False).encode("utf-8"),
        },
    )


class LinearClassifier:
    """Answers texts with labels; safe to be asked by several threads.

    Args:
        file: what `write_linear` wrote.
        embed: of the encoder whose vectors it reads; None where it reads n-grams.

    Raises:
        ModelUnavailable: the file is no such archive.
    """

    def __init__(self, file: Path, embed: Embed | None = None) -> None:
        from safetensors.numpy import load

        try:
            with zipfile.ZipFile(file) as archive:
                tensors, told = load(archive.read(HEAD[0])), json.loads(archive.read(HEAD[1]))
                self._unseen = {key: tuple(answer) for key, answer in json.loads(archive.read(UNSEEN)).items()}
            self._labels = tuple(told["labels"])
            self._linear = Linear(tensors["weights"], tensors["bias"])
            idf = [tensors[f"idf.{i}"].tolist() for i in range(len(told["ngrams"]))]
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise ModelUnavailable(f"this is no whole classifier: {error}", "promote it again", file=file) from error
        self._ngrams = NGrams(list(zip(told["ngrams"], idf, strict=True))) if idf else None
        self._embed = embed

    def question(self, text: str) -> Question:
        """A text as it is asked; no tokens are counted."""
        return Question([], text)

    def answer(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        """One label per question, in order."""
        answers: list[Prediction] = []
        for start in range(0, len(questions), TEXTS_AT_ONCE):
            texts = [q.text for q in questions[start : start + TEXTS_AT_ONCE]]
            answers += predictions(self._labels, self._log_chances(texts))
            if progress is not None:
                progress(len(answers))
        return answers

    def answer_unseen(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        """The same, but a validation example that was learned from in the end is answered as it was before that."""
        return as_before(self.answer(questions, progress), questions, self._unseen)

    def _log_chances(self, texts: Sequence[str]) -> NDArray[np.float64]:
        if self._ngrams is not None:
            return self._linear.log_chances(np.zeros((len(texts), 0), np.float32), self._ngrams.of(texts))
        if self._embed is None:
            raise ModelUnavailable("this classifier reads vectors, and no encoder was given")
        return self._linear.log_chances(self._embed(texts))

    def close(self) -> None:
        """Free the encoder."""
        self._embed = None
