"""What is drawn, swapped and counted: groups of examples, or single ones. Pure.

Examples of one group may be right or wrong together, so the group, not the example, is the unit; groups of one example
change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, ndtri, stdtrit

T = TypeVar("T")
Floats = NDArray[np.float64]
# By name, or by number from 0, which is the quicker where many metrics are asked of the same examples.
Groups = Sequence[str] | NDArray[np.intp] | None

Z = float(ndtri(0.975))
# Two differences that are equal on paper may differ by rounding.
ROUNDING = 1e-12
# Numbers per block of draws: 16 MB of float32, so that 100,000 examples need no more memory than 1,000.
_BLOCK = 4_000_000
# All signs of so few units are tried; of so many their sum is normal, far into its tails.
_ALL_SIGNS, _NORMAL_SIGNS = 14, 500
# Draws of signs: the next number is taken while fewer than `_ENOUGH` draws were as far apart as what was seen.
_DRAWS, _ENOUGH = (2_000, 20_000, 200_000), 20


def units_of(groups: Groups, n: int) -> NDArray[np.intp]:
    """The number of each example's unit, counted from 0 in their order: its group, or itself.

    Raises:
        ValueError: if there is not one group per example.
    """
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} examples")
    if isinstance(groups, np.ndarray):
        return np.asarray((np.bincount(groups) > 0).cumsum()[groups] - 1)
    number: dict[str, int] = {}
    return np.array([number.setdefault(group, len(number)) for group in groups], dtype=np.intp)


def some(groups: Groups, known: NDArray[np.bool_]) -> Groups:
    """The groups of the examples that are known."""
    if isinstance(groups, np.ndarray):
        return groups[known]
    return None if groups is None else some_of(groups, known)


def some_of(items: Sequence[T], known: NDArray[np.bool_]) -> list[T]:
    """What belongs to the examples that are known."""
    return [item for item, k in zip(items, known, strict=True) if k]


def design_effect(values: Floats, groups: Groups) -> float:
    """How many examples of one group carry the news of one: variance of the mean by groups over that by examples.

    Kish 1965, with the jackknife's variance over groups (Cameron and Miller 2015, J Human Resources 50:317, CV3);
    squared t over z makes up for few groups (Korn and Graubard 1998, Survey Methodology 24:193). At least 1, as a lucky
    negative correlation must not narrow an interval. Without any spread, a group counts as one example.
    """
    n = len(values)
    units = units_of(groups, n)
    sizes = np.bincount(units)
    count = len(sizes)
    if count == n:
        return 1.0
    if count == 1:
        return float(n)
    centred = values - values.mean()
    alone = float((centred**2).sum()) / n**2
    if alone == 0.0:
        return n / count
    together = jackknife_variance(np.bincount(units, values).astype(float), sizes)
    return float(np.clip(together / alone * (students_t(sizes) / Z) ** 2, 1.0, n))


def jackknife_variance(sums: Floats, sizes: NDArray[np.intp] | Floats) -> float:
    """Variance of the mean, total of `sums` over total of `sizes`, from leaving out one unit at a time."""
    total, count = float(sizes.sum()), len(sums)
    moved = (sums - sums.sum() / total * sizes) / (1 - sizes / total)
    return float((moved**2).sum()) * (count - 1) / count / total**2


def students_t(sizes: NDArray[np.intp] | Floats) -> float:
    """The 97.5 % point of Student's t for a mean over units of such sizes, at least two."""
    return float(stdtrit(max(effective_number(sizes) - 1, 1.0), 0.975))


def effective_number(sizes: NDArray[np.intp] | Floats) -> float:
    """How many units of equal size tell as much: squared total over total of squares (Kish 1965)."""
    return float(sizes.sum()) ** 2 / float((np.asarray(sizes, dtype=float) ** 2).sum())


def blocks(total: int, width: int) -> Iterator[int]:
    """Sizes of blocks of rows of `width` numbers that make up `total` rows."""
    size = max(1, _BLOCK // max(width, 1))
    for begun in range(0, total, size):
        yield min(size, total - begun)


def sign_p(sums: Floats, *, seed: int = 0) -> float:
    """Two-sided p of "each unit's difference could as well have the other sign" (Fisher's randomization test).

    Of few units all signs are tried. Of more they are drawn: 2,000 times, and where hardly any draw is as far as what
    was seen, 20,000 and 200,000 times; the observed signs count too, so p is never 0. Of more than 500 units the sum of
    signs is taken as normal, with its exact variance.

    Args:
        sums: the summed difference of each unit.
    """
    sums = sums[np.abs(sums) > ROUNDING]
    if not len(sums):
        return 1.0
    reach = abs(float(sums.sum())) - ROUNDING
    if len(sums) <= _ALL_SIGNS:
        every = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float(_further(every, sums, reach) / len(every))
    if len(sums) > _NORMAL_SIGNS:
        return float(erfc(max(reach, 0.0) / math.sqrt(2 * float((sums**2).sum()))))
    rng = np.random.default_rng(seed)
    further = done = 0
    for draws in _DRAWS:
        for size in blocks(draws - done, len(sums)):
            bits = np.unpackbits(np.frombuffer(rng.bytes(-(-size * len(sums) // 8)), dtype=np.uint8))
            further += _further(bits[: size * len(sums)].reshape(size, -1), sums, reach)
        done = draws
        if further >= _ENOUGH:
            break
    return (1 + further) / (1 + done)


def _further(bits: NDArray[np.integer], sums: Floats, reach: float) -> int:
    """How many rows of signs, 0 or 1 for each unit, put the sum at least so far from 0."""
    return int((np.abs(bits @ (2 * sums) - sums.sum()) >= reach).sum())
