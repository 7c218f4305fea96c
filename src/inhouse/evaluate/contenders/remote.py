"""A remote model of `inhouse.toml`, where the task names one."""

from __future__ import annotations

import time

from inhouse.core import Prediction
from inhouse.engine.answers import AnswerForm, text_prediction
from inhouse.engine.prompts import Messages, prompted_messages
from inhouse.engine.remote_engine import RemoteAnswer, unfenced
from inhouse.evaluate.contenders.recall import ask_once
from inhouse.evaluate.contenders.registry import Field
from inhouse.evaluate.contenders.shots import choose_shots


def remote(given: Field, name: str) -> list[Prediction]:
    """A remote model, asked as `few-shot` asks the base."""
    title = f"remote:{name}"
    shots = choose_shots(given)
    messages = [prompted_messages(given.task, e.inputs, shots) for e in given.questions]

    def ask(places: list[int]) -> list[Prediction]:
        return _asked(given, name, [messages[i] for i in places])

    found = ask_once(given, title, title, dict(enumerate(messages)), ask)
    if cached := given.asked[title].cached:
        given.notes.append(f"{title}: {cached} of {len(messages)} answers are kept ones: it was not asked again")
    return [found[i] for i in range(len(messages))]


def _asked(given: Field, name: str, messages: list[Messages]) -> list[Prediction]:
    begun = time.perf_counter()
    model = given.make_remote(name)
    given.fits[f"remote:{name}"] = time.perf_counter() - begun
    bar = given.reporter.bar(f"remote:{name}", len(messages))
    try:
        found = model.answer(
            messages,
            max_new_tokens=given.form.max_tokens,
            json_schema=given.task.json_schema if given.task.kind == "extract" else None,
            progress=bar.update,
        )
    finally:
        model.close()
    if model.note:
        given.notes.append(f"remote:{name}: {model.note}")
    return [_prediction(answer, given.form) for answer in found]


def _prediction(answer: RemoteAnswer, form: AnswerForm) -> Prediction:
    """Judged as a local one is; what never came is as if it had not been asked."""
    if answer.error is None:
        found = text_prediction(
            unfenced(answer.text), form, finished=answer.finished, answer_tokens=answer.answer_tokens
        )
    else:
        found = Prediction(target=None, error=answer.error, asked=not answer.lost, answer_tokens=answer.answer_tokens)
    return found.model_copy(update={"prompt_tokens": answer.prompt_tokens})
