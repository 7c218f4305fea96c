"""A prompt as a file makes the messages that were judged, whatever the task reads and answers."""

from __future__ import annotations

import json

import pytest

from inhouse.core import Example, Provenance, Task
from inhouse.engine.prompt_file import PromptFrame, frame_of, read_frame
from inhouse.engine.prompts import USUAL_FORM, PromptForm, prompted_messages
from inhouse.errors import ModelUnavailable

SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


def chat(*turns: tuple[str, str]) -> str:
    return json.dumps([{"role": role, "content": content} for role, content in turns])


CASES = {
    "classify": (
        {"kind": "classify", "labels": ["a", "b"], "instruction": "Sort it.", "input": {"fields": ["text"]}},
        {"text": "where\nis “it”?"},
        {"text": "here"},
    ),
    "extract": (
        {"kind": "extract", "schema": SCHEMA, "input": {"fields": ["subject", "body"]}},
        {"subject": "s", "body": "b\n\nc"},
        {"subject": "x", "body": "y"},
    ),
    "generate": (
        {"kind": "generate", "outline": {"sections": ["Reply"]}, "input": {"fields": ["mail"]}},
        {"mail": "hello"},
        {"mail": "hi"},
    ),
    "chat": (
        {"kind": "generate", "input": {"fields": ["messages"], "chat": True}},
        {"messages": chat(("system", "be kind"), ("user", "1"), ("assistant", "2"), ("user", "3"))},
        {"messages": chat(("user", "4"), ("assistant", "5"), ("user", "6"))},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shots", [0, 1, 2])
@pytest.mark.parametrize("form", [USUAL_FORM, PromptForm(instruction="repeated", answer="brief")])
def test_it_asks_as_the_contender_did(name, shots, form, tmp_path):
    told, inputs, other = CASES[name]
    task = Task.model_validate({"name": "t", **told})
    shown = [Example(other, "a", "", Provenance("f.csv", i)) for i in range(shots)]
    file = tmp_path / "one.prompt"
    file.write_text(frame_of(task, shown, form).model_dump_json(), "utf-8")
    found = read_frame(file).messages(inputs, chat=task.input.chat)
    assert found == prompted_messages(task, inputs, shown, form=form)


def test_an_example_goes_out_with_all_its_turns():
    told, _, other = CASES["chat"]
    task = Task.model_validate({"name": "t", **told})
    frame = frame_of(task, [Example(other, "secret", "", Provenance("f.csv", i)) for i in range(2)])
    assert len(frame.shots) == 2
    assert frame.without(lambda text: text == "secret").shots == ()
    assert frame.without(lambda text: "nothing" in text) == frame


def test_a_broken_file_is_told(tmp_path):
    file = tmp_path / "broken.prompt"
    file.write_text(PromptFrame(system="s").model_dump_json()[:-3], "utf-8")
    with pytest.raises(ModelUnavailable, match="no whole prompt"):
        read_frame(file)
