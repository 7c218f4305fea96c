"""A prompt as one file: what a model reads around a question, to be served as it was judged."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from inhouse.core import Example, Task, render_input
from inhouse.core.documents import Passage
from inhouse.core.frozen import Frozen
from inhouse.core.json_schema import compact
from inhouse.engine.prompts import (
    USUAL_FORM,
    Messages,
    PromptForm,
    conversation,
    prompted_messages,
    shown_messages,
    shown_passages,
)
from inhouse.errors import ModelUnavailable

Floats = NDArray[np.float32]
T = TypeVar("T")

# What stands for the question while a prompt is taken apart; no text of a user's has it.
_QUESTION = "\ufdd0question\ufdd0"


class Turn(Frozen):
    """A message of a prompt."""

    role: str
    content: str


class LookUp(Frozen):
    """How what belongs to a question is found among the passages of a frame or, where it has none, its solved examples.

    Attributes:
        count, tokens: the most that are shown, and the most tokens that these may take together.
        encoder, encoder_sha256: the sentence encoder by whose vectors they are found; none: by words alone.
        costs: tokens of each of them.
        vectors: of each passage, or each example's input, of unit length: float32 rows in base64.
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
        return flat.reshape(len(self.costs), -1) if len(flat) else np.zeros((len(self.costs), 0), np.float32)

    def some(self, kept: Sequence[int]) -> LookUp:
        """Among some of them alone, by their places."""
        costs = tuple(self.costs[place] for place in kept)
        return self.model_copy(update={"costs": costs, "vectors": as_text(self.matrix[list(kept)])})


def as_text(vectors: Floats) -> str:
    """Vectors as a `LookUp` has them."""
    return base64.b64encode(np.ascontiguousarray(vectors, np.float32).tobytes()).decode("ascii")


class PromptFrame(Frozen):
    """What stands around a question.

    Attributes:
        system: the first message: instruction and the form of an answer. None: there is none but a conversation's own.
        shots: solved examples, each the messages of its own.
        passages: of documents.
        look_up: which of the passages, or of the examples, each question is shown; None: all of them.
        ahead, behind: in the message of the question itself, before and after it.
    """

    system: str | None
    shots: tuple[tuple[Turn, ...], ...] = ()
    passages: tuple[Passage, ...] = ()
    look_up: LookUp | None = None
    ahead: str = ""
    behind: str = ""

    def messages(self, inputs: Mapping[str, str], shown: Sequence[int] | None = None, *, chat: bool) -> Messages:
        """What the model reads of an input, as `prompted_messages` or `shown_messages` has it.

        Args:
            shown: places of the passages, or of the solved examples, that are shown; all where it is None.
            chat: `inputs` hold a conversation, whose own system message follows the frame's.
        """
        asked = conversation(inputs) if chat else [{"role": "user", "content": render_input(inputs)}]
        own = [m["content"] for m in asked if m["role"] == "system"]
        system = own if self.system is None else ["\n\n".join([self.system, *own])]
        *earlier, last = [{"role": m["role"], "content": m["content"]} for m in asked if m["role"] != "system"]
        passages = self._shown(shown)
        shots = self.shots if self.passages else _some(self.shots, shown)
        ahead = f"{shown_passages(passages)}\n\n{self.ahead}" if passages else self.ahead
        return [
            *({"role": "system", "content": text} for text in system),
            *(turn.model_dump() for shot in shots for turn in shot),
            *earlier,
            {**last, "content": f"{ahead}{last['content']}{self.behind}"},
        ]

    def cited(self, shown: Sequence[int] | None) -> tuple[str, ...]:
        """How answers cite the passages that are shown, by their places; see `messages`."""
        return tuple(one.cited for one in self._shown(shown))

    def _shown(self, places: Sequence[int] | None) -> tuple[Passage, ...]:
        return _some(self.passages, places) if self.passages else ()

    def without(self, holds: Callable[[str], bool]) -> PromptFrame:
        """Without the passages and the solved examples that hold something."""
        passages = [i for i, one in enumerate(self.passages) if not holds(one.text)]
        shots = [i for i, shot in enumerate(self.shots) if not any(holds(turn.content) for turn in shot)]
        changed = {"passages": _some(self.passages, passages), "shots": _some(self.shots, shots)}
        look_up = self.look_up.some(passages if self.passages else shots) if self.look_up else None
        return self.model_copy(update={**changed, "look_up": look_up})


def _some(of: tuple[T, ...], places: Sequence[int] | None) -> tuple[T, ...]:
    return of if places is None else tuple(of[place] for place in places)


def frame_of(
    task: Task,
    shots: Sequence[Example] = (),
    form: PromptForm = USUAL_FORM,
    *,
    passages: Sequence[Passage] = (),
    look_up: LookUp | None = None,
) -> PromptFrame:
    """The frame of the prompts that `prompted_messages` makes for a task, with the same examples, passages and form.

    Args:
        look_up: which of the passages, or examples, each question is shown; None: all of them.
    """
    asked = _asked(task)
    bare = prompted_messages(task, asked, form=form)
    ahead, _, behind = bare[-1]["content"].partition(_QUESTION)
    return PromptFrame(
        system=bare[0]["content"],
        shots=tuple(tuple(_turn(m) for m in prompted_messages(task, asked, [shot], form=form)[1:-1]) for shot in shots),
        passages=tuple(passages),
        look_up=look_up,
        ahead=ahead,
        behind=behind,
    )


def trained_frame(task: Task, system: str, shots: Sequence[Example], look_up: LookUp) -> PromptFrame:
    """The frame of what `shown_messages` makes: a fine-tuned model's own form, with solved examples as turns before."""
    chat = task.input.chat
    begins = 0 if chat else 1
    turns = (shown_messages(system, _asked(task), [shot], chat=chat)[begins:-1] for shot in shots)
    return PromptFrame(
        system=None if chat else system,
        shots=tuple(tuple(map(_turn, messages)) for messages in turns),
        look_up=look_up,
    )


def _asked(task: Task) -> dict[str, str]:
    """An input that is nothing but the mark of the question."""
    field = task.input.fields[0] if task.input.fields else "text"
    return {field: compact([{"role": "user", "content": _QUESTION}]) if task.input.chat else _QUESTION}


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
