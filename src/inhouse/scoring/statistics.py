"""Metrics with 95 % intervals, and comparisons of two contenders on the same examples. Pure: no I/O, no models.

Shares and differences are fractions (0.02 is two points). Where `groups` is given, examples of one group may be
right or wrong together, and the group, not the example, is what is drawn; groups of one example change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import brentq
from scipy.special import gammaln, ndtri, stdtrit

from inhouse.core import Metric
from inhouse.errors import NoMetric, UsageError
from inhouse.scoring.judge import Judged

_Z = float(ndtri(0.975))
# Numbers per block of resamples: 32 MB of float64, so that 100,000 examples need no more memory than 1,000.
_BLOCK = 4_000_000
# Two F1 differences that are equal on paper may differ by rounding.
_ROUNDING = 1e-12

Groups = Sequence[str] | None


# --- one contender


def wilson(successes: int, n: int) -> Metric:
    """Share of successes with its 95 % score interval (Wilson 1927, JASA 22:209).

    Raises:
        NoMetric: if `n` is 0.
        UsageError: if `successes` is not between 0 and `n`.
    """
    if n == 0:
        raise NoMetric("a share of no examples was asked for", "give at least one example")
    if not 0 <= successes <= n:
        raise UsageError(f"{successes} successes of {n} examples cannot be")
    return _wilson(successes / n, n, n)


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
    it covered the truth in 75 %, this one in 93 %; with 5 labels and 60 examples both in 95 %). Where all resamples
    agree, as for a perfect contender, the bootstrap is blind and Wilson's interval is given.

    Raises:
        NoMetric: if there is no example.
        ValueError: if the lengths differ.
    """
    counts = _label_counts(predicted, expected, groups)
    value = float(_f1_of(_total(counts)))
    drawn = np.concatenate([_f1_of(c) for c in _resampled(counts, resamples, seed)])
    low, high = _bias_corrected(drawn, value)
    if low == high:
        return _wilson(value, len(expected), counts.shape[0])
    return Metric(value=value, low=min(low, value), high=max(high, value), n=len(expected))


def summarise(judged: Judged, expected: Sequence[str], name: str, groups: Groups = None, *, seed: int = 0) -> Metric:
    """A metric of judged answers with its 95 % interval.

    Of scores that are all 0 or 1 Wilson's, with `groups` that of the effective number of examples (n over the design
    effect); of others a bias-corrected bootstrap over the examples, or groups (ratio of sums). Examples to which the
    metric does not apply (nan) are left out.

    Raises:
        NoMetric: if it applies to no example.
    """
    if name == "macro_f1":
        return macro_f1(judged.answers, expected, groups=groups)
    scores = judged.scores[name]
    known = ~np.isnan(scores)
    if not known.any():
        raise NoMetric(f"{name} applies to none of {len(scores)} examples", "leave it out")
    scores, groups = scores[known], _some(groups, known)
    if _is_binary(scores):
        return _wilson(float(scores.mean()), len(scores), len(scores) / _design_effect(scores, groups))
    value = float(scores.mean())
    low, high = _bias_corrected(_resampled_means(scores, groups, 2000, seed), value)
    if high - low < _ROUNDING:  # the bootstrap is blind; no scores spread wider than 0 and 1
        return _wilson(value, len(scores), int(_units(groups, len(scores)).max()) + 1)
    return Metric(value=value, low=min(low, value), high=max(high, value), n=len(scores))


# --- two contenders on the same examples


