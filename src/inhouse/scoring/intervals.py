"""95 % intervals of a share, of the difference of two paired shares, and of a mean without an upper end. Pure.

Shares and differences are fractions (0.02 is two points).
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import stdtrit

from inhouse.core import Metric
from inhouse.errors import NoMetric, UsageError
from inhouse.scoring.units import Floats, Z, effective_number, jackknife_variance


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
    return score_interval(successes / n, n, n)


def score_interval(share: float, n: int, weight: float) -> Metric:
    """Wilson's interval of `weight` independent examples, reported as a metric of `n`."""
    shrink = 1 + Z**2 / weight
    centre = (share + Z**2 / (2 * weight)) / shrink
    half = Z * math.sqrt(share * (1 - share) / weight + Z**2 / (4 * weight**2)) / shrink
    return Metric(value=share, low=max(0.0, min(centre - half, share)), high=min(1.0, max(centre + half, share)), n=n)


def apart(one: Metric, other: Metric) -> tuple[float, float, float]:
    """One metric less another on other examples, with its 95 % interval from theirs (Zou and Donner 2008, Stat Med
    27:1693, "MOVER"; of shares it is Newcombe's method 10 for independent ones, 1998, Stat Med 17:873).

    Returns:
        difference, low, high.
    """
    difference = one.value - other.value
    down = math.hypot(one.value - one.low, other.high - other.value)
    up = math.hypot(one.high - one.value, other.value - other.low)
    return difference, difference - down, difference + up


def tango(won: float, lost: float, n: float) -> tuple[float, float]:
    """Where the score statistic of a difference passes plus and minus 1.96 (Tango 1998, Stat Med 17:891)."""

    def excess(difference: float, limit: float) -> float:
        b = (2 * n - won + lost) * difference - won - lost
        c = -lost * difference * (1 - difference)
        share_lost = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * share_lost + difference * (1 - difference))
        return won - lost - n * difference - limit * math.sqrt(max(variance, 0.0))

    # At -1 and 1, and at 0 where nothing is discordant, the variance is 0 and the equation holds without meaning.
    step = 1e-12
    middle, end = (won - lost) / n, 1 - step
    low = -1.0 if excess(-end, Z) <= 0 else float(brentq(excess, -end, middle - step, args=(Z,)))
    high = 1.0 if excess(end, -Z) >= 0 else float(brentq(excess, middle + step, end, args=(-Z,)))
    return low, high


def blind(gain: float, units: int) -> tuple[float, float]:
    """The interval of a gain that every unit agrees on: Tango's, of as many undecided pairs."""
    won = abs(gain) * units
    return tango(won if gain > 0 else 0.0, won if gain < 0 else 0.0, units)


def positive_mean(sums: Floats, sizes: Floats) -> tuple[float, float]:
    """The 95 % interval of total of `sums` over total of `sizes`, of at least four units, none of it below 0.

    Such means are skewed, so it is Student's t on the logarithm (delta method), with the fewer degrees of freedom that
    heavy tails leave their variance (O'Neill 2014, American Statistician 68:282, by the excess kurtosis). No interval
    holds for every tail (Bahadur and Savage 1956, Ann Math Stat 27:1115); docs/design/statistics.md has how far this
    one does.
    """
    value, n = float(sums.sum() / sizes.sum()), len(sums)
    off = sums - value * sizes
    variance = float((off**2).mean())
    if variance == 0.0:
        return value, value
    heavy = float((off**4).mean()) / variance**2 - 3
    excess = max(0.0, (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * heavy + 6))
    freedom = 1 / (1 / (effective_number(sizes) - 1) + excess / (2 * n))
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(jackknife_variance(sums, sizes)) / value
    return value * math.exp(-half), value * math.exp(half)
