"""A task that writes texts, without a training of its own."""

from __future__ import annotations

from inhouse.core import Task
from inhouse.store import Workspace, registry


def add_letters(workspace: Workspace) -> None:
    """A task whose texts are written by the file that `intents` learned to answer with labels."""
    version = registry.find_version(workspace, "intents", 1)
    task = workspace.load_task("intents")
    workspace.save_task(Task(name="letters", kind="generate", input=task.input, base_model=task.base_model))
    free = {"task": "letters", "kind": "generate", "labels": (), "answer_tokens": 40, "calibrator": None}
    free |= {"exact": True}  # else what else is in the batch, or in the cache, tips the scales every now and then
    registry.add_version(workspace, version.model_copy(update=free))
    registry.move_alias(workspace, "letters", registry.CHAMPION, 1, action="promote")