def compare_scores(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    *,
    groups: Groups = None,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float, float]:
    """Mean score of ours minus theirs, with a 95 % interval and a two-sided p, on examples that have both (not nan).

    Of scores that are 0 or 1 Tango's interval and the exact McNemar test. Of others a paired bootstrap of the mean
    (percentiles), and a permutation test that changes the sign of whole groups: under the null the two could as well
    be swapped (Fisher's randomization test); p counts the observed signs too, so it is never 0. Where all resamples
    agree, Tango's interval of as many undecided pairs is given, as the bootstrap is blind there.

    Returns:
        gain, low, high, p; low <= gain <= high.

    Raises:
        NoMetric: if no example has both.
        ValueError: if the lengths differ.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} scores of ours and {len(theirs)} of theirs")
    known = ~(np.isnan(ours) | np.isnan(theirs))
    if not known.any():
        raise NoMetric("a difference on no examples was asked for", "give at least one test example")
    ours, theirs, groups = ours[known], theirs[known], _some(groups, known)
    if _is_binary(ours) and _is_binary(theirs):
        a, b = ours == 1.0, theirs == 1.0
        return *paired_difference(a, b, groups=groups), mcnemar_exact(a, b, groups=groups)
    apart = ours - theirs
    gain = float(apart.mean())
    if not apart.any():
        return 0.0, 0.0, 0.0, 1.0
    low, high = (float(q) for q in np.quantile(_resampled_means(apart, groups, resamples, seed), [0.025, 0.975]))
    units = _units(groups, len(apart))
    sums = np.bincount(units, apart)
    if high - low < _ROUNDING:
        won = abs(gain) * len(sums)
        low, high = _tango(won if gain > 0 else 0.0, won if gain < 0 else 0.0, len(sums))
    rng = np.random.default_rng(seed + 1)
    further = 0
    for size in _blocks(resamples, len(sums)):
        signs = rng.integers(2, size=(size, len(sums))) * 2.0 - 1.0
        further += int((np.abs(signs @ sums) >= abs(float(sums.sum())) - _ROUNDING).sum())
    return gain, min(low, gain), max(high, gain), (1 + further) / (1 + resamples)


def mcnemar_exact(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_], *, groups: Groups = None) -> float:
    """Exact two-sided p of "a and b are right equally often", given where one alone is right (McNemar 1947).

    Under it, each such example could as well have gone to the other: a binomial with one half. With `groups`, a
    whole group swaps its answers at once, and its net count of wins is what changes sign.

    Args:
        a_right: whether a is right, one per example; b_right likewise, in the same order.

    Returns:
        p between 0 and 1; 1.0 where they never differ.
    """
    net = _net_wins(a_right, b_right, groups)
    observed = abs(float(net.sum()))
    chances = np.ones(1)
    for size, times in zip(*np.unique(np.abs(net[net != 0]), return_counts=True), strict=True):
        steps = np.zeros(int(size) * int(times) + 1)
        steps[:: int(size)] = _fair_coin(int(times))
        chances = np.convolve(chances, steps)
    reach = len(chances) - 1
    extreme = np.abs(2 * np.arange(reach + 1) - reach) >= observed
    return min(1.0, float(chances[extreme].sum()))


def paired_difference(
    a_right: NDArray[np.bool_], b_right: NDArray[np.bool_], *, groups: Groups = None
) -> tuple[float, float, float]:
    """Share of right answers of a minus that of b, with Tango's 95 % score interval (1998, Stat Med 17:891).

    Chosen over Newcombe's method 10 (1998, Stat Med 17:2635) by coverage: over 200 settings (40 to 1,000 examples,
    5 to 30 % discordant, 0 to 10 points of gain) Tango's is 95.4 % on average and 0.6 points off, Newcombe's
    95.8 % and 0.9. It is also McNemar's test turned into an interval, so it rarely contradicts the p beside it.
    With `groups`, counts are divided by the design effect of the differences.

    Returns:
        gain, low, high, each between -1 and 1; low <= gain <= high.

    Raises:
        NoMetric: if there is no example.
    """
    difference = _differences(a_right, b_right)
    if not len(difference):
        raise NoMetric("a difference on no examples was asked for", "give at least one test example")
    weight = 1.0 / _design_effect(difference, groups)
    won, lost = float((difference > 0).sum()) * weight, float((difference < 0).sum()) * weight
    low, high = _tango(won, lost, len(difference) * weight)
    return float(difference.mean()), low, high


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

    Both are resampled together (percentile interval: the shift of each cancels in the difference). Under the null
    the answers of a and b to an example, or group, could as well be swapped (Yeh 2000, "More accurate tests for the
    statistical significance of result differences"); p counts the observed swap too, so it is never 0. Where all
    resamples agree, Tango's interval of as many undecided pairs is given, as the bootstrap is blind there.

    Returns:
        gain, low, high, p; low <= gain <= high.

    Raises:
        NoMetric: if there is no example.
        ValueError: if the lengths differ.
    """
    ours, theirs = _label_counts(a, expected, groups), _label_counts(b, expected, groups)
    gain = float(_f1_of(_total(ours)) - _f1_of(_total(theirs)))
    both = sparse.hstack([ours, theirs], format="csr")
    drawn = np.concatenate([_f1_gain(c) for c in _resampled(both, resamples, seed)])
    low, high = (float(q) for q in np.quantile(drawn, [0.025, 0.975]))
    if low == high:
        units = ours.shape[0]
        won = abs(gain) * units
        low, high = _tango(won if gain > 0 else 0.0, won if gain < 0 else 0.0, units)
    return gain, min(low, gain), max(high, gain), _swap_p(ours, theirs, gain, resamples, seed + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, in the given order (Holm 1979, step-down)."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def examples_to_tell(gain: float, discordant_share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Test examples needed for McNemar's test to show a true `gain` with this power (Connor 1987, Biometrics 43:207).

    Args:
        gain: the difference to be shown, of either sign.
        discordant_share: share of examples that one contender alone gets right, at least `abs(gain)`.

    Raises:
        NoMetric: if `gain` is 0, which no number of examples can show.
        UsageError: if `discordant_share` is less than the gain that it must hold.
    """
    size = abs(gain)
    if size == 0.0:
        raise NoMetric("no number of examples can show a gain of 0", "ask for a gain above 0")
    if discordant_share < size:
        raise UsageError(f"a gain of {size} cannot come from a discordant share of {discordant_share}")
    by_chance = float(ndtri(1 - alpha / 2)) * math.sqrt(discordant_share)
    by_gain = float(ndtri(power)) * math.sqrt(discordant_share - size**2)
    return math.ceil(((by_chance + by_gain) / size) ** 2)


# --- scores between 0 and 1


def _is_binary(scores: NDArray[np.float64]) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _some(groups: Groups, known: NDArray[np.bool_]) -> Groups:
    return None if groups is None else [g for g, k in zip(groups, known, strict=True) if k]


def _resampled_means(scores: NDArray[np.float64], groups: Groups, resamples: int, seed: int) -> NDArray[np.float64]:
    """Means of as many units drawn with replacement, [resamples]."""
    units = _units(groups, len(scores))
    sums, sizes = np.bincount(units, scores), np.bincount(units).astype(float)
    rng = np.random.default_rng(seed)
    means = []
    for size in _blocks(resamples, len(sums)):
        drawn = rng.integers(len(sums), size=(size, len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


# --- shares


def _right(predicted: Sequence[str | None], expected: Sequence[str]) -> NDArray[np.bool_]:
    right = np.array([p == e for p, e in zip(predicted, expected, strict=True)], dtype=bool)
    if not len(right):
        raise NoMetric("a metric of no examples was asked for", "give at least one example")
    return right


def _wilson(share: float, n: int, weight: float) -> Metric:
    """The interval of `weight` independent examples, reported as a metric of `n`."""
    shrink = 1 + _Z**2 / weight
    centre = (share + _Z**2 / (2 * weight)) / shrink
    half = _Z * math.sqrt(share * (1 - share) / weight + _Z**2 / (4 * weight**2)) / shrink
    return Metric(value=share, low=max(0.0, min(centre - half, share)), high=min(1.0, max(centre + half, share)), n=n)


def _design_effect(values: NDArray[np.float64], groups: Groups) -> float:
    """How many examples of one group carry the news of one: variance of the mean by groups over that by examples.

    Kish 1965; squared t over z makes up for few groups (Korn and Graubard 1998, Survey Methodology 24:193). At least
    1, as a lucky negative correlation must not narrow an interval. Without any spread, a group counts as one example.
    """
    n = len(values)
    units = _units(groups, n)
    count = int(units.max()) + 1
    if count == n:
        return 1.0
    if count == 1:
        return float(n)
    centred = values - values.mean()
    alone = float((centred**2).sum())
    if alone == 0.0:
        return n / count
    together = float((np.bincount(units, centred) ** 2).sum()) * count / (count - 1)
    few = (float(stdtrit(count - 1, 0.975)) / _Z) ** 2
    return float(np.clip(together / alone * few, 1.0, n))


def _units(groups: Groups, n: int) -> NDArray[np.intp]:
    """The number of each example's unit of resampling, counted from 0: its group, or itself."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} examples")
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]


