"""How far two graders agree: Cohen's kappa, weighted by the square of how far they are apart. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Metric
from inhouse.errors import NoMetric
from inhouse.scoring.units import Floats, Groups, bias_corrected, units_of, weights, widened

GRADES = (1, 2, 3, 4, 5)
_LEVELS = len(GRADES)
_APART: Floats = (np.subtract.outer(GRADES, GRADES) / (_LEVELS - 1)) ** 2


def quadratic_kappa(
    ours: Sequence[int], theirs: Sequence[int], *, groups: Groups = None, resamples: int = 2000, seed: int = 0
) -> Metric:
    """Agreement of grades from 1 to 5 beyond chance: 1 is equal, 0 as by chance (Cohen 1968, Psychol Bull 70:213).

    With a 95 % bias-corrected bootstrap interval over the answers, or groups of them, widened for few. Where one of the
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
    count = int(units.max()) + 1
    cells = np.zeros((count, _LEVELS**2))
    np.add.at(cells, (units, (a - 1) * _LEVELS + b - 1), 1.0)
    value = float(_kappa(cells.sum(axis=0)[None])[0])
    drawn = _kappa(weights(count, resamples, seed) @ cells)
    low, high = widened(*bias_corrected(drawn, value), value, count)
    return Metric(value=value, low=max(-1.0, min(low, value)), high=min(1.0, max(high, value)), n=len(a))


def _kappa(counts: NDArray[np.floating]) -> Floats:
    """Kappa of each row of counts [rows, 25]: one less the distances seen over those of independent graders."""
    tables = counts.reshape(-1, _LEVELS, _LEVELS) / counts.sum(axis=-1)[:, None, None]
    seen = (tables * _APART).sum(axis=(1, 2))
    by_chance = np.einsum("ri,rj,ij->r", tables.sum(axis=2), tables.sum(axis=1), _APART)
    return np.asarray(np.where(by_chance > 0, 1 - seen / np.where(by_chance > 0, by_chance, 1.0), 0.0), dtype=float)
