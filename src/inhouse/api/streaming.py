"""Answers as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing

from anyio import CancelScope
from fastapi.responses import StreamingResponse
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from inhouse.api.errors import error_body, status_of
from inhouse.api.exchange import Exchange
from inhouse.api.shapes.chat import event, none_among
from inhouse.deploy import Answered, Ask, Piece, Runtime
from inhouse.errors import InhouseError


class EventStream(StreamingResponse):
    """Events, which at their end, or when the client leaves, are closed; then `held` is let go.

    The status is sent with the first event: what fails before it has a status of its own.
    """

    def __init__(self, events: AsyncGenerator[str], held: AsyncExitStack, exchange: Exchange) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._events, self._held, self._exchange = events, held, exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        async with self._held:
            try:
                await super().__call__(scope, receive, send)
            finally:
                with CancelScope(shield=True):
                    await self._events.aclose()

    async def stream_response(self, send: Send) -> None:
        """See `StreamingResponse`."""
        self.body_iterator = _all(await anext(self._events), self._events)
        self.headers.update(self._exchange.headers)  # only now is it known who answers
        await super().stream_response(send)


async def _all(first: str, others: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for one in others:
        yield one


class Broken(Exception):
    """A stream that failed when something of it was sent already.

    Args:
        event: that tells the client why, the last one.
    """

    def __init__(self, event: str) -> None:
        super().__init__(event)
        self.event = event


async def told(
    state: State, exchange: Exchange, ask: Ask, *, begun: bool = False
) -> AsyncGenerator[Piece | tuple[Answered, ...]]:
    """An answer piece by piece, and at last as a whole, once its Trace is kept: before the client can know of it.

    Args:
        begun: something was sent already, before any piece of this answer.

    Raises:
        Broken: there is no answer, and something was sent.
        InhouseError, ApiError: there is none, and nothing was: it has a status of its own.
    """
    answers: tuple[Answered, ...] = ()
    try:
        async with aclosing(_parts(state, exchange, ask)) as parts:
            async for piece in parts:
                if isinstance(piece, tuple):
                    answers = piece
                    continue
                exchange.heard()
                begun = True
                yield piece
    except InhouseError as error:
        if not begun:
            raise
        exchange.failed(error)
        await exchange.keep(state.traces)
        status, code = status_of(error)
        raise Broken(event(error_body(status, error.what, code=code or "engine"))) from error
    exchange.ended(answers)
    await exchange.keep(state.traces)
    if none := none_among(answers):
        raise Broken(event(error_body(500, none.message, code=none.code))) if begun else none
    yield answers


async def _parts(state: State, exchange: Exchange, ask: Ask) -> AsyncGenerator[Piece | tuple[Answered, ...]]:
    """See `pieces`; where another model may answer instead, in one piece, as it is known at the end which does."""
    if not state.fallbacks.helps(exchange.chosen, ask):
        async with aclosing(pieces(state.runtime, ask)) as parts:
            async for piece in parts:
                yield piece
        return
    (answered,) = await exchange.answer(state.fallbacks, ask)
    if answered.prediction.target:
        yield Piece(answered.prediction.target, tokens=answered.tokens)
    yield (answered,)


async def pieces(runtime: Runtime, ask: Ask) -> AsyncGenerator[Piece | tuple[Answered, ...]]:
    """An answer piece by piece, and at last as a whole. Closed before, it lets the model go.

    Raises: what `Runtime.answer` raises.
    """
    box: asyncio.Queue[Piece | None] = asyncio.Queue()

    async def work() -> tuple[Answered, ...]:
        try:
            return await runtime.answer(ask, box.put_nowait)
        finally:
            box.put_nowait(None)

    answering = asyncio.create_task(work())
    answering.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be there to ask
    try:
        while (piece := await box.get()) is not None:
            yield piece
        yield await answering
    finally:
        answering.cancel()
