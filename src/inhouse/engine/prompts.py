"""The messages that a task's input becomes; training, evaluation and serving all take them from here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from inhouse.core import Example, Outline, Task, render_input
from inhouse.core.documents import Passage
from inhouse.core.frozen import Frozen

# The fine-tuned model knows its work: an empty system message keeps a template's default one (20 tokens on SmolLM) out.
TRAINED_SYSTEM = ""

Messages = list[dict[str, Any]]

# As `dataset.outline` writes what all texts begin or end with.
_LITERAL = r"((?:[^\\.^$*+?{}\[\]|()]|\\[^a-zA-Z0-9])+)"
_BEGINNING = re.compile(r"\\A\\s\*" + _LITERAL, re.DOTALL)
_ENDING = re.compile(_LITERAL + r"\\s\*\\Z", re.DOTALL)

_PLAIN_INSTRUCTIONS = {
    "classify": "Classify the input. Answer with exactly one of the labels, and nothing else.",
    "extract": "Extract the fields from the text. Answer with a JSON object that meets the JSON Schema, nothing else.",
    "generate": "Write the answer that belongs to the input. Answer with its text alone.",
}


def trained_messages(system: str, inputs: Mapping[str, str], *, chat: bool = False) -> Messages:
    """What the fine-tuned model reads, in training and in service alike.

    Args:
        chat: `inputs` hold a conversation, which has its own system message or none.
    """
    if chat:
        return conversation(inputs)
    return [{"role": "system", "content": system}, {"role": "user", "content": render_input(inputs)}]


def conversation(inputs: Mapping[str, str]) -> Messages:
    """The messages of a chat task's input; an assistant's `weight` 0 says that its turn carries no loss."""
    messages: Messages = json.loads(next(iter(inputs.values())))
    return messages


def instruction_of(task: Task) -> str:
    """The task's instruction, or a plain one made of its kind."""
    return task.instruction or _PLAIN_INSTRUCTIONS[task.kind]


class PromptForm(Frozen):
    """How the untrained base is asked.

    Attributes:
        instruction: the task's own, its own and again behind the input, or a plain one of the kind.
        answer: how the form of an answer is told: in full (labels, JSON Schema, outline), or briefly.
        shots: how many solved examples are shown at most, where `choice` names which: of different labels or groups,
            the first in an order fixed by content, or the most similar ones to each input.
    """

    instruction: Literal["own", "repeated", "plain"] = "own"
    answer: Literal["full", "brief"] = "full"
    choice: Literal["none", "spread", "fixed", "nearest"] = "none"
    shots: int = 0

    @property
    def told(self) -> str:
        """The form in words."""
        instruction = {
            "own": "the instruction first",
            "repeated": "the instruction first and again behind the input",
            "plain": "a plain instruction of the kind",
        }[self.instruction]
        answer = {"full": "labels, schema or outline in full", "brief": "labels, schema or outline in brief"}
        which = {
            "none": "no solved example",
            "spread": f"up to {self.shots} solved examples of different labels or groups",
            "fixed": f"up to {self.shots} solved examples, always the same",
            "nearest": f"up to {self.shots} solved examples, the most similar to each input",
        }
        return f"{instruction}; {answer[self.answer]}; {which[self.choice]}"


USUAL_FORM = PromptForm()


def prompted_messages(
    task: Task,
    inputs: Mapping[str, str],
    shots: Sequence[Example] = (),
    *,
    form: PromptForm = USUAL_FORM,
    passages: Sequence[Passage] = (),
) -> Messages:
    """What the untrained base reads: instruction and the form of an answer, then solved examples, then the input.

    What differs from question to question stands last, so that an engine computes what comes before it once. A
    conversation's own system message follows the instruction.

    Args:
        form: how it is asked; the solved examples are `shots` whatever the form says of them.
        passages: of documents, which stand before the input.
    """
    own = [m["content"] for m in conversation(inputs) if m["role"] == "system"] if task.input.chat else []
    messages: Messages = [{"role": "system", "content": "\n\n".join([_asked_of(task, form), *own])}]
    for shot in shots:
        messages += [*_turns(task, shot.inputs), {"role": "assistant", "content": shot.target}]
    *before, last = _turns(task, inputs)
    before_it = [shown_passages(passages)] if passages else []
    behind_it = [instruction_of(task)] if form.instruction == "repeated" else []
    content = "\n\n".join([*before_it, last["content"], *behind_it])
    return [*messages, *before, {**last, "content": content}]


