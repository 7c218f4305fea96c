"""What contenders may use, in tests that load no model."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from inhouse.core import Example, Silent, Task
from inhouse.evaluate.contenders import Field


def bare_field(
    task: Task, train: Sequence[Example], validation: Sequence[Example], test: Sequence[Example], **more: Any
) -> Field:
    """A Field whose models are nothing."""
    nothing: Any = SimpleNamespace()
    known = {
        "form": nothing,
        "system": "",
        "max_tokens": 99,
        "context": 99,
        "tuned_names": ("fine-tuned",),
        "make_tuned": lambda: nothing,
        "make_classifier": lambda: nothing,
        "make_base": lambda: nothing,
        "make_encoder": lambda: nothing,
        "make_remote": lambda name: nothing,
        "template": nothing,
        "reporter": Silent(),
    }
    return Field(task=task, train=train, validation=validation, test=test, **(known | more))
