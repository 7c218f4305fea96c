"""Answers requests: from the event loop of a server to the threads that wait for engines, and back."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace

from inhouse.core import ModelVersion
from inhouse.deploy.asking import Ask, Piece
from inhouse.deploy.pool import Loaded, Pool, room_for_models
from inhouse.deploy.served import Answered, Served
from inhouse.engine.protocol import NOBODY_WAITS
from inhouse.errors import EngineFault, InputError, Overloaded, Stopping, TimedOut
from inhouse.store import Workspace

# Requests that are answered at the same time: as many as an engine's batch holds. The others wait.
AT_ONCE = 64

# Seconds that a refused client is told to wait: at most, and where nothing was answered yet (a model is being loaded).
_LONGEST_S, _UNKNOWN_S = 60, 5


class Runtime:
    """The models of a workspace at work. Its threads only answer, so that nothing else waits for them.

    Args:
        limited: by `serve.queue` and `serve.timeout`.
    """

    def __init__(self, workspace: Workspace, *, limited: bool = True) -> None:
        settings = workspace.settings.serve
        self._queue = settings.queue if limited else math.inf
        self._timeout = settings.timeout if limited else None
        self._pool = Pool(workspace, room_for_models(workspace))
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="inhouse-answer")
        self._stopped = False
        # Of these only the event loop knows.
        self._asked = 0  # answers that somebody waits for
        self._ends: deque[float] = deque(maxlen=AT_ONCE + 1)  # when it began to be busy, then when answers ended
        self._clocks = set[asyncio.Timeout]()  # of the requests under way

    @contextmanager
    def place(self, count: int = 1) -> Iterator[None]:
        """Let a request in, with all the answers that it asks for, until the block ends.

        Raises:
            InputError: it asks for more answers than may ever be written and wait at once.
            Overloaded: as many answers wait as `serve.queue` allows.
        """
        if count > (most := AT_ONCE + self._queue):
            raise InputError(
                f"the request asks for {count:,} answers at once, and {most:,} are the most",
                "send fewer prompts at a time, or a smaller `n`",
            )
        if (waiting := self._asked - AT_ONCE) >= self._queue:
            wait = self._wait_s(waiting)
            raise Overloaded(
                f"{waiting} answers wait for their turn already", f"send the request again in {wait} s", retry_s=wait
            )
        if not self._asked:
            self._ends.clear()
            self._ends.append(time.monotonic())
        self._asked += count
        try:
            yield
            self._ends.extend([time.monotonic()] * count)  # not of what failed, which may have been at once
        finally:
            self._asked -= count

    def _wait_s(self, waiting: int) -> int:
        """Whole seconds until what waits now will have been begun, at the pace of the last answers."""
        ended = len(self._ends) - 1
        if ended < 1:
            return _UNKNOWN_S
        each = (time.monotonic() - self._ends[0]) / ended
        return min(_LONGEST_S, max(1, math.ceil(waiting * each)))

    async def answer(self, ask: Ask, hear: Callable[[Piece], None] | None = None) -> tuple[Answered, ...]:
        """The answers to one request, as many as it asks for. Cancelled, it lets the model go at the next token.

        Args:
            hear: is told every piece in the event loop, the last one before this returns.

        Raises:
            InputError: the input is empty, or too long, or the engine cannot do what is wished.
            ModelUnavailable: the version cannot be loaded.
            EngineFault: the engine failed.
            TimedOut: it was not answered within `serve.timeout` since its model was loaded.
            Stopping: the server stops, and did not wait for it any longer.
        """
        left: Future[None] = Future()
        try:
            async with self.timed() as start, self._pool.held(ask.version) as loaded:
                start()
                return tuple(await asyncio.gather(*self._begun(ask, loaded, hear, left)))
        finally:
            left.set_result(None)

    @asynccontextmanager
    async def timed(self) -> AsyncIterator[Callable[[], None]]:
        """Work that ends when the server stops, and `serve.timeout` after what this gives was called.

        Raises:
            TimedOut, Stopping: it was ended.
        """
        try:
            async with asyncio.timeout(None) as clock:
                self._clocks.add(clock)
                yield lambda: clock.reschedule(self._deadline())
        except TimeoutError as error:
            if not clock.expired():
                raise
            if self._stopped:
                raise Stopping("the server stops") from error
            raise TimedOut(
                f"there was no whole answer within {self._timeout:g} s",
                "ask for less at a time, or raise serve.timeout",
            ) from error
        finally:
            self._clocks.discard(clock)

    def _deadline(self) -> float | None:
        """Until when a request that begins now is to be answered."""
        now = asyncio.get_running_loop().time()
        if self._stopped:
            return now
        return None if self._timeout is None else now + self._timeout

    def _begun(
        self, ask: Ask, loaded: Loaded, hear: Callable[[Piece], None] | None, left: Future[None]
    ) -> list[asyncio.Future[Answered]]:
        """The answers that are being written; the model is held until the last one's thread has let it go."""
        loop = asyncio.get_running_loop()

        def tell(piece: Piece) -> None:
            assert hear is not None
            loop.call_soon_threadsafe(hear, piece)

        def begun(choice: int) -> asyncio.Future[Answered]:
            if (soon := loaded.model.soon(ask.inputs)) is not None:
                answer = asyncio.wrap_future(soon)
                return answer if hear is None else asyncio.ensure_future(_heard(answer, choice, hear))
            told = None if hear is None else tell
            self._pool.use(loaded)
            work = self._threads.submit(_answer, loaded.model, ask, choice, told, left)
            work.add_done_callback(lambda _: self._pool.let_go(loaded))
            return asyncio.wrap_future(work)

        return [begun(choice) for choice in range(ask.count)]

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

    def stop(self) -> None:
        """End what is under way; it is told that the server stops. For the event loop."""
        self._stopped = True
        for clock in self._clocks:
            if not clock.expired():
                clock.reschedule(self._deadline())

    def memory(self) -> list[tuple[ModelVersion, int]]:
        """Bytes of memory that each loaded model holds in a process of its own, where it has one."""
        return self._pool.memory()

    def close(self) -> None:
        """Free every model; requests under way end with a fault."""
        self._pool.close()
        self._threads.shutdown(cancel_futures=True)


async def _heard(answer: asyncio.Future[Answered], choice: int, hear: Callable[[Piece], None]) -> Answered:
    """An answer that comes as one piece."""
    answered = await answer
    hear(Piece(str(answered.prediction.target), choice))
    return answered


def _answer(model: Served, ask: Ask, choice: int, tell: Callable[[Piece], None] | None, left: Future[None]) -> Answered:
    """One answer, written in a thread."""
    question, options = model.question(ask.inputs), ask.options.of_choice(choice)
    sent, told, last = 0, 0, None
    with closing(model.stream(question, options, every_token=tell is not None, left=left)) as parts:
        for text, state in parts:
            last = state if isinstance(state, Answered) else None
            if left.done():
                raise EngineFault(NOBODY_WAITS)
            tokens = state.tokens if isinstance(state, Answered) else state or ()
            if tell is not None and len(text) > sent:
                new = [token for token in tokens[told:] if last is not None or token.start < len(text)]
                tell(Piece(text[sent:], choice, tuple(new)))
                sent, told = len(text), told + len(new)
    assert last is not None
    return replace(last, trimmed=question.trimmed)
