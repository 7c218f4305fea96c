"""Solved training examples to show to a model: which, how many, and what they cost; nothing is cut."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Example, canonical_hash, render_input
from inhouse.engine.prompt_file import LookUp, as_text
from inhouse.engine.prompts import USUAL_FORM, PromptForm, prompted_messages
from inhouse.engine.retrieval import DEPTH, fitting, most_alike, room_for_shots
from inhouse.errors import ModelUnavailable
from inhouse.evaluate.contenders.generating import room
from inhouse.evaluate.contenders.registry import Field, NotCompared

# Examples that are always the same are computed once; what differs from question to question costs time each time.
SHOTS, SHOT_TOKENS = 16, 1500
NEAREST, NEAREST_TOKENS = 4, 800


def bare_prompts(given: Field, form: PromptForm = USUAL_FORM) -> list[list[int]]:
    """The prompt of each question, without solved examples."""
    return [given.template.prompt_ids(prompted_messages(given.task, i, form=form)) for i in given.questions_read]


def choose_shots(given: Field) -> list[Example]:
    """Solved examples to show: of a classify task one of each frequent label, else as many as the budget holds."""
    labelled = given.task.kind == "classify"
    shots = shots_by_label(given, SHOTS) if labelled else shots_of_any_kind(given, SHOTS)
    if labelled and len(shots) < (many := min(SHOTS, len({e.target for e in given.train}))):
        given.reporter.warn(
            f"few-shot shows {len(shots)} examples of {many} labels: those of the others are too long to be shown"
        )
    if not labelled and not shots:
        given.reporter.warn(f"few-shot shows no example: each alone is over {shot_budget(given)} tokens")
    return shots


def shots_of_any_kind(given: Field, count: int, form: PromptForm = USUAL_FORM) -> list[Example]:
    """Training examples of different groups, in an order fixed by content, within a token budget."""
    shots: list[Example] = []
    budget, seen = shot_budget(given, form), set[str]()
    for example in sorted(given.train, key=lambda e: canonical_hash(e.id)):
        cost = shot_cost(given, example)
        if example.group not in seen and cost <= budget and len(shots) < count:
            seen.add(example.group)
            shots.append(example)
            budget -= cost
    return shots


def shots_by_label(given: Field, count: int, form: PromptForm = USUAL_FORM) -> list[Example]:
    """One training example each of the most frequent labels, in an order fixed by content, within a token budget."""
    budget = shot_budget(given, form)
    frequent = [label for label, _ in Counter(e.target for e in given.train).most_common(count)]
    shots: list[Example] = []
    in_order = sorted(given.train, key=lambda e: canonical_hash(e.id))
    for label in frequent:
        share = budget // (len(frequent) - len(shots)) * 2
        for example in (e for e in in_order if e.target == label):
            cost = shot_cost(given, example)
            if cost <= min(share, budget):
                shots.append(example)
                budget -= cost
                break
    return shots


def shot_cost(given: Field, example: Example) -> int:
    """Tokens that a solved example takes in a prompt, with what the template puts around it."""
    if example.id not in given.costs:
        text = render_input(example.inputs) + example.target
        given.costs[example.id] = len(given.template.text_ids(text)) + 10
    return given.costs[example.id]


def shot_budget(given: Field, form: PromptForm = USUAL_FORM) -> int:
    """Tokens for solved examples: what the longest training input that can be asked at all leaves of the context.

    By training inputs, so that the examples are the same whatever is asked, and in what is served. A question that is
    longer is asked without them (`prompts_with`).
    """
    longest = 0
    for example in sorted(given.train, key=lambda e: len(render_input(e.inputs)), reverse=True):
        messages = prompted_messages(given.task, given.as_read(example.inputs), form=form)
        if (longest := len(given.template.prompt_ids(messages))) <= room(given):
            break
    return max(0, min(SHOT_TOKENS, room(given) - longest))


def prompts_with(
    given: Field, places: Sequence[int], shots: Sequence[Sequence[Example]], form: PromptForm, tell: str = ""
) -> dict[int, list[int]]:
    """The prompt of each of some questions with its solved examples; without them where they leave no room for it.

    Args:
        tell: the contender in whose name is noted how many were asked without.
    """

    def prompt(place: int, shown: Sequence[Example]) -> list[int]:
        return given.template.prompt_ids(prompted_messages(given.task, given.questions_read[place], shown, form=form))

    found, bare = {}, 0
    for place, shown in zip(places, shots, strict=True):
        found[place] = prompt(place, shown)
        if shown and len(found[place]) > room(given):
            found[place] = prompt(place, [])
            bare += 1
    if bare and tell:
        given.notes.append(
            f"{tell}: {bare} of {len(found)} questions were asked without solved examples, which left no room for them"
        )
    return found


def nearest_shots(
    given: Field, name: str, places: Sequence[int], count: int, bare: Sequence[Sequence[int]]
) -> list[list[Example]]:
    """For each of some questions, solved training examples that are most similar to it, the nearest last.

    None is of the question's own group, and all together take `NEAREST_TOKENS` at most; nothing is cut.

    Args:
        name: of the contender, which is charged for the looking up.
        places: of the questions.
        count: the most examples of each.
        bare: the questions' prompts without examples, in the same order.

    Raises:
        NotCompared: there is no encoder, or every training example is too long.
    """
    train, asked = embedded(given, name)
    costs = [shot_cost(given, example) for example in given.train]
    if min(costs) > NEAREST_TOKENS:
        raise NotCompared(f"each training example takes more than the {NEAREST_TOKENS} tokens that are shown at most")
    questions = given.questions
    found = []
    ranked = most_alike(asked[list(places)], train, DEPTH)
    for place, alone, near in zip(places, bare, ranked, strict=True):
        question = questions[place]
        strangers = [i for i in near if not _belongs(given.train[i], question)]
        kept = fitting(strangers, [costs[i] for i in strangers], count, left(given, alone, NEAREST_TOKENS))
        found.append([given.train[i] for i in reversed(kept)])
    return found


def embedded(given: Field, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings of the training inputs and of the questions, charged as if the contender alone had asked for them.

    Those of the training inputs are its getting ready, those of the questions a part of answering.

    Raises:
        NotCompared: there is no encoder.
    """
    begun = time.perf_counter()
    try:
        given.vectors.load()
    except ModelUnavailable as error:
        raise NotCompared(f"{error.what} ({error.remedy})") from error
    vectors = given.embeddings
    taken = time.perf_counter() - begun
    answering = given.vectors.seconds([render_input(e.inputs) for e in given.questions])
    given.fits[name] = given.fits.get(name, 0.0) + taken - answering
    return vectors


