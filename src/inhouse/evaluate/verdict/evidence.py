"""What a verdict rests on: the sides, their gains, and what is known beside them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Comparison, Metric, MetricsSection
from inhouse.errors import NoMetric, UsageError
from inhouse.scoring import Groups, compare_scores, f1_value, holm, paired_f1_difference, some, some_of

SIGNIFICANT = 0.05
FLOOR = "majority"
# A smaller gain than this from doubling the training examples is not worth the work of collecting them.
WORTH_COLLECTING = 0.01

Texts = Sequence[str | None]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ContenderAnswers:
    """One contender's answers to the validation and the test examples, in their order; None is no answer.

    The scores are each answer's on the primary metric, 0 to 1, nan where it does not apply to the example; where there
    are none, an answer is worth 1 if it is the expected one to the letter.

    `asked`: which test examples it was asked, where not all; the scores of the others are nan.
    `version`: whether a fine-tuned contender is a version as it is. One that is to be made into one first is compared,
    but does not stand for its side while another one does.
    """

    name: str
    fine_tuned: bool
    validation: list[str | None]
    test: list[str | None]
    validation_scores: Floats | None = None
    test_scores: Floats | None = None
    version: bool = True
    asked: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Gain:
    """How far one contender is ahead of another, and whether that is more than chance."""

    value: float
    low: float
    high: float
    p_value: float

    @property
    def better(self) -> bool:
        """Beyond chance by test and interval, which may part where examples come in groups."""
        return self.p_value < SIGNIFICANT and self.low > 0

    @property
    def worse(self) -> bool:
        return self.p_value < SIGNIFICANT and self.high < 0


@dataclass(frozen=True)
class Side:
    """The contender that a side sends, with what decides whether it could serve at all."""

    name: str
    on_validation: float
    right: int
    value: float
    meets_bar: bool
    beats_floor: bool

    @property
    def fit(self) -> bool:
        return self.meets_bar and self.beats_floor


@dataclass(frozen=True)
class CurveSeen:
    """What as many training examples again would bring, as a fraction, with its 95 % interval.

    `of` names what the curve was drawn by.
    """

    gain: float
    low: float
    high: float
    of: str

    @property
    def rises(self) -> bool:
        """Whether they probably bring something worth the work."""
        return self.gain >= WORTH_COLLECTING

    @property
    def told(self) -> str:
        """The curve in brackets."""
        return (
            f"as many again bring about {100 * self.gain:.1f} points by the curve of {self.of}, 95 % interval "
            f"{100 * self.low:.1f} to {100 * self.high:.1f}"
        )


DrawCurve = Callable[[], CurveSeen | None]


@dataclass(frozen=True)
class Case:
    """Everything that the decision rests on. `tuned` and `gain` are None where nothing was fine-tuned.

    `unasked`: how many test examples there are beside the `expected` ones that both sides were asked.
    """

    tuned: Side | None
    other: Side
    gain: Gain | None
    floor: Side
    over_floor: Sequence[Gain]
    comparisons: tuple[Comparison, ...]
    contenders: frozenset[str]
    expected: Sequence[str]
    unasked: int
    metrics: MetricsSection
    leaked: int
    mend: str
    curve: DrawCurve
    train_examples: int | None
    lift: Metric | None

    @property
    def sides(self) -> list[Side]:
        return [self.other] if self.tuned is None else [self.tuned, self.other]

    @property
    def leader(self) -> str:
        """The best on validation; in a tie the alternative, which needs no training. Always a real contender."""
        real = [s for s in reversed(self.sides) if s.name in self.contenders]
        return max(real, key=lambda s: s.on_validation).name


def weigh(
    answers: Sequence[ContenderAnswers],
    expected: Sequence[str],
    expected_validation: Sequence[str],
    metrics: MetricsSection,
    groups: Groups,
    leaked: int,
    mend: str,
    curve: DrawCurve,
    train_examples: int | None,
    lift: Callable[[], Metric | None],
) -> Case:
    if not answers:
        raise UsageError("a verdict on no contender was asked for", "name at least one contender")
    by_f1 = metrics.primary == "macro_f1"

    def on_validation(c: ContenderAnswers) -> float:
        if by_f1:
            return f1_value(c.validation, expected_validation)
        return mean(scores(c.validation, c.validation_scores, expected_validation))

    def compare(a: ContenderAnswers, b: ContenderAnswers) -> Gain:
        both = asked_of((a, b), expected)
        ours, theirs = (some_of(c.test, both) for c in (a, b))
        said, own_groups = some_of(expected, both), some(groups, both)
        if by_f1:
            return Gain(*paired_f1_difference(ours, theirs, said, groups=own_groups))
        of = [scores(c.test, c.test_scores, expected)[both] for c in (a, b)]
        return Gain(*compare_scores(*of, groups=own_groups))

    def best(side: Sequence[ContenderAnswers]) -> ContenderAnswers:
        return max(side, key=on_validation)

    floor = next((c for c in answers if c.name == FLOOR), None) or constant(expected_validation, len(expected))
    tuned = [c for c in answers if c.fine_tuned]
    tuned = [c for c in tuned if c.version] or tuned
    others = [c for c in answers if not c.fine_tuned] or [floor]
    chosen = [best(side) for side in (tuned, others) if side]
    # What the sides are worth is told on what both were asked, so that the figures of a sentence belong together.
    told = asked_of(chosen, expected)
    told_of = some_of(expected, told)

    def on_test(c: ContenderAnswers) -> Floats:
        return scores(c.test, c.test_scores, expected)[told]

    def value_of(c: ContenderAnswers) -> float:
        return f1_value(some_of(c.test, told), told_of) if by_f1 else mean(on_test(c))

    above = [c for c in chosen if c.name != floor.name]
    over_floor = adjusted([compare(c, floor) for c in above])
    beating = {c.name for c, g in zip(above, over_floor, strict=True) if g.better}

    def side(c: ContenderAnswers) -> Side:
        value = value_of(c)
        meets_bar = metrics.minimum is None or at_least(value, metrics.minimum)
        right = int(np.nansum(on_test(c)))
        return Side(c.name, on_validation(c), right, value, meets_bar, c.name in beating)

    gains = adjusted([compare(chosen[0], other) for other in others]) if tuned else []
    return Case(
        tuned=side(chosen[0]) if tuned else None,
        other=side(chosen[-1]),
        gain=gains[others.index(chosen[-1])] if tuned else None,
        floor=side(floor),
        over_floor=over_floor,
        comparisons=tuple(
            Comparison(ours=chosen[0].name, theirs=c.name, gain=g.value, low=g.low, high=g.high, p_value=g.p_value)
            for c, g in zip(others if tuned else (), gains, strict=True)
        ),
        contenders=frozenset(c.name for c in answers),
        expected=told_of,
        unasked=len(expected) - len(told_of),
        metrics=metrics,
        leaked=leaked,
        mend=mend,
        curve=curve,
        train_examples=train_examples,
        lift=None if beating else lift(),
    )


def constant(expected_validation: Sequence[str], tests: int) -> ContenderAnswers:
    """What `majority` would answer, as far as validation tells."""
    common: list[str | None] = [label for label, _ in Counter(expected_validation).most_common(1)]
    return ContenderAnswers(FLOOR, False, common * len(expected_validation), common * tests)


def asked_of(answers: Sequence[ContenderAnswers], expected: Sequence[str]) -> NDArray[np.bool_]:
    """The test examples that all of them were asked."""
    asked = np.ones(len(expected), dtype=bool)
    for one in answers:
        if one.asked is not None:
            asked &= one.asked
    return asked


def adjusted(gains: Sequence[Gain]) -> list[Gain]:
    p_values = holm([g.p_value for g in gains])
    return [Gain(g.value, g.low, g.high, p) for g, p in zip(gains, p_values, strict=True)]


def scores(answers: Texts, scores: Floats | None, expected: Sequence[str]) -> Floats:
    if scores is None:
        return np.array([a == e for a, e in zip(answers, expected, strict=True)], dtype=float)
    if len(scores) != len(expected):
        raise ValueError(f"{len(scores)} scores for {len(expected)} examples")
    return scores


def mean(scores: Floats) -> float:
    known = scores[~np.isnan(scores)]
    if not len(known):
        raise NoMetric("a metric of no examples was asked for", "give at least one example that it applies to")
    return float(known.mean())


def at_least(value: float, least: float) -> bool:
    # 0.12 - 0.10 is a hair under 0.02.
    return value >= least - 1e-12
