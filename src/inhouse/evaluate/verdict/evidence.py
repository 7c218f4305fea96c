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
    `version`: whether a fine-tuned contender is a version as it is. One that is to be made into one first is compared
    with the best alternative and with those that are, but does not stand for its side while another one does.
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
class Matter:
    """What is to be decided; the attributes are the arguments of `decide`."""

    answers: Sequence[ContenderAnswers]
    expected: Sequence[str]
    expected_validation: Sequence[str]
    metrics: MetricsSection
    groups: Groups
    leaked: int
    mend: str
    curve: DrawCurve
    train_examples: int | None
    lift: Callable[[], Metric | None]

    @property
    def by_f1(self) -> bool:
        return self.metrics.primary == "macro_f1"

    def best(self, side: Sequence[ContenderAnswers]) -> ContenderAnswers:
        """The first of the best on validation."""
        return max(side, key=lambda c: on_validation(c, self.expected_validation, by_f1=self.by_f1))

    def asked(self, *those: ContenderAnswers) -> NDArray[np.bool_]:
        """The test examples that all of them were asked."""
        asked = np.ones(len(self.expected), dtype=bool)
        for one in those:
            if one.asked is not None:
                asked &= one.asked
        return asked

    def compare(self, a: ContenderAnswers, b: ContenderAnswers) -> Gain:
        both = self.asked(a, b)
        own_groups = some(self.groups, both)
        if self.by_f1:
            ours, theirs = (some_of(c.test, both) for c in (a, b))
            return Gain(*paired_f1_difference(ours, theirs, some_of(self.expected, both), groups=own_groups))
        return Gain(*compare_scores(*(self.on_test(c, both) for c in (a, b)), groups=own_groups))

    def on_test(self, c: ContenderAnswers, told: NDArray[np.bool_]) -> Floats:
        return scores(c.test, c.test_scores, self.expected)[told]

    def side(self, c: ContenderAnswers, told: NDArray[np.bool_], *, beats_floor: bool) -> Side:
        """What a contender is worth on some test examples."""
        right = self.on_test(c, told)
        value = f1_value(some_of(c.test, told), some_of(self.expected, told)) if self.by_f1 else mean(right)
        return Side(
            name=c.name,
            on_validation=on_validation(c, self.expected_validation, by_f1=self.by_f1),
            right=int(np.nansum(right)),
            value=value,
            meets_bar=self.metrics.minimum is None or at_least(value, self.metrics.minimum),
            beats_floor=beats_floor,
        )


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
    expected: Sequence[str]
    unasked: int
    matter: Matter

    @property
    def metrics(self) -> MetricsSection:
        return self.matter.metrics

    @property
    def sides(self) -> list[Side]:
        return [self.other] if self.tuned is None else [self.tuned, self.other]

    @property
    def leader(self) -> str:
        """The best on validation; in a tie the alternative, which needs no training. Always a real contender."""
        real = {c.name for c in self.matter.answers}
        return max((s for s in reversed(self.sides) if s.name in real), key=lambda s: s.on_validation).name


def weigh(matter: Matter) -> tuple[Case, list[Case]]:
    """The case of the two sides; and of each fine-tuned contender that is no version as it is, and is better beyond
    chance than all that are, its own against the same alternative."""
    answers, expected = matter.answers, matter.expected
    if not answers:
        raise UsageError("a verdict on no contender was asked for", "name at least one contender")
    majority = next((c for c in answers if c.name == FLOOR), None)
    floor = majority or constant(matter.expected_validation, len(expected))
    tuned = [c for c in answers if c.fine_tuned]
    versions = [c for c in tuned if c.version] or tuned
    made_of = [c for c in tuned if c.name not in {v.name for v in versions}]
    others = [c for c in answers if not c.fine_tuned] or [floor]
    ours, other = matter.best(versions) if versions else None, matter.best(others)
    pairs = [(ours, one) for one in others] if ours else []
    pairs += [(one, rival) for one in made_of for rival in (other, *versions)]
    gains = adjusted([matter.compare(*pair) for pair in pairs])
    found = {(a.name, b.name): gain for (a, b), gain in zip(pairs, gains, strict=True)}
    comparisons = tuple(
        Comparison(ours=a, theirs=b, gain=g.value, low=g.low, high=g.high, p_value=g.p_value)
        for (a, b), g in found.items()
    )

    def case(sent: ContenderAnswers | None) -> Case:
        chosen = [sent, other] if sent else [other]
        # What the sides are worth is told on what both were asked, so that the figures of a sentence belong together.
        told = matter.asked(*chosen)
        above = [c for c in chosen if c.name != floor.name]
        over_floor = adjusted([matter.compare(c, floor) for c in above])
        beating = {c.name for c, g in zip(above, over_floor, strict=True) if g.better}
        sides = [matter.side(c, told, beats_floor=c.name in beating) for c in (*chosen, floor)]
        return Case(
            tuned=sides[0] if sent else None,
            other=sides[-2],
            gain=found[sent.name, other.name] if sent else None,
            floor=sides[-1],
            over_floor=over_floor,
            comparisons=comparisons,
            expected=some_of(expected, told),
            unasked=int((~told).sum()),
            matter=matter,
        )

    return case(ours), [case(one) for one in made_of if all(found[one.name, v.name].better for v in versions)]


def on_validation(c: ContenderAnswers, expected: Sequence[str], *, by_f1: bool) -> float:
    """What the best of a side is chosen by.

    Raises:
        NoMetric: the metric applies to no validation example.
    """
    return f1_value(c.validation, expected) if by_f1 else mean(scores(c.validation, c.validation_scores, expected))


def constant(expected_validation: Sequence[str], tests: int) -> ContenderAnswers:
    """What `majority` would answer, as far as validation tells."""
    common: list[str | None] = [label for label, _ in Counter(expected_validation).most_common(1)]
    return ContenderAnswers(FLOOR, False, common * len(expected_validation), common * tests)


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
