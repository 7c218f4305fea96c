"""The untrained base, prompted: as it is, and with solved examples that are always the same."""

from __future__ import annotations

from inhouse.core import Prediction
from inhouse.engine.prompts import prompted_messages
from inhouse.evaluate.contenders.generating import generate, room
from inhouse.evaluate.contenders.registry import Field, contender
from inhouse.evaluate.contenders.shots import bare_prompts, choose_shots


@contender("prompted")
def prompted(given: Field) -> list[Prediction]:
    """The untrained base with the instruction and the form of an answer: labels, JSON Schema or outline."""
    return generate(given, "base", "prompted", bare_prompts(given), room(given))


@contender("few-shot")
def few_shot(given: Field) -> list[Prediction]:
    """As `prompted`, with solved training examples before the question."""
    shots = choose_shots(given)
    prompts = [given.template.prompt_ids(prompted_messages(given.task, i, shots)) for i in given.questions_read]
    return generate(given, "base", "few-shot", prompts, room(given))
