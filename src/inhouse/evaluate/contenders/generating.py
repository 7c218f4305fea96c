"""What every contender that writes its answers does: load its model, and answer prompts."""

from __future__ import annotations

import time

from inhouse.core import Prediction, render_input
from inhouse.engine.answers import Question, answer_all
from inhouse.engine.protocol import Engine, Progress
from inhouse.evaluate.contenders.registry import Field


def load(given: Field, name: str, which: str) -> None:
    """Load a model ahead of the clock: a contender's speed is that of answering."""
    begun = time.perf_counter()
    getattr(given, which)
    given.fits[name] = given.fits.get(name, 0.0) + time.perf_counter() - begun


def generate(given: Field, engine: Engine, title: str, prompts: list[list[int]], most: int) -> list[Prediction]:
    """One answer per prompt; those of over `most` tokens are not asked."""
    asked = [place for place, ids in enumerate(prompts) if len(ids) <= most]
    bar = given.reporter.bar(title, len(asked))
    progress: Progress = bar.update
    questions = [Question(prompts[i], render_input(given.questions_read[i])) for i in asked]
    found = answer_all(engine, questions, given.form, given.template.decode, progress)
    answers = [Prediction(target=None, error=f"the prompt takes {len(p)} tokens, of {most} at most") for p in prompts]
    for place, answer in zip(asked, found, strict=True):
        answers[place] = answer
    return answers
