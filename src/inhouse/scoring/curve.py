"""What more examples would bring: a power law through trainings on growing shares of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inhouse.core import CurvePoint
from inhouse.errors import NoMetric

# By how much chance moves the logarithm of a training's error, until the trainings themselves tell; that counts as much
# as so many of them. With it 95 % intervals held the truth in 93 to 100 % of simulated curves (docs/log.md).
USUAL_NOISE = 0.05
WORTH = 3


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """`error(n) = a n^-power`, the points on it, measured ones first, and what doubling the examples would bring.

    `gain` is from the curve at the most examples to the curve at twice as many, `low` and `high` its 95 % interval.
    """

    power: float
    points: tuple[CurvePoint, ...]
    gain: float
    low: float
    high: float


def learning_curve(
    counts: Sequence[int],
    scores: NDArray[np.float64],
    ahead: Sequence[int],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> LearningCurve:
    """Fit `error(n) = a n^-b` and read it off at larger numbers (Hestness et al. 2017, arXiv:1712.00409).

    Least squares on the logarithms. The intervals are percentiles over resampled validation examples, the same for
    every training, so that what makes an example hard for all of them does not count as noise between them. What chance
    does to a training itself, its order and its first weights, is drawn beside: from the normal distribution whose
    variance the distances of the points from the curve leave likely (scaled inverse chi-squared, with `USUAL_NOISE` as
    the prior; Gelman et al. 2013, "Bayesian Data Analysis", section 2.6).

    Args:
        counts: training examples of each training, rising.
        scores: of each training (row) on the same validation examples, 0 to 1.
        ahead: numbers of training examples to foretell.

    Raises:
        NoMetric: fewer than two trainings, or no validation examples.
    """
    trainings, examples = scores.shape
    if trainings < 2 or examples == 0:
        raise NoMetric(
            f"a learning curve of {trainings} trainings and {examples} validation examples was asked for",
            "give two trainings and one validation example at least",
        )
    chance = np.random.default_rng(seed)
    drawn = chance.integers(0, examples, (resamples, examples))
    resampled = np.stack([row[drawn].mean(1) for row in scores], 1)
    # An error of nothing has no logarithm: half an example is the least that this many can show.
    least = 0.5 / examples
    own = _log_errors(scores.mean(1)[None], least)
    own_power, own_scale = _fit(counts, own)
    off = float(((own - (own_scale - own_power * np.log(counts))) ** 2).sum())
    freedom = WORTH + trainings - 2
    noise = np.sqrt((WORTH * USUAL_NOISE**2 + off) / chance.chisquare(freedom, (resamples, 1)))
    moved = _log_errors(resampled, least) + noise * chance.standard_normal((resamples, trainings))
    powers, scales = _fit(counts, moved)
    points = [
        _point(n, float(row.mean()), resampled[:, i], measured=True)
        for i, (n, row) in enumerate(zip(counts, scores, strict=True))
    ]
    for n in ahead:
        value = float(1 - _error(n, own_power, own_scale)[0])
        points.append(_point(n, value, 1 - _error(n, powers, scales), measured=False))
    low, high = np.percentile(_gain(counts[-1], powers, scales), [2.5, 97.5])
    gain = float(_gain(counts[-1], own_power, own_scale)[0])
    return LearningCurve(float(own_power[0]), tuple(points), gain, float(min(low, gain)), float(max(high, gain)))


def _gain(count: int, powers: NDArray[np.float64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """What twice as many examples take from the error."""
    return _error(count, powers, scales) - _error(2 * count, powers, scales)


def _error(count: int, powers: NDArray[np.float64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve at so many examples."""
    error: NDArray[np.float64] = np.exp(scales - powers * np.log(count))
    return error


def _log_errors(scores: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Logarithms of errors, none of them of less than `least`."""
    errors: NDArray[np.float64] = np.log(np.maximum(1 - scores, least))
    return errors


def _fit(counts: Sequence[int], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Power and the logarithm of the scale for each row of log errors [rows, trainings]; a power is never negative."""
    x = np.log(np.asarray(counts, dtype=float))
    power = np.maximum(-((y * (x - x.mean())).sum(1) / ((x - x.mean()) ** 2).sum()), 0.0)
    return power, y.mean(1) + power * x.mean()


def _point(examples: int, score: float, drawn: NDArray[np.float64], *, measured: bool) -> CurvePoint:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return CurvePoint(
        examples=examples, score=score, low=float(min(low, score)), high=float(max(high, score)), measured=measured
    )
