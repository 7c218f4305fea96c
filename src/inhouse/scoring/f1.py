"""Macro-F1 of one contender and of two on the same examples, on counts by label. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import ndtri, stdtrit

from inhouse.core import Metric
from inhouse.errors import NoMetric
from inhouse.scoring.intervals import blind, score_interval
from inhouse.scoring.units import (
    MANY_UNITS,
    ROUNDING,
    Floats,
    Groups,
    Z,
    blocks,
    sign_p,
    units_of,
    weights,
)


def macro_f1(
    predicted: Sequence[str | None],
    expected: Sequence[str],
    *,
    groups: Groups = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Metric:
    """Mean F1 over the labels that are present in `expected`, with a 95 % bootstrap interval.

    No answer, or one that is no label of `expected`, is a miss. The interval is the bias-corrected percentile one
    (Efron 1981, "BC") over resampled examples, or groups: macro-F1 of a resample tends to lie below that of the
    sample, and the plain percentile interval moves down with it (in 300 simulations with 77 labels and 800 examples
    it covered the truth in 75 %, this one in 93 %; with 5 labels and 60 examples both in 95 %). It is widened by t
    over z for few units. Where all resamples agree, as for a perfect contender, the bootstrap is blind and Wilson's
    interval is given; of more than 5,000 units the delta method's.

    Raises:
        NoMetric: if there is no example.
        ValueError: if the lengths differ.
    """
    counts = _label_counts(predicted, expected, groups)
    total = _total(counts)
    value, units = float(_f1_of(total)), counts.shape[0]
    if units > MANY_UNITS:
        half = _half(counts @ _slopes(total))
        low, high = value - half, value + half
    else:
        low, high = _widened(*_bias_corrected(_f1_of(_resampled(counts, resamples, seed)), value), value, units)
    if high - low < ROUNDING:
        return score_interval(value, len(expected), units)
    return Metric(value=value, low=max(0.0, min(low, value)), high=min(1.0, max(high, value)), n=len(expected))


def f1_value(predicted: Sequence[str | None], expected: Sequence[str]) -> float:
    """Macro-F1 alone. Raises as `macro_f1`."""
    return float(_f1_of(_total(_label_counts(predicted, expected, None))))


def paired_f1_difference(
    a: Sequence[str | None],
    b: Sequence[str | None],
    expected: Sequence[str],
    *,
    groups: Groups = None,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float, float]:
    """Macro-F1 of a minus that of b, with a 95 % bootstrap interval and a two-sided permutation p.

    Both are resampled together (percentile interval: the shift of each cancels in the difference), widened for few
    units; of more than 5,000 units the delta method gives the interval. Under the null the answers of a and b to an
    example, or group, could as well be swapped (Yeh 2000, "More accurate tests for the statistical significance of
    result differences"). What is summed over the swaps is each unit's part in the difference, to first order around
    the mean of both, which no swap moves: so the test is as exact as of the difference itself. Where all resamples
    agree, Tango's interval of as many undecided pairs is given, as the bootstrap is blind there.

    Returns:
        gain, low, high, p; low <= gain <= high.

    Raises:
        NoMetric: if there is no example.
        ValueError: if the lengths differ.
    """
    ours, theirs = _label_counts(a, expected, groups), _label_counts(b, expected, groups)
    our_total, their_total = _total(ours), _total(theirs)
    gain, units = float(_f1_of(our_total) - _f1_of(their_total)), ours.shape[0]
    if units > MANY_UNITS:
        half = _half(ours @ _slopes(our_total) - theirs @ _slopes(their_total))
        low, high = gain - half, gain + half
    else:
        both = _resampled(sparse.hstack([ours, theirs], format="csr"), resamples, seed)
        apart = np.subtract(*(_f1_of(counts) for counts in np.split(both, 2, axis=-1)))
        ends = np.quantile(apart, [0.025, 0.975])
        low, high = _widened(float(ends[0]), float(ends[1]), gain, units)
    if high - low < ROUNDING:
        low, high = blind(gain, units)
    parts = (ours - theirs) @ _slopes((our_total + their_total) / 2)
    return gain, max(-1.0, min(low, gain)), min(1.0, max(high, gain)), sign_p(parts, seed=seed + 1)


def _label_counts(predicted: Sequence[str | None], expected: Sequence[str], groups: Groups) -> sparse.csr_array:
    """Sparse counts, units by 3 x labels: answered rightly, answered at all, and expected."""
    right = np.array([p == e for p, e in zip(predicted, expected, strict=True)], dtype=bool)
    if not len(right):
        raise NoMetric("a metric of no examples was asked for", "give at least one example")
    label_of = {label: place for place, label in enumerate(sorted(set(expected)))}
    labels = len(label_of)
    units = units_of(groups, len(right))
    truth = np.array([label_of[e] for e in expected])
    answer = np.array([label_of.get(p, -1) if p is not None else -1 for p in predicted])
    known = answer >= 0
    rows = np.concatenate([units[right], units[known], units])
    columns = np.concatenate([truth[right], labels + answer[known], 2 * labels + truth])
    shape = (int(units.max()) + 1, 3 * labels)
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _total(counts: sparse.csr_array) -> Floats:
    return np.asarray(counts.sum(axis=0), dtype=float)


def _f1_of(counts: NDArray[np.floating]) -> Floats:
    """Macro-F1 of each row of counts, (…, 3 x labels) -> (…), over the labels that the row expects."""
    right, answered, expected = np.split(counts, 3, axis=-1)
    present = expected > 0
    scores = 2 * right / np.where(present, answered + expected, 1.0)
    return np.asarray(scores.sum(axis=-1) / present.sum(axis=-1), dtype=float)


def _slopes(total: Floats) -> Floats:
    """By how much one more count in each column moves the macro-F1 of these totals, [3 x labels]."""
    right, answered, expected = np.split(total, 3)
    size = np.where(expected > 0, answered + expected, np.inf)
    by_right, by_size = 2 / size, -2 * right / size**2
    slopes: Floats = np.concatenate([by_right, by_size, by_size]) / (expected > 0).sum()
    return slopes


def _half(parts: Floats) -> float:
    """Half the width of the 95 % interval of a sum of many units' parts (delta method)."""
    return Z * math.sqrt(float((parts**2).sum()))


def _resampled(counts: sparse.csr_array, resamples: int, seed: int) -> NDArray[np.floating]:
    """Counts of as many units drawn with replacement, [resamples, columns]."""
    drawn = weights(counts.shape[0], resamples, seed)
    by_column, found, begun = counts.T.tocsr(), [], 0
    for size in blocks(resamples, max(counts.shape)):
        found.append((by_column @ drawn[begun : begun + size].T).T)
        begun += size
    return np.concatenate(found)


def _bias_corrected(drawn: Floats, value: float) -> tuple[float, float]:
    """The percentiles that lie 1.96 from `value` on the scale where the resamples are normal around it."""
    below = float((drawn < value - ROUNDING).mean() + (drawn <= value + ROUNDING).mean()) / 2
    # A shift of more than 1.96 would put both ends on the same side of the resamples.
    shift = float(np.clip(ndtri(below), -Z, Z))
    ends = [0.5 * math.erfc(-(2 * shift + z) / math.sqrt(2)) for z in (-Z, Z)]
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)


def _widened(low: float, high: float, value: float, units: int) -> tuple[float, float]:
    """A bootstrap of few units spreads too little: by sqrt(1 - 1/units), and normal where Student's t is wider."""
    if units < 2:
        return value, value
    by = float(stdtrit(units - 1, 0.975)) / Z * math.sqrt(units / (units - 1))
    return value + (low - value) * by, value + (high - value) * by