def shown_messages(
    system: str, inputs: Mapping[str, str], shots: Sequence[Example] = (), *, chat: bool = False
) -> Messages:
    """What the fine-tuned model reads where it is shown solved examples: each a turn as it learned to answer one.

    Args:
        chat: as in `trained_messages`.
    """
    messages = trained_messages(system, inputs, chat=chat)
    begins = [m for m in messages[:1] if m["role"] == "system"]
    turns = [
        message
        for shot in shots
        for message in (
            *(m for m in trained_messages(system, shot.inputs, chat=chat) if m["role"] != "system"),
            {"role": "assistant", "content": shot.target},
        )
    ]
    return [*begins, *turns, *messages[len(begins) :]]


def shown_passages(passages: Sequence[Passage]) -> str:
    """Passages as a prompt shows them."""
    return "From the documents:\n" + "\n".join(f"[{passage.cited}] {passage.text}" for passage in passages)


def _asked_of(task: Task, form: PromptForm) -> str:
    """Instruction, and by kind the labels, the JSON Schema or the outline."""
    instruction = _PLAIN_INSTRUCTIONS[task.kind] if form.instruction == "plain" else instruction_of(task)
    told = _told_in_full(task) if form.answer == "full" else _told_in_brief(task)
    return f"{instruction}\n\n{told}".strip()


def _told_in_full(task: Task) -> str:
    if task.kind == "classify":
        return "Labels:\n" + "\n".join(f"- {label}" for label in task.labels)
    if task.kind == "extract":
        return "JSON Schema:\n" + json.dumps(task.json_schema, ensure_ascii=False, separators=(",", ":"))
    return outline_in_words(task.outline)


def _told_in_brief(task: Task) -> str:
    if task.kind == "classify":
        return f"Labels: {', '.join(task.labels)}"
    if task.kind == "extract":
        return "Answer like this: " + json.dumps(outline_of_schema(task.json_schema), ensure_ascii=False)
    return "\n".join(f"{heading}\n..." for heading in task.outline.sections)


def outline_of_schema(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """A value as the schema wants it, with the names of types, or the choices, in the place of values."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return " or ".join(str(value) for value in schema["enum"])
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else list(schema.get("type", ["string"]))
    if "object" in kinds:
        return {name: outline_of_schema(one) for name, one in schema.get("properties", {}).items()}
    if "array" in kinds:
        return [outline_of_schema(schema.get("items", {}))]
    return " or ".join(kinds)


def _turns(task: Task, inputs: Mapping[str, str]) -> Messages:
    """The input as messages, without a system message."""
    if not task.input.chat:
        return [{"role": "user", "content": render_input(inputs)}]
    return [{"role": m["role"], "content": m["content"]} for m in conversation(inputs) if m["role"] != "system"]


def outline_in_words(outline: Outline) -> str:
    """What an outline asks for, as a prompt says it; empty when it asks for nothing."""
    lines = []
    if outline.sections:
        lines.append(f"Write these headings, each on a line of its own, in this order: {'; '.join(outline.sections)}.")
    for name, bounds in (("words", outline.words), ("lines", outline.lines), ("bullet points", outline.bullets)):
        if bounds is not None:
            lines.append(f"Write {bounds[0]} to {bounds[1]} {name}.")
    lines += [_pattern_in_words(pattern) for pattern in outline.patterns]
    if outline.forbidden:
        lines.append(f"Do not write: {'; '.join(outline.forbidden)}.")
    return "\n".join(lines)


def _pattern_in_words(pattern: str) -> str:
    """A fixed beginning or end, as an inferred outline has them, in plain words; another pattern as it is."""
    if found := _BEGINNING.fullmatch(pattern):
        return f"Begin with: {_unescaped(found[1])}"
    if found := _ENDING.fullmatch(pattern):
        return f"End with: {_unescaped(found[1])}"
    return f"The text must match the regular expression {pattern}"


def _unescaped(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL)
