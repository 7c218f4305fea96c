"""From the confidence that a model gives itself to the probability that its answer is right."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping

from inhouse.core.evaluation import CalibrationMethod
from inhouse.core.frozen import Frozen

# A confidence of 1 has no finite logit; this is the nearest to it that float32 chances tell apart many times over.
_NEAREST = 1e-12
Knots = tuple[tuple[float, float], ...]


class Calibrator(Frozen):
    """A rising function from confidence to confidence, fitted on validation answers; it holds no text.

    Attributes:
        method: `logistic` is `sigmoid(slope * logit + offset)`; `isotonic` goes straight from knot to knot; `none`
            leaves everything as it is.
        knots: pairs of logit and probability, rising in both.
    """

    method: CalibrationMethod = "none"
    slope: float = 1.0
    offset: float = 0.0
    knots: Knots = ()

    def __call__(self, confidence: float) -> float:
        """The calibrated confidence, 0 to 1; what is no answer has 0, and keeps it."""
        if self.method == "none" or confidence <= 0.0:
            return confidence
        if self.method == "logistic":
            return _sigmoid(self.slope * logit(confidence) + self.offset)
        return _between(self.knots, logit(confidence))

    def before(self, confidence: float) -> float:
        """The model's own confidence that becomes this one; above 1 where none does."""
        if self.method == "none" or confidence > 1.0:
            return confidence
        if self.method == "logistic":
            return _sigmoid((logit(confidence) - self.offset) / self.slope)
        return _sigmoid(_between(tuple((y, x) for x, y in self.knots), confidence))


def calibrated_parts(parts: Mapping[str, float], calibrators: Mapping[str, Calibrator]) -> dict[str, float]:
    """The confidence in each field of an object by its own calibrator, or by that of the empty path for all others."""
    others = calibrators.get("", Calibrator())
    return {path: calibrators.get(path, others)(confidence) for path, confidence in parts.items()}


def logit(confidence: float) -> float:
    """The logarithm of the odds, finite at 0 and 1 too."""
    held = min(max(confidence, _NEAREST), 1.0 - _NEAREST)
    return math.log(held) - math.log1p(-held)


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))


def _between(knots: Knots, at: float) -> float:
    """The height at a place between knots, on the straight line; beyond the ends that of the end."""
    place = bisect_right([x for x, _ in knots], at)
    if place in (0, len(knots)):
        return knots[min(place, len(knots) - 1)][1]
    (x0, y0), (x1, y1) = knots[place - 1], knots[place]
    return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
