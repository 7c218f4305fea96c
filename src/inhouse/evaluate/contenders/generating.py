"""What every contender that writes its answers does: load its model, and answer prompts."""

from __future__ import annotations

import time

from inhouse.core import Prediction, render_input
from inhouse.engine.answers import Question, answer_all
from inhouse.engine.protocol import Progress
from inhouse.evaluate.contenders.recall import ask_once
from inhouse.evaluate.contenders.registry import Field


def load(given: Field, name: str, which: str) -> None:
    """Load a model ahead of the clock: a contender's speed is that of answering."""
    begun = time.perf_counter()
    getattr(given, which)
    given.fits[name] = given.fits.get(name, 0.0) + time.perf_counter() - begun


def generate(given: Field, which: str, name: str, prompts: list[list[int]], most: int) -> list[Prediction]:
    """One answer per prompt of the contender's; those of over `most` tokens are not asked.

    Args:
        which: `tuned` or `base`, which is loaded if there is a prompt that it did not have before.
    """
    texts = [render_input(inputs) for inputs in given.questions_read]
    asked = {place: (ids, texts[place]) for place, ids in enumerate(prompts) if len(ids) <= most}

    def ask(places: list[int]) -> list[Prediction]:
        load(given, name, which)
        progress: Progress = given.reporter.bar(name, len(places)).update
        questions = [Question(prompts[i], texts[i]) for i in places]
        return answer_all(getattr(given, which), questions, given.form, given.template.decode, progress)

    answers = [Prediction(target=None, error=f"the prompt takes {len(p)} tokens, of {most} at most") for p in prompts]
    for place, answer in ask_once(given, name, which, asked, ask).items():
        answers[place] = answer
    return answers
