"""The bodies of `/v1/chat/completions`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from inhouse.core import ModelVersion
from inhouse.deploy import Answered

# Fields of the official client that cannot change an answer, which is always greedy. Only texts can be cut short
# (`max_tokens`): a label or an object is none until it is whole.
WITHOUT_EFFECT = {
    "temperature",
    "top_p",
    "seed",
    "user",
    "metadata",
    "store",
    "presence_penalty",
    "frequency_penalty",
    "stream_options",
    "parallel_tool_calls",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "reasoning_effort",
    "verbosity",
    "logit_bias",
    "modalities",
}


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


class ChatRequest(BaseModel):
    """The body. Fields that are neither here nor known to be without effect are refused by name."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[ChatMessage]
    stream: bool | None = False
    n: int | None = 1
    logprobs: bool | None = False
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    tools: list[Any] | None = None
    stop: str | list[str] | None = None
    stream_options: dict[str, Any] | None = None

    @property
    def most(self) -> int | None:
        """The most tokens that the caller wants."""
        return self.max_completion_tokens or self.max_tokens


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer and all of its chunks begin with: an id, the time in seconds, and who answers.

    Args:
        model: as the caller named it.
    """

    model: str
    version: ModelVersion
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


def completion(head: Head, answered: Answered, warnings: Sequence[str]) -> dict[str, Any]:
    """An answer as a whole."""
    message = {"role": "assistant", "content": answered.prediction.target, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answered)}
    ours = _ours(head, answered, warnings)
    return {**head.of("chat.completion"), "choices": [choice], "usage": usage(answered), **ours}


def chunk(head: Head, delta: Mapping[str, Any]) -> dict[str, Any]:
    """A piece of an answer."""
    return {**head.of("chat.completion.chunk"), "choices": [_choice(delta)]}


def last_chunk(head: Head, answered: Answered, warnings: Sequence[str]) -> dict[str, Any]:
    """The end of an answer that came in pieces."""
    ended = {**head.of("chat.completion.chunk"), "choices": [_choice({}, _finish(answered))]}
    return {**ended, **_ours(head, answered, warnings)}


def usage_chunk(head: Head, answered: Answered) -> dict[str, Any]:
    """What `include_usage` asks for."""
    return {**head.of("chat.completion.chunk"), "choices": [], "usage": usage(answered)}


def usage(answered: Answered) -> dict[str, int]:
    """How many tokens were read and written."""
    prompt, answer = answered.prediction.prompt_tokens, answered.prediction.answer_tokens
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def event(payload: Mapping[str, Any]) -> str:
    """An object as a server-sent event."""
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n"


DONE = "data: [DONE]\n\n"


def _choice(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}


def _finish(answered: Answered) -> str:
    """Why the answer ended: of its own, or cut off."""
    return "stop" if answered.prediction.finished else "length"


def _ours(head: Head, answered: Answered, warnings: Sequence[str]) -> dict[str, Any]:
    """What OpenAI's shape has no place for."""
    prediction = answered.prediction
    return {
        "inhouse": {
            "model_version": head.version.name,
            "confidence": prediction.confidence,
            **({"fields": prediction.parts} if prediction.parts else {}),
            "needs_review": answered.needs_review,
            "warnings": [*warnings, *([prediction.error] if prediction.error else [])],
        }
    }
