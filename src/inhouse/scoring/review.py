"""Which answers a person should look at: a threshold of the confidence that keeps errors under a target. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from inhouse.core import Review, ReviewPoint
from inhouse.errors import EngineFault
from inhouse.scoring.judge import Judged
from inhouse.scoring.summary import summarise
from inhouse.scoring.units import design_effect, units_of

EVERYTHING_TO_A_PERSON = 1.01
CERTAINTY = 0.95
# Thresholds that are tried at most, and points of a curve.
MOST_THRESHOLDS = 100
CURVE_POINTS = 25
# A walk down the thresholds begins where the validation answers promise so small a p.
_SURE_START = 0.005

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Groups = Sequence[str] | None


@dataclass(frozen=True)
class Confidences:
    """Answers as a review sees them: how sure each is, and whether it is right.

    Attributes:
        sure: 0 to 1; below 0 where there is no whole answer, which goes to a person at any threshold.
        right: in the same order.
        groups: of the examples; None where each is its own.

    Raises:
        EngineFault: a confidence is not a number.
        ValueError: the lengths differ.
    """

    sure: Floats
    right: Bools
    groups: Groups = None

    def __post_init__(self) -> None:
        if len(self.sure) != len(self.right) or (self.groups is not None and len(self.groups) != len(self.sure)):
            raise ValueError(f"{len(self.sure)} confidences for {len(self.right)} answers")
        if np.isnan(self.sure).any():
            raise EngineFault("a confidence is not a number", "report this with the engine's name")

    def __len__(self) -> int:
        return len(self.sure)

    @cached_property
    def _shared(self) -> NDArray[np.intp] | None:
        """The number of each answer's group, where any has two answers: else they change nothing."""
        units = units_of(self.groups, len(self))
        return None if self.groups is None or int(units.max(initial=-1)) + 1 == len(self) else units

    @cached_property
    def _known(self) -> dict[float, tuple[int, int, float]]:
        """What was counted already: several targets ask for the same thresholds."""
        return {}

    def counted(self, threshold: float) -> tuple[int, int, float]:
        """How many answers go straight, how many of them are wrong, and how much of an independent one each is worth:
        1 over the design effect."""
        if threshold not in self._known:
            through = (self.sure >= threshold) & (self.sure >= 0)
            n, wrong = int(through.sum()), ~self.right[through]
            groups = None if self._shared is None else self._shared[through]
            worth = 1.0 / design_effect(wrong.astype(float), groups) if n else 1.0
            self._known[threshold] = n, int(wrong.sum()), worth
        return self._known[threshold]

    def point(self, threshold: float, certainty: float = CERTAINTY) -> ReviewPoint:
        """What a threshold does to these answers, one at least."""
        n, wrong, _ = self.counted(threshold)
        through = ((self.sure >= threshold) & (self.sure >= 0)).astype(float)
        straight = summarise(Judged((), {"straight": through}), (), "straight", self._shared)
        return ReviewPoint(
            threshold=threshold,
            straight=straight.value,
            straight_low=straight.low,
            straight_high=straight.high,
            errors=wrong / max(n, 1),
            errors_high=self.errors_high(threshold, certainty),
            n=n,
        )

    def errors_high(self, threshold: float, certainty: float = CERTAINTY) -> float:
        """The upper bound of the share of wrong answers among those that go straight; 1 where none does."""
        n, wrong, worth = self.counted(threshold)
        return _upper(wrong * worth, n * worth, certainty)


