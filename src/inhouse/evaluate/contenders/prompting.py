"""The untrained base, prompted, and the solved examples that it is shown."""

from __future__ import annotations

from collections import Counter

from inhouse.core import Example, Prediction, canonical_hash, render_input
from inhouse.engine.prompts import prompted_messages
from inhouse.evaluate.contenders.generating import generate
from inhouse.evaluate.contenders.registry import Field, contender

SHOTS = 16
SHOT_TOKENS = 1500


@contender("prompted")
def prompted(given: Field) -> list[Prediction]:
    """The untrained base with the instruction and the form of an answer: labels, JSON Schema or outline."""
    prompts = [given.template.prompt_ids(prompted_messages(given.task, inputs)) for inputs in given.questions_read]
    return generate(given, "base", "prompted", prompts, _room(given))


@contender("few-shot")
def few_shot(given: Field) -> list[Prediction]:
    """As `prompted`, with solved training examples before the question."""
    shots = choose_shots(given)
    prompts = [given.template.prompt_ids(prompted_messages(given.task, i, shots)) for i in given.questions_read]
    return generate(given, "base", "few-shot", prompts, _room(given))


def _room(given: Field) -> int:
    """The most tokens of a prompt that leaves the base room for an answer."""
    return given.context - given.form.max_tokens


def choose_shots(given: Field) -> list[Example]:
    """Solved examples to show: of a classify task one of each frequent label, else as many as the budget holds."""
    return _shots_by_label(given) if given.task.kind == "classify" else _shots_of_any_kind(given)


def _shots_of_any_kind(given: Field) -> list[Example]:
    """Training examples of different groups, in an order fixed by content, within a token budget."""
    shots: list[Example] = []
    budget, seen = _shot_budget(given), set[str]()
    for example in sorted(given.train, key=lambda e: canonical_hash(e.id)):
        cost = len(given.template.text_ids(render_input(example.inputs) + example.target)) + 10
        if example.group not in seen and cost <= budget and len(shots) < SHOTS:
            seen.add(example.group)
            shots.append(example)
            budget -= cost
    if not shots:
        given.reporter.warn(f"few-shot shows no example: each alone is over {_shot_budget(given)} tokens")
    return shots


def _shot_budget(given: Field) -> int:
    """Tokens for solved examples: what the longest question that can be asked at all leaves of the base's context."""
    bare = [len(given.template.prompt_ids(prompted_messages(given.task, i))) for i in given.questions_read]
    longest = max((n for n in bare if n <= _room(given)), default=0)
    return max(0, min(SHOT_TOKENS, _room(given) - longest))


def _shots_by_label(given: Field) -> list[Example]:
    """One training example each of the most frequent labels, in an order fixed by content, within a token budget."""
    frequent = [label for label, _ in Counter(e.target for e in given.train).most_common(SHOTS)]
    shots: list[Example] = []
    budget = SHOT_TOKENS
    in_order = sorted(given.train, key=lambda e: canonical_hash(e.id))
    for label in frequent:
        room = budget // (len(frequent) - len(shots)) * 2
        for example in (e for e in in_order if e.target == label):
            cost = len(given.template.text_ids(render_input(example.inputs) + example.target)) + 10
            if cost <= min(room, budget):
                shots.append(example)
                budget -= cost
                break
    if len(shots) < len(frequent):
        given.reporter.warn(f"few-shot shows {len(shots)} examples: those of the other labels are too long to be shown")
    return shots
