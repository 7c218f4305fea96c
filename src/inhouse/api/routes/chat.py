"""`POST /v1/chat/completions`: a task's input in, its answer out; each request becomes a Trace."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from anyio import CancelScope
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from inhouse.api.errors import ApiError, error_body
from inhouse.api.models import Models
from inhouse.api.shapes.chat import (
    DONE,
    WITHOUT_EFFECT,
    ChatRequest,
    Head,
    chunk,
    completion,
    event,
    last_chunk,
    usage_chunk,
)
from inhouse.core import ModelVersion, Prediction, Trace
from inhouse.deploy import Answered, Served
from inhouse.engine.answers import Question
from inhouse.errors import InhouseError
from inhouse.store import traffic
from inhouse.store.database import now

router = APIRouter()

LEFT = "the client left"

_log = logging.getLogger("inhouse")


@dataclass
class _Asked:
    """One request to a task, as far as it has come; however it ends, it becomes a Trace.

    `inputs` holds the raw text under no field's name until it was read as the task's input.
    """

    head: Head
    inputs: dict[str, str]
    warnings: list[str]
    begun: float = field(default_factory=time.perf_counter)
    answered: Answered | None = None
    error: str | None = None
    kept: bool = False

    @property
    def version(self) -> ModelVersion:
        """Which answers."""
        return self.head.version


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
        *_, (_, answered) = model.stream(question, body.most, every_token=False)
        assert answered is not None
        asked.answered = answered
    if answered.prediction.target is None:
        raise ApiError(500, str(answered.prediction.error), code="no_answer")
    return JSONResponse(completion(asked.head, answered, asked.warnings))


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
        if name not in WITHOUT_EFFECT and value is not None:
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
    return _Asked(Head(body.model, version), inputs={"": raw}, warnings=warnings)


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
        _log.warning("the trace of %s was not kept: %s", asked.head.id, str(error).splitlines()[0])


def _trace(asked: _Asked) -> Trace:
    left = Answered(Prediction(target=None, error=asked.error or LEFT), needs_review=True)
    answered = asked.answered or left
    prediction = answered.prediction
    return Trace(
        id=asked.head.id,
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


def _events(
    models: Models, asked: _Asked, model: Served, question: Question, most: int | None, *, include_usage: bool
) -> Generator[str]:
    """Chunks as the official client expects them, ended by `[DONE]`."""
    head = asked.head
    yield event(chunk(head, {"role": "assistant", "content": "", "refusal": None}))
    sent = ""
    answered: Answered | None = None
    try:
        for text, last in model.stream(question, most):
            answered = last
            whole = text.rstrip("\ufffd")  # half a character: the rest comes with the next token
            if len(whole) > len(sent):
                yield event(chunk(head, {"content": whole[len(sent) :]}))
                sent = whole
    except InhouseError as error:
        asked.error = error.what
        _keep_trace(models, asked)
        yield event(error_body(500, error.what, code="engine"))
        return
    except Exception as error:
        asked.error = _told(error)
        raise
    assert answered is not None
    asked.answered = answered
    _keep_trace(models, asked)  # before the client can know of it
    if answered.prediction.target is None:
        yield event(error_body(500, str(answered.prediction.error), code="no_answer"))
        return
    yield event(last_chunk(head, answered, asked.warnings))
    if include_usage:
        yield event(usage_chunk(head, answered))
    yield DONE
