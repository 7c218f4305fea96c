"""The best prompt of a small search: forms are tried on some validation examples, and the best one answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from inhouse.core import Example, Metric, Prediction, spread
from inhouse.engine.prompts import USUAL_FORM, PromptForm, prompted_messages
from inhouse.errors import NoMetric
from inhouse.evaluate.contenders.generating import generate_some, room
from inhouse.evaluate.contenders.registry import Field, NotCompared, Tried, contender
from inhouse.evaluate.contenders.shots import (
    NEAREST,
    SHOTS,
    nearest_shots,
    prompts_with,
    shots_by_label,
    shots_of_any_kind,
    tell_bare,
)
from inhouse.scoring import summarise

NAME = "prompted-best"
# Validation examples that a form is judged by: what tells forms apart that differ by ten points or more.
ROWS = 60
WORDINGS = (
    USUAL_FORM,
    PromptForm(instruction="repeated"),
    PromptForm(answer="brief"),
    PromptForm(instruction="plain"),
)
EXAMPLES: tuple[dict[str, object], ...] = (
    {"choice": "spread", "shots": SHOTS},
    {"choice": "fixed", "shots": 4},
    {"choice": "nearest", "shots": NEAREST},
    {"choice": "nearest", "shots": 2 * NEAREST},
)

Prompts = Mapping[int, list[int]]


@contender(
    NAME,
    "the base model, asked in the way that did best of several",
    like="few-shot",
    searching=ROWS * (len(WORDINGS) + len(EXAMPLES)),
)
def prompted_best(given: Field) -> list[Prediction]:
    """The untrained base in the form of prompt that does best on validation examples."""
    if NAME not in given.tried:
        begun, ready = time.perf_counter(), given.fits.get(NAME, 0.0)
        given.tried[NAME] = _search(given)
        given.fits[NAME] = ready + time.perf_counter() - begun
    form = given.tried[NAME][0].form
    places = range(len(given.questions))
    shots = _shots(given, form, places)
    tell_bare(given, NAME, shots if form.choice == "nearest" else (), "similar example")
    prompts = prompts_with(given, places, shots, form, tell=NAME)
    found = generate_some(given, "base", NAME, prompts, room(given))
    return [found[place] for place in places]


def best_form(given: Field) -> tuple[PromptForm, list[Example]]:
    """The form that does best, and the solved examples that it shows, or finds the most similar ones among.

    Raises:
        NotCompared: there is nothing to choose by.
    """
    form = _search(given)[0].form
    return form, list(given.train) if form.choice == "nearest" else _shots(given, form, [0])[0]


def _search(given: Field) -> list[Tried]:
    """Every form that was tried, the best one first: how it is worded, then with the best wording which examples."""
    if not given.validation:
        raise NotCompared("there are no validation examples to choose a prompt by")
    places = spread(range(len(given.validation)), ROWS)
    tried: list[Tried] = []
    seen: list[Prompts] = []
    for forms in (lambda: WORDINGS, lambda: [_best(tried).form.model_copy(update=one) for one in EXAMPLES]):
        for form, prompts in _asked_by(given, forms(), places):
            if prompts not in seen:  # the same in other words: an outline that asks for nothing, say
                seen.append(prompts)
                tried.append(_try(given, f"{NAME} try {len(seen)}", form, prompts))
    best = _best(tried)
    return [best, *(one for one in tried if one is not best)]


def _best(tried: Sequence[Tried]) -> Tried:
    """The first of the best, which is the shorter one."""
    return max(tried, key=lambda one: one.metric.value)


def _asked_by(given: Field, forms: Sequence[PromptForm], places: Sequence[int]) -> Iterator[tuple[PromptForm, Prompts]]:
    """The forms that can be tried, with the prompts that they make."""
    for form in forms:
        try:
            yield form, prompts_with(given, places, _shots(given, form, places), form)
        except NotCompared:  # nothing can be looked up
            continue


def _shots(given: Field, form: PromptForm, places: Sequence[int]) -> list[list[Example]]:
    """The solved examples that each question is shown."""
    if form.choice == "nearest":
        bare = [
            given.template.prompt_ids(prompted_messages(given.task, given.questions_read[i], form=form)) for i in places
        ]
        return nearest_shots(given, NAME, places, form.shots, bare)
    if form.choice == "none":
        return [[]] * len(places)
    by_label = form.choice == "spread" and given.task.kind == "classify"
    return [(shots_by_label if by_label else shots_of_any_kind)(given, form.shots, form)] * len(places)


def _try(given: Field, name: str, form: PromptForm, prompts: Prompts) -> Tried:
    found = generate_some(given, "base", name, prompts, room(given))
    places = list(prompts)
    answers = [found[place] for place in places]
    return Tried(name, form, places, answers, _metric(given, [given.validation[i] for i in places], answers))


def _metric(given: Field, examples: Sequence[Example], answers: Sequence[Prediction]) -> Metric:
    """The primary metric of some answers."""
    judged = given.judging(examples, answers)
    groups = [e.group for e in examples]
    try:
        return summarise(judged, [e.target for e in examples], given.task.metrics.primary, groups)
    except NoMetric as error:
        raise NotCompared(f"{given.task.metrics.primary} says nothing of the validation examples") from error