# --- paired shares


def _differences(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 where a alone is right, -1 where b alone is, else 0."""
    if len(a_right) != len(b_right):
        raise ValueError(f"{len(a_right)} answers against {len(b_right)}")
    return np.asarray(np.asarray(a_right, dtype=float) - np.asarray(b_right, dtype=float))


def _net_wins(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_], groups: Groups) -> NDArray[np.float64]:
    difference = _differences(a_right, b_right)
    if not len(difference):
        return difference
    return np.bincount(_units(groups, len(difference)), difference).astype(float)


def _fair_coin(tosses: int) -> NDArray[np.float64]:
    """Chance of each number of heads; scipy.stats has it too, but takes half a second to import."""
    heads = np.arange(tosses + 1)
    logs = gammaln(tosses + 1) - gammaln(heads + 1) - gammaln(tosses - heads + 1) - tosses * math.log(2)
    return np.asarray(np.exp(logs))


def _tango(won: float, lost: float, n: float) -> tuple[float, float]:
    """Where the score statistic of a difference passes plus and minus 1.96."""

    def excess(difference: float, limit: float) -> float:
        b = (2 * n - won + lost) * difference - won - lost
        c = -lost * difference * (1 - difference)
        share_lost = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * share_lost + difference * (1 - difference))
        return won - lost - n * difference - limit * math.sqrt(max(variance, 0.0))

    # At -1 and 1, and at 0 where nothing is discordant, the variance is 0 and the equation holds without meaning.
    step = 1e-12
    middle, end = (won - lost) / n, 1 - step
    low = -1.0 if excess(-end, _Z) <= 0 else float(brentq(excess, -end, middle - step, args=(_Z,)))
    high = 1.0 if excess(end, -_Z) >= 0 else float(brentq(excess, middle + step, end, args=(-_Z,)))
    return low, high


# --- macro-F1, on counts by label


def _label_counts(predicted: Sequence[str | None], expected: Sequence[str], groups: Groups) -> sparse.csr_array:
    """Sparse counts, units by 3 x labels: answered rightly, answered at all, and expected."""
    right = _right(predicted, expected)
    label_of = {label: place for place, label in enumerate(sorted(set(expected)))}
    labels = len(label_of)
    units = _units(groups, len(right))
    truth = np.array([label_of[e] for e in expected])
    answer = np.array([label_of.get(p, -1) if p is not None else -1 for p in predicted])
    known = answer >= 0
    rows = np.concatenate([units[right], units[known], units])
    columns = np.concatenate([truth[right], labels + answer[known], 2 * labels + truth])
    shape = (int(units.max()) + 1, 3 * labels)
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _total(counts: sparse.csr_array) -> NDArray[np.float64]:
    return np.asarray(counts.sum(axis=0), dtype=float)


def _f1_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Macro-F1 of each row of counts, (…, 3 x labels) -> (…), over the labels that the row expects."""
    right, answered, expected = np.split(counts, 3, axis=-1)
    present = expected > 0
    scores = 2 * right / np.where(present, answered + expected, 1.0)
    return np.asarray(scores.sum(axis=-1) / present.sum(axis=-1))


def _f1_gain(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    ours, theirs = np.split(counts, 2, axis=-1)
    return _f1_of(ours) - _f1_of(theirs)


def _blocks(total: int, width: int) -> Iterator[int]:
    """Sizes of blocks of rows of `width` numbers that make up `total` rows."""
    size = max(1, _BLOCK // max(width, 1))
    for begun in range(0, total, size):
        yield min(size, total - begun)


def _resampled(counts: sparse.csr_array, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Counts of as many units drawn with replacement, in blocks of resamples by columns."""
    rng = np.random.default_rng(seed)
    units = counts.shape[0]
    for size in _blocks(resamples, max(counts.shape)):
        times = [np.bincount(rng.integers(units, size=units), minlength=units) for _ in range(size)]
        yield (counts.T @ np.array(times, dtype=float).T).T


def _bias_corrected(drawn: NDArray[np.float64], value: float) -> tuple[float, float]:
    """The percentiles that lie 1.96 from `value` on the scale where the resamples are normal around it."""
    below = float((drawn < value - _ROUNDING).mean() + (drawn <= value + _ROUNDING).mean()) / 2
    # A shift of more than 1.96 would put both ends on the same side of the resamples.
    shift = float(np.clip(ndtri(below), -_Z, _Z))
    ends = [0.5 * math.erfc(-(2 * shift + z) / math.sqrt(2)) for z in (-_Z, _Z)]
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)


def _swap_p(ours: sparse.csr_array, theirs: sparse.csr_array, gain: float, swaps: int, seed: int) -> float:
    """Share of random swaps of the two contenders' answers that part them at least as far as `gain`."""
    moves = sparse.csr_array(theirs - ours)
    moves = moves[np.flatnonzero(np.abs(moves).sum(axis=1))]
    if moves.shape[0] == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    ours_total, theirs_total = _total(ours), _total(theirs)
    further = 0
    for size in _blocks(swaps, max(moves.shape)):
        swapped = rng.integers(2, size=(moves.shape[0], size)).astype(float)
        moved = (moves.T @ swapped).T
        gaps = np.abs(_f1_of(ours_total + moved) - _f1_of(theirs_total - moved))
        further += int((gaps >= abs(gain) - _ROUNDING).sum())
    return (1 + further) / (1 + swaps)
