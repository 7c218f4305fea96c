"""Macro-F1 of one contender and of two on the same examples, on counts by label. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from inhouse.core import Metric
from inhouse.errors import NoMetric
from inhouse.scoring.intervals import blind, score_interval
from inhouse.scoring.units import ROUNDING, Floats, Groups, Z, sign_p, students_t, units_of

# How much of the bias that leaving one out shows is taken off: all of it overshoots with many examples of a label, none
# falls short with few; chosen by coverage (docs/design/statistics.md).
_OF_BIAS = 2 / 3
# The jackknife counts twice what two examples of a label do together, the first order (delta method) not at all.
_OF_JACKKNIFE = 3 / 4


def macro_f1(predicted: Sequence[str | None], expected: Sequence[str], *, groups: Groups = None) -> Metric:
    """Mean F1 over the labels that are present in `expected`, with a 95 % interval.

    No answer, or one that is no label of `expected`, is a miss. The interval is Wilson's, of as many examples of 0 and
    1 as would spread as macro-F1 does when one example, or group, at a time is left out (jackknife, toned down; Efron
    and Stein 1981, Ann Stat 9:586), with Student's t for few. Macro-F1 of few examples lies below that of many: the
    interval stands around the value less a part of that bias (Quenouille 1956, Biometrika 43:353). Where leaving one
    out changes nothing, as for a perfect contender, Wilson's interval of as many examples as there are units is given.

    Raises:
        NoMetric: if there is no example.
        ValueError: if the lengths differ.
    """
    counts = _label_counts(predicted, expected, groups)
    value, n = counts.f1, len(expected)
    without = counts.without_one()
    units = len(without)
    spread = _spread(without, counts.parts(counts.right, counts.answers))
    if spread < ROUNDING:
        return score_interval(value, n, units)
    unbiased = value - _OF_BIAS * (units - 1) * (float(without.mean()) - value)
    centre = float(np.clip(unbiased, 0.5 / n, 1 - 0.5 / n))
    weight = centre * (1 - centre) / spread**2 * (Z / students_t(counts.sizes)) ** 2
    around = score_interval(centre, n, max(1.0, weight))
    return Metric(value=value, low=min(around.low, value), high=max(around.high, value), n=n)


def f1_value(predicted: Sequence[str | None], expected: Sequence[str]) -> float:
    """Macro-F1 alone. Raises as `macro_f1`."""
    return _label_counts(predicted, expected, None).f1


def paired_f1_difference(
    a: Sequence[str | None], b: Sequence[str | None], expected: Sequence[str], *, groups: Groups = None, seed: int = 0
) -> tuple[float, float, float, float]:
    """Macro-F1 of a minus that of b, with a 95 % interval and a two-sided permutation p.

    The interval is Student's t with the spread that leaving one example, or group, out at a time shows; where that
    changes nothing, Tango's interval of as many undecided pairs is given. Under the null the answers of a and b to an
    example, or group, could as well be swapped (Yeh 2000, "More accurate tests for the statistical significance of
    result differences"). What is summed over the swaps is each unit's part in the difference, to first order around
    the mean of both, which no swap moves: so the test is as exact as of the difference itself.

    Returns:
        gain, low, high, p; low <= gain <= high.

    Raises:
        NoMetric: if there is no example.
        ValueError: if the lengths differ.
    """
    ours, theirs = _label_counts(a, expected, groups), _label_counts(b, expected, groups)
    gain = ours.f1 - theirs.f1
    without = ours.without_one() - theirs.without_one()
    own = ours.parts(ours.right, ours.answers) - theirs.parts(theirs.right, theirs.answers)
    units, spread = len(without), _spread(without, own)
    if spread < ROUNDING:
        low, high = blind(gain, units)
    else:
        half = float(stdtrit(units - 1, 0.975)) * spread
        low, high = gain - half, gain + half
    middle = (ours.right + theirs.right) / 2, (ours.answers + theirs.answers) / 2
    parts = ours.parts(*middle) - theirs.parts(*middle)
    return gain, max(-1.0, min(low, gain)), min(1.0, max(high, gain)), sign_p(parts, seed=seed)


@dataclass(frozen=True)
class _Counts:
    """Counts of each unit and label that has any, and of each label in all.

    `size` is how often a label was answered and how often it was expected, together, so its F1 is 2 right / size.
    """

    unit: NDArray[np.intp]
    label: NDArray[np.intp]
    unit_right: Floats
    unit_size: Floats
    unit_expected: Floats
    sizes: NDArray[np.intp]  # examples of each unit
    right: Floats
    answers: Floats  # of each label: answered and expected, together
    expected: Floats

    @property
    def f1(self) -> float:
        return float((2 * self.right / self.answers).mean())

    def without_one(self) -> Floats:
        """Macro-F1 of all units but one, each in turn."""
        units, of_label = len(self.sizes), 2 * self.right / self.answers
        stays = self.expected[self.label] > self.unit_expected
        left = np.where(stays, self.answers[self.label] - self.unit_size, 1.0)
        then = np.where(stays, 2 * (self.right[self.label] - self.unit_right) / left, 0.0)
        total = of_label.sum() + np.bincount(self.unit, then - of_label[self.label], units)
        labels = len(self.right) - np.bincount(self.unit, ~stays, units)
        return np.asarray(total / np.maximum(labels, 1), dtype=float)

    def parts(self, right: Floats, answers: Floats) -> Floats:
        """Each unit's part in a macro-F1 of these totals, to first order."""
        by_right, by_size = 2 / answers / len(right), -2 * right / answers**2 / len(right)
        moved = self.unit_right * by_right[self.label] + self.unit_size * by_size[self.label]
        return np.bincount(self.unit, moved, len(self.sizes)).astype(float)


def _label_counts(predicted: Sequence[str | None], expected: Sequence[str], groups: Groups) -> _Counts:
    hit = np.array([p == e for p, e in zip(predicted, expected, strict=True)], dtype=float)
    if not len(hit):
        raise NoMetric("a metric of no examples was asked for", "give at least one example")
    label_of = {label: place for place, label in enumerate(sorted(set(expected)))}
    labels, units = len(label_of), units_of(groups, len(hit))
    truth = np.array([label_of[e] for e in expected])
    answer = np.array([label_of.get(p, -1) if p is not None else -1 for p in predicted])
    known = answer >= 0
    cells, place = np.unique(
        np.concatenate([units * labels + truth, (units * labels + answer)[known]]), return_inverse=True
    )
    unit, label = np.divmod(cells, labels)
    right = np.bincount(place[: len(hit)], hit, len(cells))
    size = np.bincount(place, minlength=len(cells)).astype(float)
    wanted = np.bincount(place[: len(hit)], minlength=len(cells)).astype(float)
    in_all: list[Floats] = [np.bincount(label, count, labels).astype(float) for count in (right, size, wanted)]
    return _Counts(unit, label, right.astype(float), size, wanted, np.bincount(units), *in_all)


def _spread(without: Floats, parts: Floats) -> float:
    """The standard error of what was taken without one unit, each in turn, and of which each unit has such a part."""
    units = len(without)
    if np.ptp(without) < ROUNDING:
        return 0.0
    jackknife = float(((without - without.mean()) ** 2).sum()) * (units - 1) / units
    delta = float((parts**2).sum()) * units / (units - 1)
    return math.sqrt(_OF_JACKKNIFE * jackknife + (1 - _OF_JACKKNIFE) * delta)
