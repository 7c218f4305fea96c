"""What every contender that writes its answers does: load its model, and answer prompts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

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


def room(given: Field) -> int:
    """The most tokens of a prompt that leaves the base room for an answer."""
    return given.context - given.form.max_tokens


def generate(given: Field, which: str, name: str, prompts: list[list[int]], most: int) -> list[Prediction]:
    """One answer per prompt of the contender's; those of over `most` tokens are not asked.

    Args:
        which: `tuned` or `base`, which is loaded if there is a prompt that it did not have before.
    """
    found = generate_some(given, which, name, dict(enumerate(prompts)), most)
    return [found[place] for place in range(len(prompts))]


def generate_some(
    given: Field, which: str, name: str, prompts: Mapping[int, list[int]], most: int
) -> dict[int, Prediction]:
    """As `generate`, of some of the questions, by their places."""
    read = given.questions_read
    asked = {place: (ids, render_input(read[place])) for place, ids in prompts.items() if len(ids) <= most}

    def ask(places: list[int]) -> list[Prediction]:
        load(given, name, which)
        progress: Progress = given.reporter.bar(name, len(places)).update
        questions = [Question(*asked[place]) for place in places]
        return answer_all(getattr(given, which), questions, given.form, given.template.decode, progress)

    refused = {place: too_long(ids, most) for place, ids in prompts.items() if place not in asked}
    return refused | ask_once(given, name, which, asked, ask)


def too_long(prompt: Sequence[int], most: int) -> Prediction:
    """The answer to a prompt that is not asked, as it has more than `most` tokens."""
    return Prediction(target=None, error=f"the prompt takes {len(prompt)} tokens, of {most} at most")
