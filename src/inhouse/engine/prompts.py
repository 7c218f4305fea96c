"""The messages that a task's input becomes; training, evaluation and serving all take them from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inhouse.core import Example, Task, render_input

# The fine-tuned model knows its work: an empty system message keeps a template's default one (20 tokens on SmolLM) out.
TRAINED_SYSTEM = ""


def trained_messages(system: str, text: str) -> list[dict[str, str]]:
    """What the fine-tuned model reads, in training and in service alike."""
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def instruction_of(task: Task) -> str:
    """The task's instruction, or a plain one made of its labels' kind."""
    return task.instruction or "Classify the input. Answer with exactly one of the labels, and nothing else."


def prompted_messages(task: Task, inputs: Mapping[str, str], shots: Sequence[Example] = ()) -> list[dict[str, str]]:
    """What the untrained base reads: instruction and labels, then solved examples if any, then the input."""
    labels = "\n".join(f"- {label}" for label in task.labels)
    messages = [{"role": "system", "content": f"{instruction_of(task)}\n\nLabels:\n{labels}"}]
    for shot in shots:
        messages.append({"role": "user", "content": render_input(shot.inputs)})
        messages.append({"role": "assistant", "content": shot.target})
    return [*messages, {"role": "user", "content": render_input(inputs)}]
