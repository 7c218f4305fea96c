"""The messages that a task's input becomes; training, evaluation and serving all take them from here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from inhouse.core import Example, Outline, Task, render_input

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


def prompted_messages(task: Task, inputs: Mapping[str, str], shots: Sequence[Example] = ()) -> Messages:
    """What the untrained base reads: instruction and the form of an answer, then solved examples, then the input.

    A conversation's own system message follows the instruction.
    """
    own = [m["content"] for m in conversation(inputs) if m["role"] == "system"] if task.input.chat else []
    messages: Messages = [{"role": "system", "content": "\n\n".join([_asked_of(task), *own])}]
    for shot in shots:
        messages += [*_turns(task, shot.inputs), {"role": "assistant", "content": shot.target}]
    return [*messages, *_turns(task, inputs)]


def _asked_of(task: Task) -> str:
    """Instruction, and by kind the labels, the JSON Schema or the outline."""
    form = {
        "classify": lambda: "Labels:\n" + "\n".join(f"- {label}" for label in task.labels),
        "extract": lambda: "JSON Schema:\n" + json.dumps(task.json_schema, ensure_ascii=False, separators=(",", ":")),
        "generate": lambda: outline_in_words(task.outline),
    }[task.kind]()
    return f"{instruction_of(task)}\n\n{form}".strip()


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
