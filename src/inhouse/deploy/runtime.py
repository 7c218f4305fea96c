"""Answers requests: from the event loop of a server to the threads that wait for engines, and back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from inhouse.core import ModelVersion
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
        self._asked = 0  # answers that somebody waits for; only the event loop counts

    async def answer(self, ask: Ask, hear: Callable[[Piece], None] | None = None) -> tuple[Answered, ...]:
        """The answers to one request, as many as it asks for. Cancelled, it lets the model go at the next token.

        Args:
            hear: is told every piece in the event loop, the last one before this returns.

        Raises:
            InputError: the input is empty, or too long, or the engine cannot do what is wished.
            ModelUnavailable: the version cannot be loaded.
            EngineFault: the engine failed.
        """
        loop, left = asyncio.get_running_loop(), threading.Event()

        def tell(piece: Piece) -> None:
            assert hear is not None
            loop.call_soon_threadsafe(hear, piece)

        told = None if hear is None else tell
        choices = [
            loop.run_in_executor(self._threads, self._answer, ask, choice, told, left.is_set)
            for choice in range(ask.count)
        ]
        self._asked += ask.count
        try:
            return tuple(await asyncio.gather(*choices))
        finally:
            left.set()
            self._asked -= ask.count

    def _answer(
        self, ask: Ask, choice: int, tell: Callable[[Piece], None] | None, left: Callable[[], bool]
    ) -> Answered:
        with self._pool.using(ask.version) as model:
            question, options = model.question(ask.inputs), ask.options.of_choice(choice)
            sent, told, last = 0, 0, None
            with closing(model.stream(question, options, every_token=tell is not None)) as parts:
                for text, state in parts:
                    last = state if isinstance(state, Answered) else None
                    if left():
                        raise EngineFault("nobody waits for the answer any more")
                    tokens = state.tokens if isinstance(state, Answered) else state or ()
                    if tell is not None and len(text) > sent:
                        new = [token for token in tokens[told:] if last is not None or token.start < len(text)]
                        tell(Piece(text[sent:], choice, tuple(new)))
                        sent, told = len(text), told + len(new)
            assert last is not None
            return replace(last, trimmed=question.trimmed)

    def get_ready(self, version: ModelVersion) -> None:
        """Load a version before anybody asks for it.

        Raises:
            ModelUnavailable: it cannot be loaded.
        """
        with self._pool.using(version):
            pass

    def load(self) -> tuple[int, int]:
        """How many answers are being written, and how many wait for their turn."""
        return min(self._asked, AT_ONCE), max(0, self._asked - AT_ONCE)

    def memory(self) -> list[tuple[ModelVersion, int]]:
        """Bytes of memory that each loaded model holds in a process of its own, where it has one."""
        return self._pool.memory()

    def close(self) -> None:
        """Free every model; requests under way end with a fault."""
        self._pool.close()
        self._threads.shutdown(cancel_futures=True)
