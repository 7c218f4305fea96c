"""What the answers of a task look like, as its examples show it: labels, JSON Schema, outline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import inhouse.dataset as datasets
from inhouse.core import Dataset, Example, Outline, Reporter, Task, labels_of, render_input
from inhouse.core.json_schema import parse_object


def with_form(task: Task, dataset: Dataset) -> Task:
    """The task with what its answers look like: labels, JSON Schema or outline, as the train side shows them.

    A schema that is there gains what new examples hold beyond it; an outline that is there is the user's and stays.
    """
    side = dataset.learned
    if task.kind == "classify":
        return task.model_copy(update={"labels": labels_of(side)})
    if task.kind == "extract":
        return task.model_copy(update=_object_form(task, side))
    if task.outline == Outline() and not task.input.chat:
        return task.model_copy(update={"outline": datasets.infer_outline([e.target for e in side])})
    return task


def _object_form(task: Task, side: Sequence[Example]) -> dict[str, Any]:
    """The JSON Schema of the targets, and which of its fields are taken from the input."""
    objects, groups = [parse_object(e.target) or {} for e in side], [e.group for e in side]
    texts = [render_input(e.inputs) for e in side]
    schema = (
        datasets.widened(task.json_schema, objects, groups)[0]
        if task.json_schema
        else datasets.infer_schema(objects, groups)
    )
    fitted = [datasets.fitted(schema, one) for one in objects]
    if task.from_input is None:  # an empty table would be a user's no
        taken = datasets.infer_from_input(schema, fitted, texts) or None
    else:
        taken = datasets.still_from_input(task.from_input, schema, fitted, texts)
    return {"json_schema": schema, "from_input": taken}


def tell_not_taken(before: Task, after: Task, reporter: Reporter) -> None:
    """Warn of fields that the examples no longer show to be taken from the input."""
    forms = before.from_input or {}
    for path in sorted(set(forms) - set(after.from_input or {})):
        share = datasets.stray_share(forms[path])
        what = "is no passage of their input" if forms[path] == "text" else "their input does not mention"
        reporter.warn(
            f"{path} is no longer taken from the input: its type is another now, or over {share:.0%} of its values "
            f"are such as {what}"
        )


def form_lines(task: Task) -> tuple[str, ...]:
    """What the task's answers look like, for a person."""
    if task.kind == "extract":
        return tuple(datasets.describe_schema(task.json_schema, task.from_input))
    return tuple(datasets.describe_outline(task.outline)) if task.kind == "generate" else ()
