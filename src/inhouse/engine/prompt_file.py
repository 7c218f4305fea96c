"""A prompt as one file: what the untrained base reads around a question, to be served as it was judged."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from inhouse.core import Example, Task, render_input
from inhouse.core.frozen import Frozen
from inhouse.core.json_schema import compact
from inhouse.engine.prompts import USUAL_FORM, Messages, PromptForm, conversation, prompted_messages
from inhouse.errors import ModelUnavailable

Floats = NDArray[np.float32]

# What stands for the question while a prompt is taken apart; no text of a user's has it.
_QUESTION = "\ufdd0question\ufdd0"


class Turn(Frozen):
    """A message of a prompt."""

    role: str
    content: str


class LookUp(Frozen):
    """How the solved examples that are most similar to a question are found among those of a frame.

    Attributes:
        count, tokens: the most that are shown, and the most tokens that these may take together.
        encoder, encoder_sha256: the sentence encoder by whose vectors they are found.
        costs: tokens of each example.
        vectors: of each example's input, of unit length: float32 rows in base64.
    """

    count: int
    tokens: int
    encoder: str
    encoder_sha256: str
    costs: tuple[int, ...]
    vectors: str

    @property
    def matrix(self) -> Floats:
        """The vectors, one row per example."""
        flat = np.frombuffer(base64.b64decode(self.vectors), dtype=np.float32)
        return flat.reshape(len(self.costs), -1) if self.costs else np.zeros((0, 1), np.float32)

    def some(self, kept: Sequence[int]) -> LookUp:
        """Among some of the examples alone, by their places."""
        costs = tuple(self.costs[place] for place in kept)
        return self.model_copy(update={"costs": costs, "vectors": as_text(self.matrix[list(kept)])})


def as_text(vectors: Floats) -> str:
    """Vectors as a `LookUp` has them."""
    return base64.b64encode(np.ascontiguousarray(vectors, np.float32).tobytes()).decode("ascii")


class PromptFrame(Frozen):
    """What stands around a question.

    Attributes:
        system: the first message: instruction and the form of an answer.
        shots: solved examples, each the messages of its own.
        look_up: which of them each question is shown; None: all of them.
        ahead, behind: in the message of the question itself, before and after it.
    """

    system: str
    shots: tuple[tuple[Turn, ...], ...] = ()
    look_up: LookUp | None = None
    ahead: str = ""
    behind: str = ""

    def messages(self, inputs: Mapping[str, str], shown: Sequence[int] | None = None, *, chat: bool) -> Messages:
        """What the base reads of an input, as `prompted_messages` has it.

        Args:
            shown: places of the solved examples that are shown; all where it is None.
            chat: `inputs` hold a conversation, whose own system message follows the frame's.
        """
        asked = conversation(inputs) if chat else [{"role": "user", "content": render_input(inputs)}]
        own = [m["content"] for m in asked if m["role"] == "system"]
        shots = self.shots if shown is None else [self.shots[place] for place in shown]
        *earlier, last = [{"role": m["role"], "content": m["content"]} for m in asked if m["role"] != "system"]
        return [
            {"role": "system", "content": "\n\n".join([self.system, *own])},
            *(turn.model_dump() for shot in shots for turn in shot),
            *earlier,
            {**last, "content": f"{self.ahead}{last['content']}{self.behind}"},
        ]

    def without(self, holds: Callable[[str], bool]) -> PromptFrame:
        """Without the solved examples that hold something."""
        kept = [i for i, shot in enumerate(self.shots) if not any(holds(turn.content) for turn in shot)]
        look_up = self.look_up.some(kept) if self.look_up else None
        return self.model_copy(update={"shots": tuple(self.shots[i] for i in kept), "look_up": look_up})


def frame_of(
    task: Task, shots: Sequence[Example] = (), form: PromptForm = USUAL_FORM, look_up: LookUp | None = None
) -> PromptFrame:
    """The frame of the prompts that `prompted_messages` makes for a task, with the same solved examples and form.

    Args:
        look_up: which of the examples each question is shown; None: all of them.
    """
    field = task.input.fields[0] if task.input.fields else "text"
    turn = compact([{"role": "user", "content": _QUESTION}]) if task.input.chat else _QUESTION
    asked = {field: turn}
    bare = prompted_messages(task, asked, form=form)
    ahead, _, behind = bare[-1]["content"].partition(_QUESTION)
    return PromptFrame(
        system=bare[0]["content"],
        shots=tuple(tuple(_turn(m) for m in prompted_messages(task, asked, [shot], form=form)[1:-1]) for shot in shots),
        look_up=look_up,
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
