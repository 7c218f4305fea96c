"""Sentence embeddings that several contenders use: each text's is made once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Reporter
from inhouse.engine.encoder import SentenceEncoder


class Vectors:
    """Embeddings of texts, with the seconds that each took, so that everyone who uses one can be charged for it.

    Args:
        make_encoder: loads the encoder, when it is first needed.
    """

    def __init__(self, make_encoder: Callable[[], SentenceEncoder], reporter: Reporter) -> None:
        self._make, self._reporter = make_encoder, reporter
        self._encoder: SentenceEncoder | None = None
        self._known: dict[str, tuple[NDArray[np.float32], float]] = {}

    def load(self) -> None:
        """Load the encoder.

        Raises:
            ModelUnavailable: it is not here, and cannot be fetched.
        """
        self._encoder = self._encoder or self._make()

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, one row per text, in order."""
        self.load()
        assert self._encoder is not None
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            begun = time.perf_counter()
            found = self._encoder.embed(new, self._reporter.bar("embeddings", len(new)).update)
            each = (time.perf_counter() - begun) / len(new)
            self._known.update(zip(new, ((vector, each) for vector in found), strict=True))
        return np.array([self._known[text][0] for text in texts], np.float32)

    def seconds(self, texts: Sequence[str]) -> float:
        """What embedding these texts took."""
        return sum(self._known[text][1] for text in texts)
