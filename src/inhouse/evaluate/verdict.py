"""The verdict: from the answers of all contenders to one decision with its reason (design, section 5). Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Decision, MetricsSection, Verdict
from inhouse.errors import NoMetric, UsageError
from inhouse.scoring import compare_scores, examples_to_tell, holm, macro_f1, paired_f1_difference

# How a sentence puts a value of a metric.
METRIC_WORDS = {
    "accuracy": "an accuracy of",
    "macro_f1": "a macro-F1 of",
    "fields_exact": "right fields of",
    "object_exact": "wholly right objects of",
    "chrf": "a chrF of",
    "rouge_l": "a ROUGE-L of",
    "facts_kept": "kept facts of",
}

SIGNIFICANT = 0.05
FLOOR = "majority"
# A difference below half a point is not planned for: the number of test examples would run into tens of thousands.
SMALLEST_PLANNED = 0.005
# Fewer examples than a quarter on top hardly narrow an interval (by a tenth), whatever the formula says.
LEAST_MORE = 0.25
_Z = 1.959964

Texts = Sequence[str | None]
Floats = NDArray[np.float64]
Groups = Sequence[str] | None


@dataclass(frozen=True)
class ContenderAnswers:
    """One contender's answers to the validation and the test examples, in their order; None is no answer.

    The scores are each answer's on the primary metric, 0 to 1, nan where it does not apply to the example; where there
    are none, an answer is worth 1 if it is the expected one to the letter.
    """

    name: str
    fine_tuned: bool
    validation: list[str | None]
    test: list[str | None]
    validation_scores: Floats | None = None
    test_scores: Floats | None = None


@dataclass(frozen=True)
class _Gain:
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
class _Side:
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
class _Case:
    """Everything that the decision rests on. `tuned` and `gain` are None where nothing was fine-tuned."""

    tuned: _Side | None
    other: _Side
    gain: _Gain | None
    floor: _Side
    contenders: frozenset[str]
    expected: Sequence[str]
    metrics: MetricsSection
    leaked: int
    curve_rises: bool | None
    train_examples: int | None

    @property
    def sides(self) -> list[_Side]:
        return [self.other] if self.tuned is None else [self.tuned, self.other]

    @property
    def leader(self) -> str:
        """The best on validation; in a tie the alternative, which needs no training. Always a real contender."""
        real = [s for s in reversed(self.sides) if s.name in self.contenders]
        return max(real, key=lambda s: s.on_validation).name


@dataclass(frozen=True)
class _Outcome:
    decision: Decision
    winner: str
    conclusion: str
    more_examples: int | None = None


def decide(
    answers: Sequence[ContenderAnswers],
    *,
    expected_test: Sequence[str],
    expected_validation: Sequence[str],
    metrics: MetricsSection,
    test_groups: Sequence[str] | None = None,
    leaked: int = 0,
    curve_rises: bool | None = None,
    train_examples: int | None = None,
) -> Verdict:
    """Decide whether the fine-tuned side is worth having.

    The best of each side on validation (the first of equals) stands for it on the test examples; another one is
    never taken for its test score. The alternative side holds `majority` too, which is also the floor; where no
    `majority` was asked, the most frequent validation label takes its place. Gain is fine-tuned minus alternative on
    the primary metric, whoever wins. "Beyond chance" is p < 0.05 and an interval without 0; p is Holm-adjusted over
    the comparisons of the fine-tuned side with every alternative (against the floor: over both sides). The bar is met
    if the test value reaches it. A side is fit to serve if it meets the bar and beats the floor beyond chance.

    The first of these that holds decides:

    1. `reject`: a test example stands in the training data.
    2. `reject`: neither side beats the floor beyond chance.
    3. Neither side meets the bar: `collect_more` (training examples, as many again) if the learning curve rises, else
       (it does not, or nobody knows) `reject`.
    4. `not_needed`: nothing was fine-tuned, and the alternative is fit.
    5. `adopt`: the gain is beyond chance and at least `min_gain`, and the fine-tuned side is fit.
    6. `not_needed`: the alternative is fit, and is better beyond chance or the gain's upper end is under `min_gain`.
    7. `collect_more` (test examples): whatever is left, which is
       a. the interval holds both 0 and `min_gain`;
       b. the gain is beyond chance, its estimate under `min_gain`, its upper end not;
       c. only the fine-tuned side meets the bar, but not by `min_gain`: too close to the bar to rest on it;
       d. only the alternative meets the bar, but the fine-tuned side may yet be better by `min_gain`;
       e. the side that is ahead beyond chance is not itself shown to beat the floor, while the other is.
       The side that is better on the test cannot miss a bar that the other meets, as both are the same metric.

    Args:
        answers: every contender's answers, in the order of preference among equals.
        test_groups: the group of each test example, where examples belong together.
        leaked: number of test examples that also stand in the training data.
        curve_rises: whether more training examples still improved the model; None if that was not measured.
        train_examples: how many examples were trained on; without it, rule 3 cannot say how many more are wanted.

    Raises:
        UsageError: if there is no contender at all.
        NoMetric: if there are no test or no validation examples.
        ValueError: if a contender has not one answer per example.
    """
    case = _weigh(
        answers, expected_test, expected_validation, metrics, test_groups, leaked, curve_rises, train_examples
    )
    outcome = next(found for rule in _RULES if (found := rule(case)) is not None)
    gain = case.gain
    return Verdict(
        decision=outcome.decision,
        winner=outcome.winner,
        against=next((s.name for s in reversed(case.sides) if s.name != outcome.winner), None),
        gain=gain.value if gain else None,
        low=gain.low if gain else None,
        high=gain.high if gain else None,
        p_value=gain.p_value if gain else None,
        reason=f"{_standings(case)}; {outcome.conclusion}.",
        more_examples=outcome.more_examples,
    )


# --- the evidence


def _weigh(
    answers: Sequence[ContenderAnswers],
    expected: Sequence[str],
    expected_validation: Sequence[str],
    metrics: MetricsSection,
    groups: Groups,
    leaked: int,
    curve_rises: bool | None,
    train_examples: int | None,
) -> _Case:
    if not answers:
        raise UsageError("a verdict on no contender was asked for", "name at least one contender")
    by_f1 = metrics.primary == "macro_f1"

    def on_test(c: ContenderAnswers) -> Floats:
        return _scores(c.test, c.test_scores, expected)

    def value_of(c: ContenderAnswers) -> float:
        # The value alone is wanted; one resample is the least.
        return macro_f1(c.test, expected, resamples=1).value if by_f1 else _mean(on_test(c))

    def on_validation(c: ContenderAnswers) -> float:
        if by_f1:
            return macro_f1(c.validation, expected_validation, resamples=1).value
        return _mean(_scores(c.validation, c.validation_scores, expected_validation))

    def compare(a: ContenderAnswers, b: ContenderAnswers) -> _Gain:
        if by_f1:
            return _Gain(*paired_f1_difference(a.test, b.test, expected, groups=groups))
        return _Gain(*compare_scores(on_test(a), on_test(b), groups=groups))

    def best(side: Sequence[ContenderAnswers]) -> ContenderAnswers:
        return max(side, key=on_validation)

    floor = next((c for c in answers if c.name == FLOOR), None) or _constant(expected_validation, len(expected))
    tuned = [c for c in answers if c.fine_tuned]
    others = [c for c in answers if not c.fine_tuned] or [floor]
    chosen = [best(side) for side in (tuned, others) if side]
    over_floor = _adjusted([compare(c, floor) for c in chosen if c.name != floor.name])
    beating = {c.name for c, g in zip((c for c in chosen if c.name != floor.name), over_floor, strict=True) if g.better}

    def side(c: ContenderAnswers) -> _Side:
        value = value_of(c)
        meets_bar = metrics.minimum is None or _at_least(value, metrics.minimum)
        right = int(np.nansum(on_test(c)))
        return _Side(c.name, on_validation(c), right, value, meets_bar, c.name in beating)

    gain = None
    if tuned:
        gain = _adjusted([compare(chosen[0], other) for other in others])[others.index(chosen[-1])]
    return _Case(
        tuned=side(chosen[0]) if tuned else None,
        other=side(chosen[-1]),
        gain=gain,
        floor=side(floor),
        contenders=frozenset(c.name for c in answers),
        expected=expected,
        metrics=metrics,
        leaked=leaked,
        curve_rises=curve_rises,
        train_examples=train_examples,
    )


def _constant(expected_validation: Sequence[str], tests: int) -> ContenderAnswers:
    """What `majority` would answer, as far as validation tells."""
    common: list[str | None] = [label for label, _ in Counter(expected_validation).most_common(1)]
    return ContenderAnswers(FLOOR, False, common * len(expected_validation), common * tests)


def _adjusted(gains: Sequence[_Gain]) -> list[_Gain]:
    p_values = holm([g.p_value for g in gains])
    return [_Gain(g.value, g.low, g.high, p) for g, p in zip(gains, p_values, strict=True)]


def _scores(answers: Texts, scores: Floats | None, expected: Sequence[str]) -> Floats:
    if scores is None:
        return np.array([a == e for a, e in zip(answers, expected, strict=True)], dtype=float)
    if len(scores) != len(expected):
        raise ValueError(f"{len(scores)} scores for {len(expected)} examples")
    return scores


def _mean(scores: Floats) -> float:
    known = scores[~np.isnan(scores)]
    if not len(known):
        raise NoMetric("a metric of no examples was asked for", "give at least one example that it applies to")
    return float(known.mean())


# --- the rules, in order of precedence (see `decide`)


def _leaks(case: _Case) -> _Outcome | None:
    if case.leaked <= 0:
        return None
    which = "one test example stands" if case.leaked == 1 else f"{case.leaked:,} test examples stand"
    conclusion = f"but {which} in the training data too, so this proves nothing: clean the data, train and test again"
    return _Outcome("reject", case.leader, conclusion)


def _nobody_beats_floor(case: _Case) -> _Outcome | None:
    if any(s.beats_floor for s in case.sides):
        return None
    who = "neither is" if len(case.sides) > 1 else "it is not"
    conclusion = (
        f"{who} shown to beat {FLOOR} (always the most frequent answer: {_score(case, case.floor)}), so "
        f"check that a person could tell the answer from the input alone, and add examples"
    )
    return _Outcome("reject", case.leader, conclusion)


def _nobody_meets_bar(case: _Case) -> _Outcome | None:
    if any(s.meets_bar for s in case.sides):
        return None
    nobody = "neither reaches" if len(case.sides) > 1 else "that is short of"
    missed = f"{nobody} the bar of {_percent(case.metrics.minimum or 0.0)}"
    if case.curve_rises and case.tuned is not None:
        more = case.train_examples
        number = f"about {more:,} more, as many again as it learned from," if more else "more"
        todo = f"more examples still help, so label {number} and train again"
        return _Outcome("collect_more", case.leader, f"{missed}, but {todo}", more)
    todo = "make the targets consistent, give more input fields, try a larger base model, or lower the bar"
    known = (
        "more examples no longer help" if case.curve_rises is False else "nothing shows that more examples would help"
    )
    return _Outcome("reject", case.leader, f"{missed}, and {known}: {todo}")


def _nothing_tuned(case: _Case) -> _Outcome | None:
    if case.tuned is not None:
        return None
    # Alone, it beats the floor and meets the bar, or an earlier rule had rejected it.
    return _Outcome(
        "not_needed", case.other.name, f"nothing was fine-tuned, so use {_called(case.other.name)} as it is"
    )


def _adopt(case: _Case) -> _Outcome | None:
    tuned, gain = _tuned(case)
    if not (gain.better and _at_least(gain.value, case.metrics.min_gain) and tuned.fit):
        return None
    conclusion = (
        f"that is more than chance and worth having{_bar_reached(case, tuned)}, so promote {_called(tuned.name)}"
    )
    return _Outcome("adopt", tuned.name, conclusion)


def _not_needed(case: _Case) -> _Outcome | None:
    _, gain = _tuned(case)
    if not case.other.fit or not (gain.worse or gain.high < case.metrics.min_gain):
        return None
    why = (
        "that is more than chance"
        if gain.worse
        else f"even at best that is less than the {_points(case.metrics.min_gain)} asked for"
    )
    use = f"so fine-tuning is not needed: use {_called(case.other.name)}"
    return _Outcome("not_needed", case.other.name, f"{why}{_bar_reached(case, case.other)}, {use}")


def _undecided(case: _Case) -> _Outcome:
    tuned, gain = _tuned(case)
    more = _more_tests(gain, len(case.expected), case.metrics.min_gain)
    todo = f"so add about {more:,} test examples and evaluate again"
    if case.curve_rises:
        todo += " (more training examples would help too: the learning curve still rises)"
    # Until then, who alone is fit serves.
    fit = [s.name for s in case.sides if s.fit]
    winner = fit[0] if len(fit) == 1 else case.leader
    return _Outcome("collect_more", winner, f"{_open_question(case, tuned, gain)}, {todo}", more)


_RULES: tuple[Callable[[_Case], _Outcome | None], ...] = (
    _leaks,
    _nobody_beats_floor,
    _nobody_meets_bar,
    _nothing_tuned,
    _adopt,
    _not_needed,
    _undecided,
)


def _tuned(case: _Case) -> tuple[_Side, _Gain]:
    """Both are there for every rule after `_nothing_tuned`."""
    if case.tuned is None or case.gain is None:
        raise AssertionError("no fine-tuned contender")
    return case.tuned, case.gain


def _at_least(value: float, least: float) -> bool:
    # 0.12 - 0.10 is a hair under 0.02.
    return value >= least - 1e-12


def _open_question(case: _Case, tuned: _Side, gain: _Gain) -> str:
    """What further test examples would settle."""
    unfit = next((s for s in case.sides if not s.beats_floor), None)
    if (gain.better or gain.worse) and unfit is not None:
        return f"but {_called(unfit.name)} is not shown to beat {FLOOR}"
    bar = _percent(case.metrics.minimum or 0.0)
    if not case.other.meets_bar:
        return f"only {_called(tuned.name)} reaches the bar of {bar}, but is too little ahead to rest on that"
    if not tuned.meets_bar:
        return f"only {_called(case.other.name)} reaches the bar of {bar}, but the other may yet be better"
    if gain.better:
        return f"that is more than chance, but it is open whether it is the {_points(case.metrics.min_gain)} asked for"
    return "that does not tell the two apart beyond chance"


def _more_tests(gain: _Gain, tests: int, min_gain: float) -> int:
    """How many test examples on top would probably (80 %) settle it.

    A gain not yet beyond chance is told from 0, or from `min_gain` if it is under 0, or, in between, these two from
    each other; one that is beyond chance is told from `min_gain`. The discordant share is the one that would give an
    interval as wide as the one at hand, so that groups and other metrics than accuracy are allowed for.
    """
    apart = min_gain - gain.value if gain.better else max(gain.value, min_gain - gain.value, min_gain)
    apart = max(abs(apart), SMALLEST_PLANNED)
    error = (gain.high - gain.low) / (2 * _Z)
    needed = examples_to_tell(apart, max(tests * error**2 + gain.value**2, apart))
    return max(needed - tests, math.ceil(LEAST_MORE * tests))


# --- the words


def _standings(case: _Case) -> str:
    """Who did how well, as the head of the sentence."""
    opening = f"On {_count(len(case.expected), 'test example')}"
    if case.tuned is None or case.gain is None:
        return f"{opening} {_called(case.other.name)} gave {_score(case, case.other)}"
    gain = case.gain
    interval = f"95 % interval {_signed(gain.low)} to {_signed(gain.high)}, {_p(gain.p_value)}"
    return (
        f"{opening} {_called(case.tuned.name)} gave {_score(case, case.tuned)} and {_called(case.other.name)} "
        f"{_score(case, case.other, brief=True)}: {_ahead(gain.value)} ({interval})"
    )


def _score(case: _Case, side: _Side, *, brief: bool = False) -> str:
    if case.metrics.primary == "accuracy":
        return f"{side.right:,}" if brief else _count(side.right, "right answer")
    return _percent(side.value) if brief else f"{METRIC_WORDS[case.metrics.primary]} {_percent(side.value)}"


def _bar_reached(case: _Case, side: _Side) -> str:
    if case.metrics.minimum is None:
        return ""
    return f", and {_called(side.name)} reaches the bar of {_percent(case.metrics.minimum)}"


def _called(name: str) -> str:
    return {"fine-tuned": "the fine-tuned model", "fine-tuned-encoder": "the fine-tuned encoder"}.get(name, name)


def _ahead(gain: float) -> str:
    if round(abs(gain) * 100, 1) == 0:
        return "no difference"
    return f"{_points(abs(gain))} {'better' if gain > 0 else 'worse'}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _points(share: float) -> str:
    text = f"{share * 100:.1f}".removesuffix(".0")
    return "1 point" if text == "1" else f"{text} points"


def _percent(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def _signed(share: float) -> str:
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return f"{round(share * 100, 1) + 0.0:.1f}"


def _p(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
