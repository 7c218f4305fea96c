"""Every contender of a task is asked the same questions, as far as there is time and it can still matter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil

from inhouse.core import LeftOut, Prediction, Task, by_chance, spread
from inhouse.errors import ModelUnavailable, UsageError
from inhouse.evaluate.contenders.registry import (
    CONTENDERS,
    NEEDED,
    PAID,
    QUICK,
    Answers,
    Contender,
    Field,
    NotCompared,
)
from inhouse.evaluate.contenders.remote import remote
from inhouse.evaluate.verdict.evidence import ContenderAnswers, on_validation

# Questions that show what an answer takes, and training examples that show what learning takes.
PROBED = 8
LEARNED = 300
# Test examples that one who writes its answers is asked at first: the share of right ones is known to six points, and
# whoever is 13 points behind is so beyond p = 0.001 (docs/design/verdict.md). Of a test that is hardly larger, all are.
# The best way of prompting the base is asked more: that a few hundred examples beat it is what is to be shown.
SAMPLED, SAMPLED_OF_BEST_PROMPT = 300, 1000
UNASKED = Prediction(target=None, asked=False)
# Of the answers of a remote model more than this share never came: what is left is no fair draw of the questions.
MOST_LOST = 0.05


class TimeBudget:
    """Minutes that asking may take, from now on; None: as many as it takes."""

    def __init__(self, minutes: float | None = None) -> None:
        self.minutes = minutes
        self._begun = time.monotonic()

    @property
    def spent(self) -> float:
        """Minutes since it began."""
        return (time.monotonic() - self._begun) / 60

    @property
    def left(self) -> float:
        """Minutes that are left; none are less than none."""
        return float("inf") if self.minutes is None else max(0.0, self.minutes - self.spent)


def contenders_of(task: Task) -> list[Contender]:
    """Those that can answer the task: the registered ones of its kind, and the remote models that it names."""
    remotes = [Contender(f"remote:{name}", partial(remote, name=name), remote=True, turn=PAID) for name in task.remotes]
    return [*(c for c in CONTENDERS.values() if task.kind in c.kinds), *remotes]


def require_contenders(task: Task, names: Iterable[str]) -> None:
    """Refuse names that no contender of the task has.

    Raises:
        UsageError: with the names that there are.
    """
    known = [c.name for c in contenders_of(task)]
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} is no contender of task {task.name!r}", f"there are {', '.join(known)}")


def ask_all(
    given: Field,
    names: Sequence[str] = (),
    budget: TimeBudget | None = None,
    command: str = "evaluate",
    pointless: str = "",
) -> list[Answers]:
    """Ask every contender; those that are not asked go to `given.left_out`, each with the reason.

    One that writes its answers and was not fine-tuned is asked all validation examples, and of many test examples a
    sample. The best alternative on validation, which is what a verdict compares, is then asked the whole test, and the
    best of those that prompt the base a larger sample. A remote one that fails is left out with a note.

    Args:
        names: of those to ask in whole. Of the others those take part that train in seconds, and those whose answers
            are kept from before; all where no name is given.
        budget: for all of them; those that a verdict needs are asked whatever they take.
        command: of `inhouse`, that asks again with more time.
        pointless: why nothing could be judged by the answers of any but those that a verdict needs; empty: they are
            asked.
    """
    budget = budget or TimeBudget()
    there = [c for c in contenders_of(given.task) if not _is_other(given, c)]
    answers: dict[str, Answers] = {}
    skipped: list[LeftOut] = []
    notes: dict[str, list[str]] = {}
    for one in sorted(there, key=lambda c: c.turn):
        if reason := _unasked(given, one, names, budget, command, pointless):
            skipped.append(reason)
            continue
        asked, not_wanted = _field_of(given, one, names), ""
        if _only_kept(one, names):
            not_wanted = f"it was not asked for: {_again(given, command)} --contender {one.name}` asks it"
            asked = asked.of_kept(not_wanted)
        found = _answers_of(given, asked, one)
        if isinstance(found, LeftOut) and found.reason == not_wanted:
            skipped.append(found)
        elif isinstance(found, LeftOut):
            given.left_out.append(found)
            if one.remote:
                given.notes.append(f"{one.name} was not compared: {found.reason}")
        else:
            answers[one.name] = found
        notes[one.name] = asked.notes if asked is not given else []
        if one.fine_tuned:
            given.release("tuned")
    _ask_more(given, {c.name: c for c in there if c.name in answers}, answers, notes, budget)
    given.notes += [note for some in notes.values() for note in some]
    given.left_out += skipped
    if skipped:
        without = ", ".join(one.contender for one in skipped)
        given.notes.append(f"nothing is known of those that were not asked: {without}")
    return [answers[c.name] for c in there if c.name in answers]


def _field_of(given: Field, one: Contender, names: Sequence[str]) -> Field:
    """What a contender is asked at first: the field, or one with a sample of its test."""
    if one.turn in (NEEDED, QUICK) or one.name in names or not given.validation:
        return given
    return _sample_of(given, SAMPLED)


def _sample_of(given: Field, count: int) -> Field:
    """The field with so many of its tests by chance, or itself where it has hardly more."""
    if len(given.test) <= 1.5 * count:
        return given
    return given.of_tests([given.test[i] for i in by_chance(given.test, count)])


def _over_test(given: Field, asked: Field, found: Answers) -> Answers:
    """Answers to a sample, each at its place in the test, with how it was come by."""
    if asked is given:
        return found
    places = {e.id: i for i, e in enumerate(asked.test)}
    own = [places.get(e.id) for e in given.test]
    how, edge = found.asked, len(given.validation)
    if how is not None:
        keys = [*how.keys[:edge], *("" if i is None else how.keys[edge + i] for i in own)]
        seconds = [*how.seconds[:edge], *(0.0 if i is None else how.seconds[edge + i] for i in own)]
        how = replace(how, keys=keys, seconds=seconds)
    return replace(found, test=[UNASKED if i is None else found.test[i] for i in own], asked=how)


def _ask_more(
    given: Field,
    there: Mapping[str, Contender],
    answers: dict[str, Answers],
    notes: dict[str, list[str]],
    budget: TimeBudget,
) -> None:
    """Ask more of the test, as far as there is time: the best way of prompting the base, and the best alternative.

    Args:
        there: the contenders that answered, in the order of reports.
        notes: on those that were asked a sample, by their names.
    """
    if not any(one.sampled for one in answers.values()):
        return
    ahead = {name: value_on_validation(given, answers[name]) for name, c in there.items() if not c.fine_tuned}
    prompting = {name: value for name, value in ahead.items() if there[name].prompts_base}
    wanted: dict[str, list[Field]] = {}
    if prompting:
        wanted[max(prompting, key=prompting.__getitem__)] = [_sample_of(given, SAMPLED_OF_BEST_PROMPT)]
    if ahead:
        best = max(ahead, key=ahead.__getitem__)
        wanted[best] = [given, *wanted.get(best, [])]  # there may be time for a thousand, and not for all
    for name, larger in wanted.items():
        before = answers[name]
        more = [(field, (len(field.test) - before.tested) / before.rate / 60) for field in larger]
        more = [(field, minutes) for field, minutes in more if minutes > 0]
        asked = next((field for field, minutes in more if minutes <= budget.left), None)
        if more and asked is not more[0][0]:
            field, minutes = more[0]
            done = len(asked.test) if asked else before.tested
            given.notes.append(
                f"{name} was asked {done:,} of {len(given.test):,} test examples, "
                f"as {len(field.test):,} would take {_minutes(minutes)} more: "
                f"`inhouse evaluate {given.task.name} --contender {name}` asks all"
            )
        if asked is None:
            continue
        given.reporter.say(f"{name} is ahead on validation: it is asked {len(asked.test):,} test examples")
        found = _answers_of(given, asked, there[name])
        if isinstance(found, LeftOut):  # the answers to the sample stand
            given.notes.append(f"{name} was asked {before.tested:,} test examples: {found.reason}")
        else:
            answers[name] = found
            notes[name] = asked.notes if asked is not given else []


def value_on_validation(given: Field, one: Answers) -> float:
    """What the verdict chooses by."""
    primary = given.task.metrics.primary
    judged = given.judging(given.validation, one.validation)
    told = ContenderAnswers(one.name, one.fine_tuned, list(judged.answers), [], judged.scores.get(primary))
    return on_validation(told, [e.target for e in given.validation], by_f1=primary == "macro_f1")


def _is_other(given: Field, one: Contender) -> bool:
    """Whether it is a fine-tuned kind of which no version is under test."""
    return one.fine_tuned and one.turn == NEEDED and one.name not in given.tuned_names


def _only_kept(one: Contender, names: Sequence[str]) -> bool:
    """Whether a contender takes part with kept answers alone, as others are named."""
    return bool(names) and one.name not in names and one.turn not in (NEEDED, QUICK)


def _again(given: Field, command: str) -> str:
    return f"`inhouse {command} {given.task.name}"


def _unasked(
    given: Field, one: Contender, names: Sequence[str], budget: TimeBudget, command: str, pointless: str
) -> LeftOut | None:
    """Why a contender is not asked; None where it is."""
    if one.turn == NEEDED:
        return None
    if pointless:
        return LeftOut(contender=one.name, reason=pointless)
    if budget.minutes is None or _only_kept(one, names):  # what is kept takes no time
        return None
    given.reporter.say(f"{one.name}: a few questions first, to see what all of them would take")
    minutes = seconds_for(_field_of(given, one, names), one) / 60 if budget.left else 0.0
    if 0 < budget.left >= minutes:
        return None
    takes = f"it would take about {_minutes(minutes)}" if minutes else "no time was left to see what it would take"
    enough = ceil(budget.spent + minutes + 1)
    return LeftOut(
        contender=one.name,
        reason=f"{takes}, and {_minutes(budget.left)} of {_minutes(budget.minutes)} were left: "
        f"{_again(given, command)} --minutes {enough}` has room for it",
        minutes=minutes or None,
    )


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes >= 10 or minutes == round(minutes) else f"{minutes:.1f} min"


def seconds_for(given: Field, one: Contender) -> float:
    """What a contender would take to answer all questions, in seconds, by what it takes for a few.

    One that learns is tried on a few training examples; one that writes, on questions after its first, which is the
    slowest: what all prompts begin with is then kept. One that searches is tried as the one that it is like.
    """
    if one.like:
        known = {c.name: c for c in contenders_of(given.task)}
        return seconds_for(replace(given, known={}), known[one.like]) * (1 + one.searching / len(given.questions))
    questions, train = given.questions, sorted(given.train, key=lambda e: e.target)
    try:
        if one.turn == QUICK:
            few = given.sample(spread(train, LEARNED), spread(questions, PROBED))
            seconds = _timed(few, one)
            return seconds * (len(train) + len(questions)) / (len(few.train) + len(few.test))
        first, *others = spread(questions, PROBED + 1)
        one.ask(given.sample(given.train, [first]))
        return _timed(given.sample(given.train, others), one) * len(questions) / max(len(others), 1)
    except (ModelUnavailable, NotCompared):  # it is told, or raised, where it is asked in earnest
        return 0.0


def _timed(few: Field, one: Contender) -> float:
    begun = time.perf_counter()
    one.ask(few)
    return time.perf_counter() - begun


def _answers_of(whole: Field, given: Field, one: Contender) -> Answers | LeftOut:
    """A contender's answers over the whole field, as far as `given` asks; why there are none of one that takes no
    part, and of a remote one that failed, or whose answers came too seldom: those that came are put by."""
    ready, begun = given.fits.get(one.name, 0.0), time.perf_counter()
    try:
        found = one.ask(given)
    except NotCompared as error:
        return LeftOut(contender=one.name, reason=str(error))
    except ModelUnavailable as error:
        if not one.remote:
            raise
        return LeftOut(contender=one.name, reason=error.what)
    seconds = time.perf_counter() - begun - (given.fits.get(one.name, 0.0) - ready)
    asked = given.asked.get(one.name)
    if asked:  # the speed is that of answering, whenever that was
        seconds += asked.seconds_before
    edge = len(given.validation)
    answers = _over_test(whole, given, Answers(one.name, one.fine_tuned, found[:edge], found[edge:], seconds, asked))
    lost = [p.error for p in found if not p.asked]
    if not lost:
        return answers
    told = f"{len(lost):,} of {len(found):,} requests got no answer ({lost[0]})"
    if len(lost) > MOST_LOST * len(found) or _untold(given, answers):
        whole.unfinished[one.name] = answers
        return LeftOut(contender=one.name, reason=f"{told}; what came is kept, and the next evaluation asks the rest")
    given.notes.append(f"{one.name}: {told}; they count for nothing, and the next evaluation asks them again")
    return answers


def _untold(given: Field, answers: Answers) -> bool:
    """Whether too little was answered to choose or to judge by, however few answers never came."""
    validation = [p.asked for p in answers.validation]
    # It is a figure of all answers together, in which one that never came would count as wrong.
    whole = given.task.metrics.primary == "macro_f1"
    return answers.tested == 0 or (bool(validation) and not (all(validation) if whole else any(validation)))
