"""Answers of simulated contenders, and the metrics of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inhouse.core import Metric
from inhouse.scoring import Groups, Judged, summarise


def pair_of(both: int, a_alone: int, b_alone: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether a is right, and whether b is, of so many examples."""
    counts = [both, a_alone, b_alone, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def mean_of(scores: np.ndarray, groups: Groups = None) -> Metric:
    """The mean score, as a contender's metric."""
    return summarise(Judged(("",) * len(scores), {"score": scores}), [""] * len(scores), "score", groups)


def accuracy(predicted: Sequence[str | None], expected: Sequence[str], *, groups: Groups = None) -> Metric:
    """The share of answers that are as expected."""
    return mean_of(np.array([p == e for p, e in zip(predicted, expected, strict=True)], dtype=float), groups)


def uneven(rng: np.random.Generator, groups: int) -> np.ndarray:
    """The group of each example: 1 to 11 in each."""
    return np.repeat(np.arange(groups), rng.integers(1, 12, groups))
