"""How far a confidence is the share of right answers, and what makes it so. Pure: no I/O, no models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inhouse.core import CalibrationError, Calibrator, Metric, ReliabilityBin
from inhouse.core.calibration import logit
from inhouse.errors import NoMetric
from inhouse.scoring.judge import Judged
from inhouse.scoring.summary import summarise
from inhouse.scoring.units import units_of

# With fewer right or fewer wrong answers nothing can be fitted.
MIN_EACH = 5
# Isotonic regression learns a step for each bend: with fewer answers it learns their noise (Niculescu-Mizil and Caruana
# 2005, "Predicting Good Probabilities with Supervised Learning", figure 8).
MIN_ISOTONIC = 200
FOLDS = 5
# Sets of answers that are drawn to see what chance does; sums of more answers, or groups, are normal.
_DRAWS, _MANY = 4_000, 200
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def fit_calibrator(raw: Floats, right: Bools, groups: Sequence[str] | None = None) -> Calibrator:
    """What turns confidences into probabilities of being right.

    Logistic (Platt 1999, with his targets): temperature scaling (Guo et al. 2017, arXiv:1706.04599) of a single
    probability, with an offset beside it, as the mean over an answer's tokens is no probability of the answer. From
    `MIN_ISOTONIC` answers on, isotonic regression where it foretells left-out answers better, by log loss.

    Args:
        raw: confidences, 0 to 1, of answers that were not trained on.
        right: whether each is right.
        groups: answers of one group are left out together.
    """
    raw, right = np.asarray(raw, float), np.asarray(right, bool)
    if min(right.sum(), (~right).sum()) < MIN_EACH:
        return Calibrator()
    x = np.array([logit(c) for c in raw])
    if len(x) < MIN_ISOTONIC:
        return _logistic(x, right)
    fold = units_of(groups, len(x)) % FOLDS
    losses = []
    for fit in (_logistic, _isotonic):
        told = np.empty(len(x))
        for part in range(FOLDS):
            here = fold == part
            if here.any():
                one = fit(x[~here], right[~here])
                told[here] = [one(c) for c in raw[here]]
        told = np.clip(told, 1e-6, 1 - 1e-6)
        losses.append(float(-np.mean(np.where(right, np.log(told), np.log1p(-told)))))
    return _isotonic(x, right) if losses[1] < losses[0] else _logistic(x, right)


def _logistic(x: Floats, right: Bools) -> Calibrator:
    good, bad = float(right.sum()), float((~right).sum())
    wanted = np.where(right, (good + 1) / (good + 2), 1 / (bad + 2))

    def loss(values: Floats) -> float:
        z = np.exp(values[0]) * x + values[1]
        return float(np.mean(np.logaddexp(0, z) - wanted * z))

    # The slope is an exponential: a calibrator must rise, or it would turn the order of the answers round.
    found = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-5, 3), (-30, 30)]).x
    return Calibrator(method="logistic", slope=float(np.exp(found[0])), offset=float(found[1]))


def _isotonic(x: Floats, right: Bools) -> Calibrator:
    """Centred isotonic regression (Oron and Flournoy 2017): each level stands at the mean of its block.

    Straight lines between them keep unequal confidences unequal. A level is drawn in by half an answer at either side,
    as no block shows that nothing in it can be wrong.
    """
    from sklearn.isotonic import IsotonicRegression

    level = IsotonicRegression().fit_transform(x, right.astype(float))
    _, block = np.unique(level, return_inverse=True)
    size = np.bincount(block)
    centre = np.bincount(block, x) / size
    height = np.maximum.accumulate((np.bincount(block, right) + 0.5) / (size + 1))
    rising = np.append(True, np.diff(height) > 0) & np.append(True, np.diff(centre) > 0)
    inner = list(zip(centre[rising].tolist(), height[rising].tolist(), strict=True))
    ends = (logit(0.0), 0.0), (logit(1.0), 1.0)
    return Calibrator(method="isotonic", knots=tuple(k for k in (ends[0], *inner, ends[1])))


def reliability(
    confidence: Floats, right: Bools, groups: Sequence[str] | None = None, *, bins: int = 10, seed: int = 0
) -> tuple[CalibrationError, tuple[ReliabilityBin, ...]]:
    """The expected calibration error in bins of equally many answers, and the bins, the least sure first.

    Chance alone pushes it up, as every bin's distance counts without its sign. How far is shown beside it: what it is
    where every answer is right with the probability that its confidence says (consistency resampling; Bröcker and Smith
    2007, Weather and Forecasting 22:651; for tests of calibration Vaicenavicius et al. 2019, arXiv:1902.06977). Answers
    of one group may be right together: then the distances of whole groups change their sign instead.

    Raises:
        NoMetric: there is no answer.
    """
    confidence, right = np.asarray(confidence, float), np.asarray(right, bool)
    n = len(confidence)
    if n == 0:
        raise NoMetric("a calibration error of no answers was asked for", "give at least one example")
    order = np.argsort(confidence, kind="stable")
    places = [part for part in np.array_split(order, min(bins, n)) if len(part)]
    units, rng = units_of(groups, n), np.random.default_rng(seed)
    alone = int(units.max()) + 1 == n
    off = _redrawn(confidence, places, rng) if alone else _flipped(confidence - right, places, units, rng)
    chance = np.abs(off).sum(1) / n
    error = CalibrationError(
        value=sum(abs(float((confidence[part] - right[part]).sum())) for part in places) / n,
        by_chance=float(chance.mean()),
        by_chance_high=float(np.quantile(chance, 0.95)),
        n=n,
    )
    found = tuple(
        ReliabilityBin(
            confidence=float(confidence[part].mean()),
            right=_share(right[part], None if groups is None else [groups[i] for i in part]),
        )
        for part in places
    )
    return error, found


def _redrawn(confidence: Floats, places: Sequence[NDArray[np.intp]], rng: np.random.Generator) -> Floats:
    """Distances of each bin where answers are right as often as they say, [`_DRAWS`, bins]."""
    off = np.empty((_DRAWS, len(places)))
    for number, sure in enumerate(confidence[part] for part in places):
        if len(sure) > _MANY:
            off[:, number] = math.sqrt(float((sure * (1 - sure)).sum())) * rng.standard_normal(_DRAWS)
        else:
            off[:, number] = sure.sum() - (rng.random((_DRAWS, len(sure)), dtype=np.float32) < sure).sum(1)
    return off


def _flipped(
    apart: Floats, places: Sequence[NDArray[np.intp]], units: NDArray[np.intp], rng: np.random.Generator
) -> Floats:
    """Distances of each bin where each unit's could as well have the other sign, [`_DRAWS`, bins].

    As each unit is a part of the whole that it is compared with, they are scaled as the jackknife scales it.
    """
    sizes = np.bincount(units)
    count = len(sizes)
    if count == 1:
        return np.full((_DRAWS, 1), float(len(apart)))
    table: Floats = np.stack([np.bincount(units[part], apart[part], count) for part in places], axis=1).astype(float)
    table *= (math.sqrt((count - 1) / count) / (1 - sizes / len(apart)))[:, None]
    if count > _MANY:
        return rng.multivariate_normal(np.zeros(len(places)), table.T @ table, _DRAWS, method="eigh")
    return np.asarray(rng.choice([-1.0, 1.0], (_DRAWS, count)) @ table, dtype=float)


def _share(right: Bools, groups: Sequence[str] | None) -> Metric:
    return summarise(Judged((), {"right": right.astype(float)}), (), "right", groups)
