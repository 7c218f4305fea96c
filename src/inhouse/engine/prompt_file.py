"""A prompt as one file: what the untrained base reads around a question, to be served as it was judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from inhouse.core import Example, Task, render_input
from inhouse.core.frozen import Frozen
from inhouse.core.json_schema import compact
from inhouse.engine.prompts import USUAL_FORM, Messages, PromptForm, conversation, prompted_messages
from inhouse.errors import ModelUnavailable

# What stands for the question while a prompt is taken apart; no text of a user's has it.
_QUESTION = "\ufdd0question\ufdd0"


class Turn(Frozen):
    """A message of a prompt."""

    role: str
    content: str


class PromptFrame(Frozen):
    """What stands around a question.

    Attributes:
        system: the first message: instruction and the form of an answer.
        shots: solved examples, each the messages of its own.
        ahead, behind: in the message of the question itself, before and after it.
    """

    system: str
    shots: tuple[tuple[Turn, ...], ...] = ()
    ahead: str = ""
    behind: str = ""

    def messages(self, inputs: Mapping[str, str], *, chat: bool) -> Messages:
        """What the base reads of an input, as `prompted_messages` has it.

        Args:
            chat: `inputs` hold a conversation, whose own system message follows the frame's.
        """
        asked = conversation(inputs) if chat else [{"role": "user", "content": render_input(inputs)}]
        own = [m["content"] for m in asked if m["role"] == "system"]
        *earlier, last = [{"role": m["role"], "content": m["content"]} for m in asked if m["role"] != "system"]
        return [
            {"role": "system", "content": "\n\n".join([self.system, *own])},
            *(turn.model_dump() for shot in self.shots for turn in shot),
            *earlier,
            {**last, "content": f"{self.ahead}{last['content']}{self.behind}"},
        ]

    def without(self, holds: Callable[[str], bool]) -> PromptFrame:
        """Without the solved examples that hold something."""
        left = tuple(shot for shot in self.shots if not any(holds(turn.content) for turn in shot))
        return self.model_copy(update={"shots": left})


def frame_of(task: Task, shots: Sequence[Example] = (), form: PromptForm = USUAL_FORM) -> PromptFrame:
    """The frame of the prompts that `prompted_messages` makes for a task, with the same solved examples and form."""
    field = task.input.fields[0] if task.input.fields else "text"
    turn = compact([{"role": "user", "content": _QUESTION}]) if task.input.chat else _QUESTION
    asked = {field: turn}
    bare = prompted_messages(task, asked, form=form)
    ahead, _, behind = bare[-1]["content"].partition(_QUESTION)
    return PromptFrame(
        system=bare[0]["content"],
        shots=tuple(tuple(_turn(m) for m in prompted_messages(task, asked, [shot], form=form)[1:-1]) for shot in shots),
        ahead=ahead,
        behind=behind,
    )


def _turn(message: Mapping[str, str]) -> Turn:
    return Turn(role=message["role"], content=message["content"])


def read_frame(file: Path) -> PromptFrame:
    """The frame that a file holds.

    Raises:
        ModelUnavailable: it holds none.
    """
    try:
        return PromptFrame.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ModelUnavailable("this is no whole prompt", "promote it again", file=file) from error
