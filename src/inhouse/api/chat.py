"""`POST /v1/chat/completions`: a task's input in, its answer out; each request becomes a Trace."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from anyio import CancelScope
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from inhouse.api.errors import ApiError
from inhouse.api.models import Models
from inhouse.core import ModelVersion, Prediction, Trace
from inhouse.deploy import Answered, Served
from inhouse.engine.answers import Question
from inhouse.errors import InhouseError
from inhouse.store import traffic
from inhouse.store.database import now

router = APIRouter()

LEFT = "the client left"

_log = logging.getLogger("inhouse")

# Fields of the official client that cannot change an answer, which is always greedy. Only texts can be cut short
# (`max_tokens`): a label or an object is none until it is whole.
_WITHOUT_EFFECT = {
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


@dataclass
class _Asked:
    """One request to a task, as far as it has come; however it ends, it becomes a Trace.

    `inputs` holds the raw text under no field's name until it was read as the task's input.
    """

    model: str
    version: ModelVersion
    inputs: dict[str, str]
    warnings: list[str]
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    begun: float = field(default_factory=time.perf_counter)
    answered: Answered | None = None
    error: str | None = None
    kept: bool = False


@router.post("/v1/chat/completions", response_model=None)
def chat_completions(body: ChatRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Answer one message, whole or as a stream of server-sent events."""
    models: Models = request.app.state.models
    version = models.resolve(body.model)
    _refuse_what_is_not_done(body, version)
    asked = _asked(body, version)
    with ExitStack() as held:
        held.enter_context(_traced(models, asked))
        model = held.enter_context(models.using(asked.version))
        question = _read(asked, body, model)
        if question.trimmed:
            asked.warnings.append("the input is longer than the model reads: the parts that matter most were read")
        if body.stream:
            usage = bool((body.stream_options or {}).get("include_usage"))
            return _Stream(_events(models, asked, model, question, body.most, include_usage=usage), held.pop_all())
        *_, (_, answered) = model.stream(question, body.most)
        assert answered is not None
        asked.answered = answered
    if answered.prediction.target is None:
        raise ApiError(500, str(answered.prediction.error), code="no_answer")
    return JSONResponse(_completion(asked, answered))


class _Stream(StreamingResponse):
    """Server-sent events; at their end, or when the client leaves, even before the first, `held` is let go."""

    def __init__(self, events: Generator[str], held: ExitStack) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})
        self._events, self._held = events, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await run_in_threadpool(self._end)

    def _end(self) -> None:
        with self._held:
            self._events.close()


def _refuse_what_is_not_done(body: ChatRequest, version: ModelVersion) -> None:
    """Say no, rather than ignore what the caller counts on."""
    for param, asked in (
        ("n", body.n not in (None, 1)),
        ("logprobs", bool(body.logprobs) or bool(body.top_logprobs)),
        ("tools", bool(body.tools)),
        ("stop", bool(body.stop) and version.kind == "generate"),  # a label or an object ends of its own
        ("response_format", not _keeps_format(body.response_format or {}, version)),
    ):
        if asked:
            raise ApiError(
                400,
                f"`{param}` is not supported as asked: {_ANSWERS[version.kind]}",
                code="unsupported_value",
                param=param,
            )
    for name, value in (body.model_extra or {}).items():
        if name not in _WITHOUT_EFFECT and value is not None:
            raise ApiError(400, f"Unrecognized request argument: {name}", code="unknown_parameter", param=name)


_ANSWERS = {
    "classify": "a classify model answers with one label",
    "extract": "an extract model answers with one JSON object of its own schema",
    "generate": "a generate model answers with one text",
}


def _keeps_format(wanted: Mapping[str, Any], version: ModelVersion) -> bool:
    """Whether the version's answers have the format that the caller counts on."""
    kind = wanted.get("type", "text")
    if kind == "json_schema":
        return version.kind == "extract" and wanted.get("json_schema", {}).get("schema") == version.json_schema
    return kind == "text" or (kind == "json_object" and version.kind == "extract")


def _asked(body: ChatRequest, version: ModelVersion) -> _Asked:
    """The request before anything of it was looked at."""
    raw = "\n\n".join(m.text for m in body.messages if m.role == "user")
    warnings = []
    told = any(m.role in ("system", "developer") and m.text.strip() for m in body.messages)
    if told and not version.chat:
        warnings.append("the system message was not used: the model was trained without one")
    return _Asked(model=body.model, version=version, inputs={"": raw}, warnings=warnings)