def certified_review(
    contender: str,
    validation: Confidences,
    judged: Confidences,
    target_errors: float,
    *,
    certainty: float = CERTAINTY,
    with_curve: bool = False,
) -> Review:
    """The lowest threshold at which errors among the answers that go straight keep to a target, with certainty.

    Fixed-sequence testing (Angelopoulos et al. 2021, "Learn then Test", arXiv:2110.01052): the validation answers alone
    say which thresholds are tried, and from which one on; the walk goes down for as long as the upper Clopper-Pearson
    bound of the errors among the judged answers is within the target, and ends at the first where it is not. So the
    chance that the threshold which comes out lets more errors through is at most 1 - `certainty`, however many were
    tried. With groups, answers count as the independent ones that they are worth (design effect).

    Args:
        validation: answers that chose nothing but the sequence.
        judged: answers that nothing was fitted on or chosen by.
        target_errors: the share of wrong answers, 0 to 1, that may go straight.
        with_curve: with what other thresholds would do.
    """
    threshold: float | None = None
    for tried in _sequence(validation, len(judged), target_errors):
        if not judged.counted(tried)[0] or judged.errors_high(tried, certainty) > target_errors:
            break
        threshold = tried
    passed = judged.point(threshold, certainty) if threshold is not None else None
    straight = passed.straight if passed else 0.0
    return Review(
        contender=contender,
        target_errors=target_errors,
        threshold=threshold,
        straight=straight,
        straight_low=passed.straight_low if passed else None,
        straight_high=passed.straight_high if passed else None,
        review_rate=1.0 - straight,
        certain=passed is not None,
        more_examples=None if passed else _more(judged, target_errors, certainty),
        curve=review_curve(judged) if with_curve else (),
    )


def review_curve(judged: Confidences) -> tuple[ReviewPoint, ...]:
    """What thresholds from the highest to the lowest confidence would do; each point's bound holds for itself alone."""
    return tuple(judged.point(t) for t in _spread(judged.sure, CURVE_POINTS))


def examples_to_certify(target_errors: float, errors: float = 0.0, certainty: float = CERTAINTY) -> int | None:
    """How many answers that go straight are needed to be certain of a target, where a share `errors` of them is wrong.

    149 without an error for 2 %, 59 for 5 %. None where no number is enough.
    """
    if errors >= target_errors:
        return None
    low, high = 0, 1
    while _p(high * errors, high, target_errors) > 1 - certainty:
        low, high = high, 2 * high
        if high > 10**9:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _p(middle * errors, middle, target_errors) <= 1 - certainty else (middle, high)
    return high


def _sequence(validation: Confidences, judged: int, target_errors: float) -> list[float]:
    """Thresholds to try, downwards, from the first that the validation answers hold for safe.

    Nothing less sure than anything validated is ever let through. High thresholds let so few answers through that they
    could show nothing, and the walk would end there.
    """
    thresholds = _spread(validation.sure, MOST_THRESHOLDS)
    promised = []
    for threshold in thresholds:
        n, wrong, worth = validation.counted(threshold)
        expected = n / max(len(validation), 1) * judged * worth
        promised.append(_p((wrong + 0.5) / (n + 1) * expected, expected, target_errors))
    if not promised:
        return []
    safe = [i for i, p in enumerate(promised) if p <= _SURE_START]
    return thresholds[safe[0] if safe else int(np.argmin(promised)) :]


def _spread(sure: Floats, most: int) -> list[float]:
    """Confidences of whole answers, the highest first: all, or so many with equally many answers between them."""
    known = np.sort(sure[sure >= 0])[::-1]
    if not len(known):
        return []
    places = np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))
    return sorted({float(v) for v in known[places]}, reverse=True)


def _upper(wrong: float, n: float, certainty: float) -> float:
    """The upper bound of a share (Clopper and Pearson 1934), one-sided."""
    return 1.0 if wrong >= n else float(betaincinv(wrong + 1, n - wrong, certainty))


def _p(wrong: float, n: float, target: float) -> float:
    """The chance of at most so many wrong among n where the target share is; counts need not be whole."""
    return 1.0 if wrong >= n else 1.0 - float(betainc(wrong + 1, n - wrong, target))


def _more(judged: Confidences, target_errors: float, certainty: float) -> int | None:
    """How many more examples would make some threshold certain, if answers stay as right as they are there."""
    needed = []
    for threshold in _spread(judged.sure, CURVE_POINTS):
        n, wrong, worth = judged.counted(threshold)
        enough = examples_to_certify(target_errors, wrong / n, certainty)
        if n >= 10 and enough is not None:
            needed.append(int(np.ceil(enough / worth * len(judged) / n)) - len(judged))
    return max(1, min(needed)) if needed else None
