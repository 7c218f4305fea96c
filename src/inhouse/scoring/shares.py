"""Do two samples differ in their shares? A permutation test, which holds for any number of categories, however rare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Each side is cut to so many drawn at random: with a hundred thousand any trifle would be significant.
MAX_PER_SIDE = 500
_TIE = 1e-9


def shares_differ(
    before: Counter[str], after: Counter[str], *, seed: int = 0, permutations: int = 2000
) -> tuple[float, float]:
    """Pearson's chi-square statistic of two samples counted by category, and its p-value by permutation.

    Permuted counts are drawn from their exact distribution, the multivariate hypergeometric one.
    """
    labels = sorted(before | after)
    rng = np.random.default_rng(seed)
    ours, theirs = _draw_counts(before, labels, rng), _draw_counts(after, labels, rng)
    seen = ours + theirs > 0
    pooled, theirs = (ours + theirs)[seen], theirs[seen]
    observed = float(chi_square(theirs[None, :], pooled)[0])
    permuted = rng.multivariate_hypergeometric(pooled, int(theirs.sum()), size=permutations, method="marginals")
    return observed, permutation_p(observed, chi_square(permuted, pooled))


def permutation_p(observed: float, permuted: Floats) -> float:
    """Share of relabellings at least as extreme, the observed one included: never 0."""
    return float((1 + np.count_nonzero(permuted >= observed - _TIE)) / (1 + len(permuted)))


def _draw_counts(counts: Counter[str], labels: Sequence[str], rng: np.random.Generator) -> Counts:
    """Label counts [labels] of at most `MAX_PER_SIDE` answers."""
    full = np.array([counts[label] for label in labels], dtype=np.int64)
    if full.sum() <= MAX_PER_SIDE:
        return full
    drawn: Counts = rng.multivariate_hypergeometric(full, MAX_PER_SIDE, method="marginals")
    return drawn


def chi_square(window: Counts, pooled: Counts) -> Floats:
    """Pearson's statistic [permutations] of a two-row table: window counts [permutations, labels], the rest."""
    m, total = int(window[0].sum()), int(pooled.sum())
    expected = pooled * (m / total)
    # (a - e)²/e over both rows; the two deviations are equal, and the rows' expectations share `pooled`.
    statistic: Floats = (np.square(window - expected) / expected).sum(axis=1) * (total / (total - m))
    return statistic