def _read(asked: _Asked, body: ChatRequest, model: Served) -> Question:
    """The message, or the conversation, as the task's input."""
    if asked.version.chat:
        asked.inputs = model.conversation_of([(m.role, m.text) for m in body.messages])
        return model.question(asked.inputs)
    users = [m for m in body.messages if m.role == "user"]
    others = sorted({m.role for m in body.messages} - {"user", "system", "developer"})
    if len(users) != 1 or others:
        raise ApiError(
            400,
            f"the task `{asked.version.task}` answers one user message at a time; got {len(users)} user messages"
            + (f" and roles {', '.join(others)}" if others else ""),
            code="invalid_value",
            param="messages",
        )
    asked.inputs = model.inputs_of(users[0].text)
    return model.question(asked.inputs)


@contextmanager
def _traced(models: Models, asked: _Asked) -> Iterator[None]:
    """Keep a Trace of what happens inside, whatever happens."""
    try:
        yield
    except Exception as error:
        asked.error = _told(error)
        raise
    finally:
        _keep_trace(models, asked)


def _told(error: Exception) -> str:
    """An error in one line, for a Trace."""
    if isinstance(error, InhouseError):
        return error.what
    return error.message if isinstance(error, ApiError) else f"{type(error).__name__}: {error}"


def _keep_trace(models: Models, asked: _Asked) -> None:
    """Store the Trace, once. That it cannot be stored is no reason to withhold an answer."""
    if asked.kept:
        return
    asked.kept = True
    try:
        traffic.add_trace(models.workspace, _trace(asked))
    except (InhouseError, SQLAlchemyError) as error:
        _log.warning("the trace of %s was not kept: %s", asked.id, str(error).splitlines()[0])


def _trace(asked: _Asked) -> Trace:
    left = Answered(Prediction(target=None, error=asked.error or LEFT), needs_review=True)
    answered = asked.answered or left
    prediction = answered.prediction
    return Trace(
        id=asked.id,
        task=asked.version.task,
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
    )


def _completion(asked: _Asked, answered: Answered) -> dict[str, Any]:
    message = {"role": "assistant", "content": answered.prediction.target, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answered)}
    return {**_head(asked, "chat.completion"), "choices": [choice], "usage": _usage(answered), **_ours(asked, answered)}


def _finish(answered: Answered) -> str:
    """Why the answer ended: of its own, or cut off."""
    return "stop" if answered.prediction.finished else "length"


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
    prediction = answered.prediction
    return {
        "inhouse": {
            "model_version": asked.version.name,
            "confidence": prediction.confidence,
            **({"fields": prediction.parts} if prediction.parts else {}),
            "needs_review": answered.needs_review,
            "warnings": [*asked.warnings, *([prediction.error] if prediction.error else [])],
        }
    }


def _events(
    models: Models, asked: _Asked, model: Served, question: Question, most: int | None, *, include_usage: bool
) -> Generator[str]:
    """Chunks as the official client expects them, ended by `[DONE]`."""
    head = _head(asked, "chat.completion.chunk")
    yield _event({**head, "choices": [_delta({"role": "assistant", "content": "", "refusal": None})]})
    sent = ""
    answered: Answered | None = None
    try:
        for text, last in model.stream(question, most):
            answered = last
            whole = text.rstrip("\ufffd")  # half a character: the rest comes with the next token
            if len(whole) > len(sent):
                yield _event({**head, "choices": [_delta({"content": whole[len(sent) :]})]})
                sent = whole
    except InhouseError as error:
        asked.error = error.what
        _keep_trace(models, asked)
        yield _failed(error.what, "engine")
        return
    except Exception as error:
        asked.error = _told(error)
        raise
    assert answered is not None
    asked.answered = answered
    _keep_trace(models, asked)  # before the client can know of it
    if answered.prediction.target is None:
        yield _failed(str(answered.prediction.error), "no_answer")
        return
    yield _event({**head, "choices": [_delta({}, _finish(answered))], **_ours(asked, answered)})
    if include_usage:
        yield _event({**head, "choices": [], "usage": _usage(answered)})
    yield "data: [DONE]\n\n"


def _failed(message: str, code: str) -> str:
    return _event({"error": {"message": message, "type": "server_error", "param": None, "code": code}})


def _delta(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}


def _event(payload: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n"
