"""The untrained base, prompted: as it is, and with solved examples that are always the same."""

from __future__ import annotations

from inhouse.core import Prediction
from inhouse.engine.prompts import USUAL_FORM
from inhouse.evaluate.contenders.generating import generate, room
from inhouse.evaluate.contenders.registry import Field, contender
from inhouse.evaluate.contenders.shots import bare_prompts, choose_shots, prompts_with


@contender("prompted", "the base model as it is, told what to do")
def prompted(given: Field) -> list[Prediction]:
    """The untrained base with the instruction and the form of an answer: labels, JSON Schema or outline."""
    return generate(given, "base", "prompted", bare_prompts(given), room(given))


@contender("few-shot", "the base model, shown a few of your examples")
def few_shot(given: Field) -> list[Prediction]:
    """As `prompted`, with solved training examples before the question."""
    places = range(len(given.questions))
    prompts = prompts_with(given, places, [choose_shots(given)] * len(places), USUAL_FORM, tell="few-shot")
    return generate(given, "base", "few-shot", [prompts[place] for place in places], room(given))
