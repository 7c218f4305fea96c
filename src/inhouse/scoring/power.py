"""How many test examples it takes to tell two contenders apart. Pure."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bdtr, bdtrik, ndtri

from inhouse.errors import NoMetric, UsageError
from inhouse.scoring.units import Floats

# Numbers of discordant examples further from their mean, in standard deviations, are left out.
_REACH = 8


def exact_power(n: int, gain: float, discordant_share: float, alpha: float = 0.05) -> float:
    """The chance that the exact McNemar test gives p < `alpha` on `n` examples, if the gain is true.

    Args: as of `examples_to_tell`.
    """
    spread = math.sqrt(n * discordant_share * (1 - discordant_share))
    middle = n * discordant_share
    least, most = max(0, math.floor(middle - _REACH * spread)), min(n, math.ceil(middle + _REACH * spread))
    discordant = np.arange(least, most + 1)
    upto = bdtr(discordant.astype(float), n, discordant_share)
    chances = np.diff(upto, prepend=bdtr(float(least - 1), n, discordant_share) if least else 0.0)
    won = (1 + abs(gain) / discordant_share) / 2
    edge = _edge(discordant, alpha)
    shown = _upto(edge, discordant, won) + _upto(edge, discordant, 1 - won)
    return float((chances * shown).sum())


def examples_to_tell(gain: float, discordant_share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Test examples with which the exact McNemar test shows a true `gain` with this power.

    Connor's formula (1987, Biometrics 43:207) is for the approximate test, and falls short of the exact one by some 5
    to 20 %; from it the number is searched by the exact power, to one in a thousand.

    Args:
        gain: the difference to be shown, of either sign.
        discordant_share: share of examples that one contender alone gets right, at least `abs(gain)`.
        alpha: the p that must be undercut; 0.05 over the number of comparisons where Holm's method adjusts them.

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
    enough = max(1, math.ceil(((by_chance + by_gain) / size) ** 2))
    too_few = enough // 2
    while exact_power(enough, gain, discordant_share, alpha) < power:
        too_few, enough = enough, math.ceil(enough * 1.1) + 1
    while enough - too_few > max(1, enough // 1000):
        middle = (too_few + enough) // 2
        if exact_power(middle, gain, discordant_share, alpha) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def _edge(tosses: np.ndarray, alpha: float) -> Floats:
    """The most heads of a fair coin that are significantly few, -1 where none are."""
    edge = np.floor(bdtrik(alpha / 2, tosses, 0.5)) + 1
    edge = np.where(np.isfinite(edge), np.minimum(edge, tosses), 0.0)
    for _ in range(3):  # the inverse is off by one at most, as is the number above it
        edge = np.where(2 * _upto(edge, tosses, 0.5) >= alpha, edge - 1, edge)
    return np.maximum(edge, -1.0)


def _upto(heads: Floats, tosses: np.ndarray, chance: float) -> Floats:
    """The chance of so many heads at most, 0 of fewer than none."""
    return np.asarray(np.where(heads < 0, 0.0, bdtr(np.maximum(heads, 0.0), tosses, chance)))
