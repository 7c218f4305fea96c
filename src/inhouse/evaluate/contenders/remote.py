"""A remote model of `inhouse.toml`, where the task names one."""

from __future__ import annotations

import re
import time

from inhouse.core import Prediction
from inhouse.engine.answers import text_prediction
from inhouse.engine.prompts import prompted_messages
from inhouse.evaluate.contenders.prompting import choose_shots
from inhouse.evaluate.contenders.registry import Field

_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


def remote(given: Field, name: str) -> list[Prediction]:
    """A remote model, asked as `few-shot` asks the base."""
    begun = time.perf_counter()
    model = given.make_remote(name)
    given.fits[f"remote:{name}"] = time.perf_counter() - begun
    shots = choose_shots(given)
    bar = given.reporter.bar(f"remote:{name}", len(given.questions))
    try:
        found = model.answer(
            [prompted_messages(given.task, e.inputs, shots) for e in given.questions],
            max_new_tokens=given.form.max_tokens,
            json_schema=given.task.json_schema if given.task.kind == "extract" else None,
            progress=bar.update,
        )
    finally:
        model.close()
    if model.note:
        given.notes.append(f"remote:{name}: {model.note}")
    return [
        text_prediction(_unfenced(a.text), given.form, prompt_tokens=a.prompt_tokens, answer_tokens=a.answer_tokens)
        if a.error is None
        else Prediction(target=None, error=a.error)
        for a in found
    ]


def _unfenced(text: str) -> str:
    """The text without the fence in which many models put JSON."""
    fenced = _FENCED.fullmatch(text.strip())
    return fenced[1] if fenced else text.strip()
