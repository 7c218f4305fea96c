"""Answers texts with labels, from the folder that this file lies in: `python classify.py "a text" "another"`.

Written by `inhouse export --to openvino`. Needs no inhouse, but these packages:
    pip install openvino tokenizers safetensors scikit-learn
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Classifier:
    """A tuned encoder with its head over labels.

    Args:
        folder: with encoder.xml, encoder.bin, tokenizer.json, head.safetensors, head.json and meta.json.
    """

    def __init__(self, folder: Path | str) -> None:
        import openvino
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        folder = Path(folder)
        self._meta = json.loads((folder / "meta.json").read_text("utf-8"))
        self._head = json.loads((folder / "head.json").read_text("utf-8"))
        self._numbers = load_file(folder / "head.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        precision = {"INFERENCE_PRECISION_HINT": "f32"} if self._meta["exact"] else {}
        self._encoder = openvino.Core().compile_model(folder / "encoder.xml", "CPU", precision)
        self._ngrams = [self._vectorizer(which) for which in (0, 1)]

    def _vectorizer(self, which: int) -> Any:  # noqa: ANN401 - scikit-learn has no types
        from sklearn.feature_extraction.text import TfidfVectorizer

        places = {term: place for place, term in enumerate(self._head["ngrams"][which])}
        shape = {"ngram_range": (1, 2)} if which == 0 else {"analyzer": "char_wb", "ngram_range": (2, 4)}
        vectorizer = TfidfVectorizer(sublinear_tf=True, vocabulary=places, **shape)
        vectorizer.idf_ = self._numbers[f"idf.{which}"]
        return vectorizer

    def __call__(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The likeliest label of each text, and its probability."""
        vectors = self._vectors(texts)
        width, head = vectors.shape[1] // 2, self._numbers
        tuned = vectors[:, :width] @ head["tuned.weights"].T + head["tuned.bias"]
        weights = head["plain.weights"].T.astype(np.float64)
        plain = vectors[:, width:] @ weights[:width] + head["plain.bias"]
        edge = width
        for vectorizer in self._ngrams:
            terms = self._head["ngram_weight"] * vectorizer.transform(texts)
            plain = plain + terms @ weights[edge : edge + terms.shape[1]]
            edge += terms.shape[1]
        shares = self._head["pool"]
        chances = np.exp(_log_softmax(shares[0] * _log_softmax(tuned) + shares[1] * _log_softmax(plain)))
        return [(self._head["labels"][row.argmax()], float(row.max())) for row in chances]

    def _vectors(self, texts: Sequence[str]) -> Any:  # noqa: ANN401 - an array
        longest, pad = self._meta["longest"], self._meta["pad"]
        rows = [self._tokenizer.encode(self._meta["prefix"] + text).ids for text in texts]
        rows = [ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]] for ids in rows]
        width = max(map(len, rows))
        ids = np.array([[*row, *[pad] * (width - len(row))] for row in rows], np.int64)
        mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
        return np.array(self._encoder([ids, mask])[0], np.float64)


def _log_softmax(logits: Any) -> Any:  # noqa: ANN401 - arrays
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


if __name__ == "__main__":
    for found, chance in Classifier(Path(__file__).parent)(sys.argv[1:] or [""]):
        print(f"{found}\t{chance:.4f}")
