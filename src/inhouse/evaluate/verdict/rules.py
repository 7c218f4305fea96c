"""The rules of the verdict, in their order; the first that holds decides (see `decide`). Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from inhouse.core import Decision, MoreOf
from inhouse.evaluate.verdict.evidence import FLOOR, SIGNIFICANT, Case, Gain, Side, at_least
from inhouse.evaluate.verdict.words import bar_reached, called, count, percent, points, score
from inhouse.scoring import examples_to_tell

# A contender is shown not to beat the floor where its gain is less than this, or than half of what there is to gain.
CLEAR = 0.10
# A difference below half a point is not planned for: the number of test examples would run into tens of thousands.
SMALLEST_PLANNED = 0.005
# Fewer examples than a quarter on top hardly narrow an interval (by a tenth), whatever the formula says.
LEAST_MORE = 0.25
_Z = 1.959964


@dataclass(frozen=True)
class Outcome:
    decision: Decision
    winner: str
    conclusion: str
    more_examples: int | None = None
    more_of: MoreOf | None = None


def _leaks(case: Case) -> Outcome | None:
    if case.matter.leaked <= 0:
        return None
    which = "one test example stands" if case.matter.leaked == 1 else f"{case.matter.leaked:,} test examples stand"
    conclusion = (
        f"but {which} in the training data too, or nearly so, so this proves nothing: take out of the training data "
        f"what is in the test{case.matter.mend and f' (`{case.matter.mend}`)'}, then train and evaluate again"
    )
    return Outcome("reject", case.leader, conclusion)


def _nobody_beats_floor(case: Case) -> Outcome | None:
    """Shown not to is another thing than not shown to."""
    if any(s.beats_floor for s in case.sides):
        return None
    who = "neither is" if len(case.sides) > 1 else "it is not"
    missed = f"{who} shown to beat {FLOOR} (always the most frequent answer: {score(case, case.floor)})"
    worth = min(CLEAR, (1 - case.floor.value) / 2)
    lift = case.matter.lift()
    if lift is not None and lift.high < worth:
        return Outcome(
            "reject",
            case.leader,
            f"{missed}, and the labels do not follow from the inputs: a classical model on {lift.n:,} training "
            f"examples, each judged unseen, is at best {points(max(lift.high, 0.0))} above the most frequent label, so "
            f"check that a person could tell the label from the input alone",
        )
    open_yet = [gain for gain in case.over_floor if gain.high >= worth]
    if not open_yet:
        conclusion = (
            f"{missed}, at best {points(worth)} above it, so check that a person could tell the answer from the input "
            f"alone, and add examples to learn from"
        )
        return Outcome("reject", case.leader, conclusion)
    tests = len(case.expected)
    more = max(_more_tests(gain, tests, worth, len(case.over_floor)) for gain in open_yet)
    open_yet_told = f"{missed}, and {count(tests, 'example')} cannot tell"
    if _rest_tells(case):
        return _ask_rest(case, case.leader, open_yet_told)
    todo = f"so add about {more:,} test examples, and more to learn from, then train and evaluate again"
    return Outcome("collect_more", case.leader, f"{open_yet_told}, {todo}", more, "test")


def _nobody_meets_bar(case: Case) -> Outcome | None:
    if any(s.meets_bar for s in case.sides):
        return None
    minimum = case.metrics.minimum or 0.0
    short = points(minimum - max(s.value for s in case.sides))
    missed = (
        f"neither reaches the bar of {percent(minimum)} (at best {short} short)"
        if len(case.sides) > 1
        else f"that is {short} short of the bar of {percent(minimum)}"
    )
    curve = case.matter.curve()
    if curve is not None and curve.rises:
        more = case.matter.train_examples
        number = f"about {more:,} more, as many again as it learned from," if more else "more"
        todo = f"more examples still help ({curve.told}), so label {number} and train again"
        return Outcome("collect_more", case.leader, f"{missed}, but {todo}", more, "train")
    todo = "make the targets consistent, give more input fields, try a larger base model, or lower the bar"
    known = (
        "nothing shows that more examples would help (`train --curve` would tell)"
        if curve is None
        else f"more examples hardly help any more ({curve.told})"
    )
    return Outcome("reject", case.leader, f"{missed}, and {known}: {todo}")


def _nothing_tuned(case: Case) -> Outcome | None:
    if case.tuned is not None:
        return None
    # Alone, it beats the floor and meets the bar, or an earlier rule had rejected it.
    return Outcome("not_needed", case.other.name, f"nothing was fine-tuned, so use {called(case.other.name)} as it is")


def _adopt(case: Case) -> Outcome | None:
    tuned, gain = _tuned(case)
    if not (gain.better and at_least(gain.value, case.metrics.min_gain) and tuned.fit):
        return None
    conclusion = f"that is more than chance and worth having{bar_reached(case, tuned)}, so promote {called(tuned.name)}"
    return Outcome("adopt", tuned.name, conclusion)


def _not_needed(case: Case) -> Outcome | None:
    _, gain = _tuned(case)
    if not case.other.fit or not (gain.worse or gain.high < case.metrics.min_gain):
        return None
    why = (
        "that is more than chance"
        if gain.worse
        else f"even at best that is less than the {points(case.metrics.min_gain)} asked for"
    )
    use = f"so fine-tuning is not needed: use {called(case.other.name)}"
    return Outcome("not_needed", case.other.name, f"{why}{bar_reached(case, case.other)}, {use}")


def _undecided(case: Case) -> Outcome:
    tuned, gain = _tuned(case)
    # Until then, who alone is fit serves.
    fit = [s.name for s in case.sides if s.fit]
    winner = fit[0] if len(fit) == 1 else case.leader
    if _rest_tells(case):
        return _ask_rest(case, winner, _open_question(case, tuned, gain))
    more = _more_tests(gain, len(case.expected), case.metrics.min_gain, len(case.comparisons))
    todo = f"so add about {more:,} test examples and evaluate again"
    curve = case.matter.curve()
    if curve is not None and curve.rises:
        todo += f" (more training examples would help too: the learning curve still rises, {curve.told})"
    return Outcome("collect_more", winner, f"{_open_question(case, tuned, gain)}, {todo}", more, "test")


def _rest_tells(case: Case) -> bool:
    """Whether so many test examples were not asked that they would narrow an interval."""
    return case.unasked > LEAST_MORE * len(case.expected)


def _ask_rest(case: Case, winner: str, question: str) -> Outcome:
    """Examples that are there and were not asked come before any that would have to be made."""
    rest = f"the other {count(case.unasked, 'test example')}, which there was no time for"
    return Outcome("collect_more", winner, f"{question}, so ask {called(case.other.name)} {rest}")


RULES: tuple[Callable[[Case], Outcome | None], ...] = (
    _leaks,
    _nobody_beats_floor,
    _nobody_meets_bar,
    _nothing_tuned,
    _adopt,
    _not_needed,
    _undecided,
)


def adopted(case: Case) -> bool:
    """Whether rule 5 decides; what it asks rules out all before it but the first."""
    return _leaks(case) is None and _adopt(case) is not None


def _tuned(case: Case) -> tuple[Side, Gain]:
    """Both are there for every rule after `_nothing_tuned`."""
    if case.tuned is None or case.gain is None:
        raise AssertionError("no fine-tuned contender")
    return case.tuned, case.gain


def _open_question(case: Case, tuned: Side, gain: Gain) -> str:
    """What further test examples would settle."""
    unfit = next((s for s in case.sides if not s.beats_floor), None)
    if (gain.better or gain.worse) and unfit is not None:
        return f"but {called(unfit.name)} is not shown to beat {FLOOR}"
    bar = percent(case.metrics.minimum or 0.0)
    if not case.other.meets_bar:
        return f"only {called(tuned.name)} reaches the bar of {bar}, but is too little ahead to rest on that"
    if not tuned.meets_bar:
        return f"only {called(case.other.name)} reaches the bar of {bar}, but the other may yet be better"
    if gain.better:
        return f"that is more than chance, but it is open whether it is the {points(case.metrics.min_gain)} asked for"
    return "that does not tell the two apart beyond chance"


def _more_tests(gain: Gain, tests: int, min_gain: float, comparisons: int) -> int:
    """How many test examples on top would probably (80 %) settle it.

    A gain not yet beyond chance is told from 0, or from `min_gain` if it is under 0, or, in between, these two from
    each other; one that is beyond chance is told from `min_gain`. The discordant share is the one that would give an
    interval as wide as the one at hand, so that groups and other metrics than accuracy are allowed for. The p to
    undercut is that of Holm's first step over so many comparisons.
    """
    apart = min_gain - gain.value if gain.better else max(gain.value, min_gain - gain.value, min_gain)
    apart = min(max(abs(apart), SMALLEST_PLANNED), 1.0)
    error = (gain.high - gain.low) / (2 * _Z)
    discordant = min(1.0, max(tests * error**2 + gain.value**2, apart))
    needed = examples_to_tell(apart, discordant, alpha=SIGNIFICANT / max(comparisons, 1))
    return max(needed - tests, math.ceil(LEAST_MORE * tests))
