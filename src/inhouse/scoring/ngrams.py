"""Vectors of texts by the letters and words they share: in every language, and without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MOST_GRAMS = 50_000


def ngrams(texts: Sequence[str], *, words: bool, least: int) -> Any:  # noqa: ANN401 - a sparse matrix
    """Runs of two to four letters, weighed by TF-IDF: [texts, n-grams].

    Args:
        words: whole words, and pairs of them, too; some text must have one.
        least: in how many texts a run of letters must stand to count.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    given = {"sublinear_tf": True, "max_features": _MOST_GRAMS}
    kinds = [TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=least, **given)]
    if words:
        kinds.append(TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **given))
    return make_union(*kinds).fit_transform(texts).tocsr()


def main_directions(grams: Any, width: int) -> Floats:  # noqa: ANN401 - a sparse matrix
    """The `width` main directions of n-grams, or as many as there are, as vectors of unit length.

    Deerwester and others, "Indexing by Latent Semantic Analysis" (1990).
    """
    from sklearn.decomposition import TruncatedSVD

    size = max(2, min(width, grams.shape[0] - 1, grams.shape[1] - 1))
    return unit(np.asarray(TruncatedSVD(size, n_iter=2, random_state=0).fit_transform(grams), np.float64))


def unit(vectors: Floats) -> Floats:
    """The vectors at a length of 1; one of length 0 stays as it is."""
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
