"""How far a confidence is the share of right answers, and what makes it so. Pure: no I/O, no models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inhouse.core import Calibrator, Metric, ReliabilityBin
from inhouse.core.calibration import logit
from inhouse.errors import NoMetric
from inhouse.scoring.judge import Judged
from inhouse.scoring.summary import summarise
from inhouse.scoring.units import MANY_UNITS, units_of

# With fewer right or fewer wrong answers nothing can be fitted.
MIN_EACH = 5
# Isotonic regression learns a step for each bend: with fewer answers it learns their noise (Niculescu-Mizil and Caruana
# 2005, "Predicting Good Probabilities with Supervised Learning", figure 8).
MIN_ISOTONIC = 200
FOLDS = 5
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
    confidence: Floats,
    right: Bools,
    groups: Sequence[str] | None = None,
    *,
    bins: int = 10,
    resamples: int = 500,
    seed: int = 0,
) -> tuple[Metric, tuple[ReliabilityBin, ...]]:
    """The expected calibration error in bins of equally many answers, and the bins, the least sure first.

    Chance alone pushes the error of a small sample up, as every bin's distance counts without its sign (Nixon et al.
    2019, arXiv:1904.01685): to some 0.08 with 100 answers and 0.035 with 500 where there is none. The interval takes
    most of that back: it is the basic bootstrap one, by group, which turns round what resampling adds.

    Raises:
        NoMetric: there is no answer.
    """
    confidence, right = np.asarray(confidence, float), np.asarray(right, bool)
    n = len(confidence)
    if n == 0:
        raise NoMetric("a calibration error of no answers was asked for", "give at least one example")
    order = np.argsort(confidence, kind="stable")
    places = [part for part in np.array_split(order, min(bins, n)) if len(part)]
    units = units_of(groups, n)
    which = np.empty(n, dtype=int)
    for number, part in enumerate(places):
        which[part] = number
    # By unit and bin, the sum of confidence less right, and the unit's size: a resample adds up units.
    table = np.zeros((int(units.max()) + 1, len(places) + 1))
    np.add.at(table, (units, which), confidence - right)
    table[:, -1] = np.bincount(units)
    sums = _resampled(table, resamples, np.random.default_rng(seed))
    drawn = np.abs(sums[:, :-1]).sum(1) / sums[:, -1]
    value = float(np.abs(table[:, :-1].sum(0)).sum() / n)
    low, high = (2 * value - float(q) for q in np.quantile(drawn, [0.975, 0.025]))
    found = tuple(
        ReliabilityBin(
            confidence=float(confidence[part].mean()),
            right=_share(right[part], None if groups is None else [groups[i] for i in part]),
        )
        for part in places
    )
    return Metric(value=value, low=max(0.0, min(low, value)), high=min(1.0, max(high, value)), n=n), found


def _share(right: Bools, groups: Sequence[str] | None) -> Metric:
    return summarise(Judged((), {"right": right.astype(float)}), (), "right", groups)


def _resampled(table: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums over as many units drawn with replacement, [resamples, columns]; of many units they are normal."""
    count = len(table)
    if count > MANY_UNITS:
        return rng.multivariate_normal(table.sum(0), np.cov(table.T, bias=True) * count, resamples, method="eigh")
    return np.array([np.bincount(rng.integers(count, size=count), minlength=count) @ table for _ in range(resamples)])
