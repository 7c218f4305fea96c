"""`POST /v1/chat/completions`: a task's input in, its answer out; each request becomes a Trace."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.datastructures import State

from inhouse.api.caller import caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.exchange import Exchange
from inhouse.api.leaving import while_waited_for
from inhouse.api.shapes.chat import (
    DONE,
    ChatRequest,
    Head,
    chunk,
    completion,
    event,
    last_chunk,
    none_among,
    usage_chunk,
)
from inhouse.api.shapes.formats import wished_schema
from inhouse.api.shapes.logprobs import check_chances, of_chat, require_logprobs
from inhouse.api.shapes.wishes import answers_of, not_supported
from inhouse.api.streaming import Broken, EventStream, told
from inhouse.core import ModelVersion
from inhouse.deploy import Answered, Ask, Chosen, Options, conversation_of, inputs_of

router = APIRouter(dependencies=[require("infer")])


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(body: ChatRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Answer one message, whole or as a stream of server-sent events."""
    state = request.app.state
    caller = caller_of(request)
    chosen = await caller.chosen(state.dispatcher, body.model, body.asks)
    _refuse_what_is_not_done(body, chosen.version)
    options = _options(body, chosen.version)
    exchange = _begun(body, chosen, options)
    exchange.key = caller.key_id
    async with AsyncExitStack() as held:
        held.enter_context(state.runtime.place(exchange.count))
        await held.enter_async_context(exchange.traced(state.traces))
        ask = _read(exchange, body)
        if body.stream:
            return EventStream(_events(state, exchange, ask, body), held.pop_all(), exchange)
        answers = await while_waited_for(request, exchange.answer(state.fallbacks, ask))
        exchange.ended(answers)
    if none := none_among(answers):
        raise none
    return JSONResponse(completion(exchange.head, answers, exchange.warnings, body.top), headers=exchange.headers)


def _refuse_what_is_not_done(body: ChatRequest, version: ModelVersion) -> None:
    """Say no, rather than ignore what the caller counts on."""
    if body.tools:
        raise not_supported("tools", answers_of(version))
    body.refuse_steering(version)
    body.refuse_what_is_unknown()


def _options(body: ChatRequest, version: ModelVersion) -> Options:
    """How the answer is to be written.

    Raises:
        ApiError: it cannot be written so.
    """
    options = body.options(wished_schema(body.response_format, version))
    require_logprobs(body.logprobs, body.top_logprobs)
    if body.top is None:
        return options
    check_chances("top_logprobs", body.top, version, options)
    return replace(options, chances=True)


def _begun(body: ChatRequest, chosen: Chosen, options: Options) -> Exchange:
    """The request before anything of it was looked at."""
    raw = "\n\n".join(m.text for m in body.messages if m.role == "user")
    warnings = body.unused(chosen.version)
    told = any(m.role in ("system", "developer") and m.text.strip() for m in body.messages)
    if told and not chosen.version.chat:
        warnings.append("the system message was not used: the model was trained without one")
    head = Head(body.model, chosen.version)
    return Exchange(head, chosen, inputs={"": raw}, warnings=warnings, options=options, count=body.count)


def _read(exchange: Exchange, body: ChatRequest) -> Ask:
    """The message, or the conversation, as the task's input."""
    version = exchange.chosen.version
    if version.chat:
        exchange.inputs = conversation_of(version, [(m.role, m.text) for m in body.messages])
        return exchange.ask()
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
    return exchange.ask()


async def _events(state: State, exchange: Exchange, ask: Ask, body: ChatRequest) -> AsyncGenerator[str]:
    """Chunks as the official client expects them, ended by `[DONE]`."""
    begun = set[int]()
    answers: tuple[Answered, ...] = ()

    def role(choice: int) -> str:
        """The first chunk of a choice; nothing where it was sent."""
        if choice in begun:
            return ""
        begun.add(choice)
        return event(chunk(exchange.head, {"role": "assistant", "content": "", "refusal": None}, choice))

    try:
        async with aclosing(told(state, exchange, ask)) as parts:
            async for piece in parts:
                if isinstance(piece, tuple):
                    answers = piece
                    continue
                logprobs = None if body.top is None else of_chat(piece.tokens, body.top)
                yield role(piece.choice) + event(chunk(exchange.head, {"content": piece.text}, piece.choice, logprobs))
    except Broken as broken:
        yield broken.event
        return
    for choice, answered in enumerate(answers):
        yield role(choice) + event(last_chunk(exchange.head, answered, exchange.warnings, choice))
    if body.includes_usage:
        yield event(usage_chunk(exchange.head, answers))
    yield DONE