def _belongs(example: Example, question: Example) -> bool:
    """Whether an example would tell the very answer: it is the question itself, its twin, or of its group."""
    return example.group == question.group or example.input_key == question.input_key


def left(given: Field, alone: Sequence[int], most: int) -> int:
    """Tokens that a prompt leaves for what is shown, `most` at most."""
    return room_for_shots(room(given), len(alone), most)


def look_up_of(given: Field, count: int, encoder: str, encoder_sha256: str) -> LookUp:
    """How `nearest_shots` finds examples among those that were learned from, to be served so.

    Args:
        count: the most examples that are shown.
        encoder, encoder_sha256: what `given.vectors` are made by.
    """
    return LookUp(
        count=count,
        tokens=NEAREST_TOKENS,
        encoder=encoder,
        encoder_sha256=encoder_sha256,
        costs=tuple(shot_cost(given, example) for example in given.train),
        vectors=as_text(given.vectors.of([render_input(e.inputs) for e in given.train])),
    )


def tell_bare(given: Field, name: str, shown: Sequence[Sequence[object]], what: str) -> None:
    """Note how many questions had no room for anything that was to be shown with them."""
    if bare := sum(not one for one in shown):
        given.notes.append(f"{name}: {bare} of {len(shown)} questions were asked without a {what}, as none had room")
