"""`POST /v1/completions`: a text that a base continues, or a task's input; each prompt becomes a Trace."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.datastructures import State

from inhouse.api.caller import caller_of, require
from inhouse.api.exchange import Exchange
from inhouse.api.leaving import while_waited_for
from inhouse.api.shapes.chat import DONE, Head, event, none_among
from inhouse.api.shapes.completions import CompletionRequest, chunk, last_chunk, usage_chunk, whole
from inhouse.api.shapes.logprobs import check_chances
from inhouse.api.streaming import Broken, EventStream, told
from inhouse.core import ModelVersion
from inhouse.deploy import Answered, Ask, Chosen, Options, conversation_of, inputs_of, prompt_of

router = APIRouter(dependencies=[require("infer")])


@router.post("/v1/completions", response_model=None)
async def completions(body: CompletionRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Answer one or more prompts, whole or as a stream of server-sent events."""
    state = request.app.state
    caller = caller_of(request)
    chosen = await caller.chosen(state.dispatcher, body.model, body.asks)
    body.refuse_what_is_not_done()
    body.refuse_steering(chosen.version)
    exchanges = _begun(body, chosen, _options(body, chosen.version))
    async with AsyncExitStack() as held:
        held.enter_context(state.runtime.place(body.count * len(exchanges)))
        for exchange in exchanges:
            exchange.key = caller.key_id
            await held.enter_async_context(exchange.traced(state.traces))
        asks = [_read(exchange) for exchange in exchanges]
        if body.stream:
            return EventStream(_events(state, exchanges, asks, body), held.pop_all(), exchanges[0])
        answers = await while_waited_for(request, _all(state, exchanges, asks))
        for exchange, of_prompt in zip(exchanges, answers, strict=True):
            exchange.ended(of_prompt)
    for of_prompt in answers:
        if none := none_among(of_prompt):
            raise none
    heads, warnings = [one.head for one in exchanges], [one.warnings for one in exchanges]
    return JSONResponse(whole(heads, answers, warnings, body.logprobs), headers=exchanges[0].headers)


def _options(body: CompletionRequest, version: ModelVersion) -> Options:
    """How the answers are to be written.

    Raises:
        ApiError: they cannot be written so.
    """
    options = body.options()
    if body.logprobs is None:
        return options
    check_chances("logprobs", body.logprobs, version, options)
    return replace(options, chances=True)


def _begun(body: CompletionRequest, chosen: Chosen, options: Options) -> list[Exchange]:
    """The prompts before anything of them was looked at; the first has the id of the answer."""
    warnings, prompts = body.unused(chosen.version), body.prompts
    first = Head(body.model, chosen.version, id=f"cmpl-{uuid.uuid4().hex}")
    heads = [first, *(replace(first, id=f"{first.id}-{place}") for place in range(1, len(prompts)))]
    return [
        Exchange(head, chosen, {"": prompt}, list(warnings), options, body.count)
        for head, prompt in zip(heads, prompts, strict=True)
    ]


def _read(exchange: Exchange) -> Ask:
    """The prompt as it is for a base, as the input, or the user's turn, for a task."""
    version, prompt = exchange.chosen.version, exchange.inputs[""]
    if exchange.chosen.route == "base":
        exchange.inputs = prompt_of(prompt)
    elif version.chat:
        exchange.inputs = conversation_of(version, [("user", prompt)])
    else:
        exchange.inputs = inputs_of(version, prompt)
    return exchange.ask()


async def _all(state: State, exchanges: Sequence[Exchange], asks: Sequence[Ask]) -> list[tuple[Answered, ...]]:
    """The answers to all; where one fails, nothing is done for the others any more."""
    both = zip(exchanges, asks, strict=True)
    work = [asyncio.create_task(exchange.answer(state.fallbacks, ask)) for exchange, ask in both]
    try:
        return await asyncio.gather(*work)
    finally:
        for one in work:
            one.cancel()


async def _events(
    state: State, exchanges: Sequence[Exchange], asks: Sequence[Ask], body: CompletionRequest
) -> AsyncGenerator[str]:
    """Chunks as the official client expects them, prompt after prompt, ended by `[DONE]`."""
    all_answers: list[tuple[Answered, ...]] = []
    for exchange, ask in zip(exchanges, asks, strict=True):
        head, place, answers = exchanges[0].head, len(all_answers) * body.count, tuple[Answered, ...]()
        try:
            async with aclosing(told(state, exchange, ask, begun=bool(all_answers))) as parts:
                async for piece in parts:
                    if isinstance(piece, tuple):
                        answers = piece
                        continue
                    yield event(chunk(head, piece, place + piece.choice, body.logprobs))
        except Broken as broken:
            yield broken.event
            return
        head = replace(exchange.head, id=head.id)
        for choice, answered in enumerate(answers):
            yield event(last_chunk(head, answered, place + choice, exchange.warnings))
        all_answers.append(answers)
    if body.includes_usage:
        yield event(usage_chunk(head, all_answers))
    yield DONE
