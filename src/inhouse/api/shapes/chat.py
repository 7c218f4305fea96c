"""The bodies of `/v1/chat/completions`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from inhouse.api.errors import ApiError
from inhouse.api.shapes.logprobs import of_chat
from inhouse.api.shapes.wishes import Wishes
from inhouse.core import ModelVersion
from inhouse.deploy import Answered


class TextPart(BaseModel):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """A message; other keys of the client are let through."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)  # as chat files are read
        return self.content or ""


class ChatRequest(Wishes):
    """The body."""

    messages: list[ChatMessage] = Field(min_length=1)
    logprobs: bool | None = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: dict[str, Any] | None = None
    max_completion_tokens: int | None = Field(default=None, ge=1)
    tools: list[Any] | None = None

    @property
    def most(self) -> int | None:
        """See `Wishes.most`."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def top(self) -> int | None:
        """How many of the likeliest tokens to tell at each place; None where not even the chosen one's chance is."""
        return (self.top_logprobs or 0) if self.logprobs else None


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer and all of its chunks begin with: an id, the time in seconds, and who answers.

    Args:
        model: as the caller named it.
        fallback: where a generic model answers: why, in whose place, and what that one had answered.
    """

    model: str
    version: ModelVersion
    fallback: Mapping[str, Any] | None = None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def of(self, kind: str) -> dict[str, Any]:
        """The same as the beginning of an object of that kind."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": f"fp_{self.version.file_sha256[:12]}",
        }


def completion(
    head: Head, answers: Sequence[Answered], warnings: Sequence[str], top: int | None = None
) -> dict[str, Any]:
    """One or more answers as a whole.

    Args:
        top: see `ChatRequest.top`.
    """
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": answered.prediction.target, "refusal": None},
            "logprobs": None if top is None else of_chat(answered.tokens, top),
            "finish_reason": finish(answered),
            **(ours(head, answered, ()) if len(answers) > 1 else {}),
        }
        for index, answered in enumerate(answers)
    ]
    first = ours(head, answers[0], warnings)
    return {**head.of("chat.completion"), "choices": choices, "usage": usage_of([answers]), **first}


def chunk(
    head: Head, delta: Mapping[str, Any], choice: int = 0, logprobs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A piece of an answer."""
    return {**head.of("chat.completion.chunk"), "choices": [_choice(delta, choice, logprobs=logprobs)]}


def last_chunk(head: Head, answered: Answered, warnings: Sequence[str], choice: int = 0) -> dict[str, Any]:
    """The end of an answer that came in pieces."""
    ended = {**head.of("chat.completion.chunk"), "choices": [_choice({}, choice, finish(answered))]}
    return {**ended, **ours(head, answered, warnings)}


def usage_chunk(head: Head, answers: Sequence[Answered]) -> dict[str, Any]:
    """What `include_usage` asks for."""
    return {**head.of("chat.completion.chunk"), "choices": [], "usage": usage_of([answers])}


def usage_of(answers: Sequence[Sequence[Answered]]) -> dict[str, Any]:
    """How many tokens were read, once of each prompt whatever the number of its answers, and written.

    openvino-genai does not tell how many tokens of a prompt came from its cache: 0 is never more than did.
    """
    prompt = sum(of_prompt[0].prediction.prompt_tokens for of_prompt in answers)
    written = sum(answered.prediction.answer_tokens for of_prompt in answers for answered in of_prompt)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def none_among(answers: Sequence[Answered]) -> ApiError | None:
    """What to say where one of the answers is none."""
    none = next((answered.prediction for answered in answers if answered.prediction.target is None), None)
    return None if none is None else ApiError(500, str(none.error), code="no_answer")


def event(payload: Mapping[str, Any]) -> str:
    """An object as a server-sent event."""
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n"


DONE = "data: [DONE]\n\n"


def _choice(
    delta: Mapping[str, Any], choice: int, finish: str | None = None, logprobs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"index": choice, "delta": dict(delta), "logprobs": logprobs, "finish_reason": finish}


def finish(answered: Answered) -> str:
    """Why the answer ended: of its own, or cut off."""
    return "stop" if answered.prediction.finished else "length"


def ours(head: Head, answered: Answered, warnings: Sequence[str]) -> dict[str, Any]:
    """What OpenAI's shape has no place for."""
    prediction = answered.prediction
    return {
        "inhouse": {
            "model_version": head.version.name,
            "confidence": prediction.confidence,
            **({"fields": prediction.parts} if prediction.parts else {}),
            **({"sources": prediction.sources} if prediction.sources else {}),
            "needs_review": answered.needs_review,
            **({"route": "fallback", "fallback": dict(head.fallback)} if head.fallback else {}),
            "warnings": [*warnings, *([prediction.error] if prediction.error else [])],
        }
    }
