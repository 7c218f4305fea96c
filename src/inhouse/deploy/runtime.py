"""Answers requests: from the event loop of a server to the threads that wait for engines, and back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from inhouse.deploy.asking import Ask, Piece
from inhouse.deploy.pool import Pool
from inhouse.deploy.served import Answered
from inhouse.errors import EngineFault
from inhouse.store import Workspace

# Requests that are answered at the same time: as many as an engine's batch holds. The others wait.
AT_ONCE = 64


class Runtime:
    """The models of a workspace at work. Its threads only answer, so that nothing else waits for them."""

    def __init__(self, workspace: Workspace) -> None:
        self._pool = Pool(workspace)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="inhouse-answer")

    async def answer(self, ask: Ask, hear: Callable[[Piece], None] | None = None) -> tuple[Answered, ...]:
        """The answers to one request. Cancelled, it lets the model go at the next token.

        Args:
            hear: is told every piece in the event loop, the last one before this returns.

        Raises:
            InputError: the input is empty, or too long.
            ModelUnavailable: the version cannot be loaded.
            EngineFault: the engine failed.
        """
        loop, left = asyncio.get_running_loop(), threading.Event()

        def tell(piece: Piece) -> None:
            assert hear is not None
            loop.call_soon_threadsafe(hear, piece)

        try:
            told = None if hear is None else tell
            return await loop.run_in_executor(self._threads, self._answer, ask, told, left.is_set)
        finally:
            left.set()

    def _answer(self, ask: Ask, tell: Callable[[Piece], None] | None, left: Callable[[], bool]) -> tuple[Answered, ...]:
        with self._pool.using(ask.version) as model:
            question = model.question(ask.inputs)
            sent, last = "", None
            with closing(model.stream(question, ask.most, every_token=tell is not None)) as parts:
                for text, answered in parts:
                    last = answered
                    if left():
                        raise EngineFault("nobody waits for the answer any more")
                    whole = text.rstrip("\ufffd")  # half a character: the rest comes with the next token
                    if tell is not None and len(whole) > len(sent):
                        tell(Piece(whole[len(sent) :]))
                        sent = whole
            assert last is not None
            return (replace(last, trimmed=question.trimmed),)

    def close(self) -> None:
        """Free every model; requests under way end with a fault."""
        self._pool.close()
        self._threads.shutdown(cancel_futures=True)
