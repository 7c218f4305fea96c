"""`POST /v1/chat/completions`: one user message in, one label out; each request becomes a Trace."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

from inhouse.api.errors import ApiError
from inhouse.api.models import Models
from inhouse.core import ModelVersion, Task, Trace
from inhouse.deploy import Answered, ServedModel
from inhouse.errors import InhouseError
from inhouse.store import traffic
from inhouse.store.database import now

router = APIRouter()

# Fields of the official client that cannot change a label, which is always answered whole and greedily.
_WITHOUT_EFFECT = {
    "temperature",
    "top_p",
    "seed",
    "max_tokens",
    "max_completion_tokens",
    "stop",
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
            return "".join(part.text for part in self.content)
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
    tools: list[Any] | None = None
    stream_options: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Asked:
    """One accepted request."""

    id: str
    model: str
    task: Task
    version: ModelVersion
    inputs: dict[str, str]
    prompt: list[int]
    created: int
    begun: float
    warnings: tuple[str, ...]


@router.post("/v1/chat/completions", response_model=None)
def chat_completions(body: ChatRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Answer one message, whole or as a stream of server-sent events."""
    models: Models = request.app.state.models
    _refuse_what_is_not_done(body)
    task, version = models.resolve(body.model)
    if body.stream:
        opened = models.using(task, version)
        model = opened.__enter__()
        try:
            asked = _ask(models, body, task, version, model)
        except BaseException:
            opened.__exit__(None, None, None)
            raise
        usage = bool((body.stream_options or {}).get("include_usage"))
        events = _closing(_events(models, asked, model, include_usage=usage), opened)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})
    with models.using(task, version) as model:
        asked = _ask(models, body, task, version, model)
        *_, (_, answered) = model.stream(asked.prompt)
    assert answered is not None
    _keep_trace(models, asked, answered)
    if answered.prediction.target is None:
        raise ApiError(500, str(answered.prediction.error), code="no_answer")
    return JSONResponse(_completion(asked, answered))


def _refuse_what_is_not_done(body: ChatRequest) -> None:
    """Say no, rather than ignore what the caller counts on."""
    kind = (body.response_format or {}).get("type", "text")
    for param, asked in (
        ("n", body.n not in (None, 1)),
        ("logprobs", bool(body.logprobs) or bool(body.top_logprobs)),
        ("tools", bool(body.tools)),
        ("response_format", kind != "text"),
    ):
        if asked:
            raise ApiError(
                400,
                f"`{param}` is not supported: a classify model answers with one label",
                code="unsupported_value",
                param=param,
            )
    for name, value in (body.model_extra or {}).items():
        if name not in _WITHOUT_EFFECT and value is not None:
            raise ApiError(400, f"Unrecognized request argument: {name}", code="unknown_parameter", param=name)


def _ask(models: Models, body: ChatRequest, task: Task, version: ModelVersion, model: ServedModel) -> _Asked:
    """The request as the task's input and its prompt."""
    users = [m for m in body.messages if m.role == "user"]
    others = sorted({m.role for m in body.messages} - {"user", "system", "developer"})
    if len(users) != 1 or others:
        raise ApiError(
            400,
            f"the task `{task.name}` answers one user message at a time; got {len(users)} user messages"
            + (f" and roles {', '.join(others)}" if others else ""),
            code="invalid_value",
            param="messages",
        )
    warnings = []
    if any(m.role in ("system", "developer") and m.text.strip() for m in body.messages):
        warnings.append("the system message was not used: the model was trained without one")
    inputs = model.inputs_of(users[0].text)
    return _Asked(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        model=body.model,
        task=task,
        version=version,
        inputs=inputs,
        prompt=model.prompt(inputs),
        created=int(time.time()),
        begun=time.perf_counter(),
        warnings=tuple(warnings),
    )


def _keep_trace(models: Models, asked: _Asked, answered: Answered) -> None:
    prediction = answered.prediction
    traffic.add_trace(
        models.workspace,
        Trace(
            id=asked.id,
            task=asked.task.name,
            model_version=asked.version.name,
            inputs=asked.inputs,
            output=prediction.target,
            confidence=prediction.confidence,
            needs_review=answered.needs_review,
            latency_ms=(time.perf_counter() - asked.begun) * 1000,
            prompt_tokens=prediction.prompt_tokens,
            answer_tokens=prediction.answer_tokens,
            created_at=now(),
            error=prediction.error,
        ),
    )


def _completion(asked: _Asked, answered: Answered) -> dict[str, Any]:
    message = {"role": "assistant", "content": answered.prediction.target, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**_head(asked, "chat.completion"), "choices": [choice], "usage": _usage(answered), **_ours(asked, answered)}


def _head(asked: _Asked, kind: str) -> dict[str, Any]:
    return {
        "id": asked.id,
        "object": kind,
        "created": asked.created,
        "model": asked.model,
        "system_fingerprint": f"fp_{asked.version.file_sha256[:12]}",
    }


def _usage(answered: Answered) -> dict[str, int]:
    prompt, answer = answered.prediction.prompt_tokens, answered.prediction.answer_tokens
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def _ours(asked: _Asked, answered: Answered) -> dict[str, Any]:
    """What OpenAI's shape has no place for."""
    return {
        "inhouse": {
            "model_version": asked.version.name,
            "confidence": answered.prediction.confidence,
            "needs_review": answered.needs_review,
            "warnings": list(asked.warnings),
        }
    }


def _events(models: Models, asked: _Asked, model: ServedModel, *, include_usage: bool) -> Iterator[str]:
    """Chunks as the official client expects them, ended by `[DONE]`."""
    head = _head(asked, "chat.completion.chunk")
    yield _event({**head, "choices": [_delta({"role": "assistant", "content": "", "refusal": None})]})
    sent = ""
    answered: Answered | None = None
    try:
        for text, last in model.stream(asked.prompt):
            answered = last
            whole = text.rstrip("\ufffd")  # half a character: the rest comes with the next token
            if len(whole) > len(sent):
                yield _event({**head, "choices": [_delta({"content": whole[len(sent) :]})]})
                sent = whole
    except InhouseError as error:
        yield _failed(error.what, "engine")
        return
    assert answered is not None
    _keep_trace(models, asked, answered)
    if answered.prediction.target is None:
        yield _failed(str(answered.prediction.error), "no_answer")
        return
    yield _event({**head, "choices": [_delta({}, "stop")], **_ours(asked, answered)})
    if include_usage:
        yield _event({**head, "choices": [], "usage": _usage(answered)})
    yield "data: [DONE]\n\n"


def _closing(events: Iterator[str], opened: Any) -> Iterator[str]:  # noqa: ANN401 - a context manager
    """The events; at their end, or when the client leaves, the model is let go."""
    try:
        yield from events
    finally:
        opened.__exit__(None, None, None)


def _failed(message: str, code: str) -> str:
    return _event({"error": {"message": message, "type": "server_error", "param": None, "code": code}})


def _delta(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}


def _event(payload: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n"
