"""How far two graders agree: Cohen's kappa, weighted by the square of how far they are apart. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from inhouse.core import Metric
from inhouse.errors import NoMetric
from inhouse.scoring.units import ROUNDING, Floats, Groups, units_of

GRADES = (1, 2, 3, 4, 5)
_LEVELS = len(GRADES)
# Where Fisher's z is finite.
_FINITE = (-0.999, 0.999)
_APART: Floats = (np.subtract.outer(GRADES, GRADES) / (_LEVELS - 1)) ** 2


def quadratic_kappa(ours: Sequence[int], theirs: Sequence[int], *, groups: Groups = None) -> Metric:
    """Agreement of grades from 1 to 5 beyond chance: 1 is equal, 0 as by chance (Cohen 1968, Psychol Bull 70:213).

    The 95 % interval is Student's t with the spread that leaving one answer, or group of them, out at a time shows on
    Fisher's z scale (artanh); chosen over bootstraps by coverage (docs/design/statistics.md). Of graders who always
    agree, the rule of three gives its lower end: distances as of chance may still be in 3 of so many. Where one of the
    two always gives the same grade, nothing agrees beyond chance: 0.

    Raises:
        NoMetric: if there is no grade.
        ValueError: if the lengths differ, or a grade is not from 1 to 5.
    """
    a, b = (np.array(grades, dtype=int) for grades in (ours, theirs))
    if len(a) != len(b) or not np.isin([*a, *b], GRADES).all():
        raise ValueError(f"{len(a)} grades against {len(b)}, each to be from 1 to {_LEVELS}")
    if not len(a):
        raise NoMetric("the agreement of no grades was asked for", "give at least one graded answer")
    units = units_of(groups, len(a))
    cells = np.zeros((int(units.max()) + 1, _LEVELS**2))
    np.add.at(cells, (units, (a - 1) * _LEVELS + b - 1), 1.0)
    total = cells.sum(axis=0)
    value = float(_kappa(total[None])[0])
    low, high = (-1.0, 1.0) if len(cells) < 2 else _interval(value, _kappa(total - cells))
    return Metric(value=value, low=max(-1.0, min(low, value)), high=min(1.0, max(high, value)), n=len(a))


def _interval(value: float, without_one: Floats) -> tuple[float, float]:
    """Args: without_one: the agreement where one unit is left out, each in turn."""
    units = len(without_one)
    if np.ptp(without_one) < ROUNDING:
        return (1 - 3 / units, 1.0) if value > 0 else (value, value)
    middle, z = np.arctanh(np.clip(value, *_FINITE)), np.arctanh(np.clip(without_one, *_FINITE))
    half = float(stdtrit(units - 1, 0.975)) * (units - 1) * math.sqrt(float(z.var()) / units)
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def _kappa(counts: NDArray[np.floating]) -> Floats:
    """Kappa of each row of counts [rows, 25]: one less the distances seen over those of independent graders."""
    tables = counts.reshape(-1, _LEVELS, _LEVELS) / counts.sum(axis=-1)[:, None, None]
    seen = (tables * _APART).sum(axis=(1, 2))
    by_chance = np.einsum("ri,rj,ij->r", tables.sum(axis=2), tables.sum(axis=1), _APART)
    return np.asarray(np.where(by_chance > 0, 1 - seen / np.where(by_chance > 0, by_chance, 1.0), 0.0), dtype=float)
