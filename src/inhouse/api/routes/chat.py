"""`POST /v1/chat/completions`: a task's input in, its answer out; each request becomes a Trace."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import State

from inhouse.api.errors import ApiError, error_body
from inhouse.api.exchange import Exchange
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
from inhouse.api.streaming import EventStream, pieces
from inhouse.core import ModelVersion
from inhouse.deploy import Answered, Ask, Chosen, conversation_of, inputs_of
from inhouse.errors import InhouseError

router = APIRouter()


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(body: ChatRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Answer one message, whole or as a stream of server-sent events."""
    state = request.app.state
    chosen: Chosen = await run_in_threadpool(state.dispatcher.choose, body.model)
    _refuse_what_is_not_done(body, chosen.version)
    exchange = _begun(body, chosen)
    async with AsyncExitStack() as held:
        await held.enter_async_context(exchange.traced(state.traces))
        ask = _read(exchange, body)
        if body.stream:
            usage = bool((body.stream_options or {}).get("include_usage"))
            return EventStream(_events(state, exchange, ask, include_usage=usage), held.pop_all())
        (answered,) = await state.runtime.answer(ask)
        exchange.ended(answered)
    if answered.prediction.target is None:
        raise _no_answer(answered)
    return JSONResponse(completion(exchange.head, answered, exchange.warnings))


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


def _begun(body: ChatRequest, chosen: Chosen) -> Exchange:
    """The request before anything of it was looked at."""
    raw = "\n\n".join(m.text for m in body.messages if m.role == "user")
    warnings = []
    told = any(m.role in ("system", "developer") and m.text.strip() for m in body.messages)
    if told and not chosen.version.chat:
        warnings.append("the system message was not used: the model was trained without one")
    return Exchange(Head(body.model, chosen.version), chosen, inputs={"": raw}, warnings=warnings)


def _read(exchange: Exchange, body: ChatRequest) -> Ask:
    """The message, or the conversation, as the task's input."""
    version = exchange.chosen.version
    if version.chat:
        exchange.inputs = conversation_of(version, [(m.role, m.text) for m in body.messages])
        return Ask(version, exchange.inputs, body.most)
    users = [m for m in body.messages if m.role == "user"]
    others = sorted({m.role for m in body.messages} - {"user", "system", "developer"})
    if len(users) != 1 or others:
        raise ApiError(
            400,
            f"the task `{version.task}` answers one user message at a time; got {len(users)} user messages"
            + (f" and roles {', '.join(others)}" if others else ""),
            code="invalid_value",
            param="messages",
        )
    exchange.inputs = inputs_of(version, users[0].text)
    return Ask(version, exchange.inputs, body.most)


def _no_answer(answered: Answered) -> ApiError:
    return ApiError(500, str(answered.prediction.error), code="no_answer")


async def _events(state: State, exchange: Exchange, ask: Ask, *, include_usage: bool) -> AsyncGenerator[str]:
    """Chunks as the official client expects them, ended by `[DONE]`."""
    head = exchange.head
    role = event(chunk(head, {"role": "assistant", "content": "", "refusal": None}))
    try:
        async with aclosing(pieces(state.runtime, ask)) as parts:
            async for piece in parts:
                if isinstance(piece, tuple):
                    exchange.ended(*piece)
                    continue
                if exchange.first_ms is None:
                    yield role
                exchange.heard()
                yield event(chunk(head, {"content": piece.text}))
    except InhouseError as error:
        if exchange.first_ms is None:
            raise  # nothing was sent: it has a status of its own
        exchange.failed(error)
        await exchange.keep(state.traces)
        yield event(error_body(500, error.what, code="engine"))
        return
    answered = exchange.answered
    assert answered is not None
    await exchange.keep(state.traces)  # before the client can know of it
    if answered.prediction.target is None:
        if exchange.first_ms is None:
            raise _no_answer(answered)
        yield event(error_body(500, str(answered.prediction.error), code="no_answer"))
        return
    if exchange.first_ms is None:
        yield role
    yield event(last_chunk(head, answered, exchange.warnings))
    if include_usage:
        yield event(usage_chunk(head, answered))
    yield DONE
