"""An engine in a process of its own: it holds no lock of this one while it computes, and its crash ends no other.

The other side is `engine_child`. When it ends, another is started, and what it was asked is asked again.
"""

from __future__ import annotations

import itertools
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from inhouse.engine.protocol import (
    Generation,
    Grammar,
    Hear,
    StreamingEngine,
    Ticket,
    Wishes,
)
from inhouse.engine.xllamacpp_engine import refuse_sampling
from inhouse.errors import EngineFault, ModelUnavailable

# Texts of grammars that the other side keeps: a task has one, but with fields from the input, and schemas of callers.
GRAMMARS = 64

# An engine that did not come on for so long hangs. The first step at very long prompts of a large model takes minutes.
HUNG_SECONDS = 600.0

_log = logging.getLogger(__name__)


class _Request:
    """One request.

    Attributes:
        faults: how often the engine broke off while it was at it.
        told: what was told of it before that, which must come again.
        left: nobody waits any more.
    """

    def __init__(
        self,
        number: int,
        prompt: Sequence[int],
        wishes: Wishes,
        hear: Hear,
        drop: Callable[[_Request], None],
        *,
        every_token: bool,
    ) -> None:
        self.number, self.prompt, self.wishes, self.every_token = number, list(prompt), wishes, every_token
        self._hear, self._drop = hear, drop
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.told: list[int] = []
        self.faults = 0
        self.left = False

    def cancel(self) -> None:
        """See `Ticket.cancel`."""
        self._drop(self)

    def begin_again(self) -> None:
        """Forget what came so far, but for what somebody has read."""
        if self.every_token:
            self.told = max(self.told, self.ids, key=len)
        self.ids, self.logprobs = [], []

    def grow(self, ids: Sequence[int], logprobs: Sequence[float]) -> bool:
        """Take new tokens; False where they are others than those that were told before."""
        self.ids += ids
        self.logprobs += logprobs
        known = min(len(self.told), len(self.ids))
        return self.ids[:known] == self.told[:known]

    def tell(self, item: Generation | EngineFault | None) -> None:
        """Tell the one who waits; who cannot be told has left."""
        try:
            self._hear(item)
        except Exception:  # noqa: BLE001 - whatever it is, it must not end the requests of others
            self.left = True


class _Child:
    """The process on the other side."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._pen = threading.Lock()
        self._grammars: OrderedDict[str, int] = OrderedDict()  # its place on the other side, the least used first

    def wait_until_ready(self) -> None:
        """Return once the model is loaded.

        Raises:
            ModelUnavailable: the engine cannot read it.
            EngineFault: it ended.
        """
        line = self._out.readline()
        kind, *reason = json.loads(line) if line.endswith(b"\n") else ["ended"]
        if kind == "ready":
            return
        how = self.end()
        self._out.close()
        if kind == "refused":
            raise ModelUnavailable(*reason)
        raise EngineFault(f"the engine {how} while it loaded the model")

    def told(self) -> Iterator[list[Any]]:
        """What it tells, until it has ended."""
        with self._out:
            for line in self._out:
                if line.endswith(b"\n"):  # else it ended within it
                    yield json.loads(line)

    def ask(self, request: _Request) -> None:
        """Hand it a request."""
        wishes, sampling = request.wishes, request.wishes.sampling
        drawn = None if sampling is None else (sampling.temperature, sampling.top_p, sampling.seed)
        with self._pen:
            grammar = None if wishes.grammar is None else self._place(wishes.grammar)
            self._write("ask", request.number, request.prompt, wishes.most, grammar, drawn, request.every_token)

    def cancel(self, request: _Request) -> None:
        """Tell it that nobody waits any more."""
        with self._pen:
            self._write("cancel", request.number)

    def _place(self, grammar: Grammar) -> tuple[int, str | None]:
        """Where the grammar stands on the other side, with its text where that is not there yet."""
        text = grammar.text
        known = self._grammars.pop(text, None)
        place = known
        if place is None:
            full = len(self._grammars) == GRAMMARS
            place = self._grammars.popitem(last=False)[1] if full else len(self._grammars)
        self._grammars[text] = place
        return place, text if known is None else None

    def _write(self, *message: Any) -> None:  # noqa: ANN401 - JSON
        with suppress(OSError, ValueError):  # it has ended: who listens to it sees that
            self._in.write(json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n")
            self._in.flush()

    def memory(self) -> int:
        """Bytes of it that are in memory."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self) -> str:
        """End it, if it lives; how it ended, in words."""
        self._process.kill()
        code = self._process.wait()
        with self._pen, suppress(OSError):  # what was not sent is lost with it
            self._in.close()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class EngineProcess(StreamingEngine):
    """An engine of this machine in a process of its own.

    One that does not come on with what it was asked is ended.

    A request that the engine breaks off at is asked again: with the others that it was at, and when it breaks off once
    more, with nothing beside it. So one that ends every engine takes no other along, and fails alone. So does one that
    was answered with nothing twice.

    Args:
        name: of the engine, as `open_engine` has it, like the others.

    Raises:
        ModelUnavailable: the engine cannot read the file.
        EngineFault: it crashed on it.
    """

    def __init__(self, name: str, gguf: Path, end_of_turn: int, *, threads: int, exact: bool) -> None:
        self._command = _command(name, str(gguf), str(end_of_turn), str(threads), "exact" if exact else "fast")
        self._model = gguf.name
        self._end_of_turn = end_of_turn
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._sent: dict[int, _Request] = {}
        self._ready = self._closed = False
        self._keeper: threading.Thread | None = None
        self._child = _Child(self._command)
        self._child.wait_until_ready()
        self._ready = True
        self._refuse = refuse_sampling if name == "xllamacpp" else None
        self._heard_at = time.monotonic()  # the engine came on then, or was asked when it had nothing to do
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="inhouse-engine-watch", daemon=True).start()
        self._start_keeper()

    def submit(self, prompt: Sequence[int], wishes: Wishes, hear: Hear, *, every_token: bool) -> Ticket:
        """See `StreamingEngine.submit`."""
        if self._refuse is not None:
            self._refuse(wishes)
        request = _Request(next(self._numbers), prompt, wishes, hear, self._drop, every_token=every_token)
        with self._lock:
            if self._closed:
                raise EngineFault("the engine is closed")
            self._waiting.append(request)
            if self._keeper is None:
                self._start_keeper()
        self._hand_over()
        return request

    def memory(self) -> int:
        """See `StreamingEngine.memory`."""
        return self._child.memory()

    def close(self) -> None:
        """See `Engine.close`. Requests under way end with an `EngineFault`."""
        with self._lock:
            self._closed, keeper = True, self._keeper
        self._over.set()
        self._child.end()
        if keeper is not None:
            keeper.join()
        self._fail_all("the engine was closed during the request")

    # ------------------------------------------------------------------ there

    def _hand_over(self) -> None:
        """Send what waits, in its turn: what may be the one that ends engines, with nothing beside it."""
        going = []
        with self._lock:
            child = self._child
            if not self._sent:
                self._heard_at = time.monotonic()
            while self._ready and self._waiting and self._may_go(self._waiting[0]):
                request = self._waiting.popleft()
                self._sent[request.number] = request
                going.append(request)
        for request in going:
            child.ask(request)

    def _may_go(self, request: _Request) -> bool:
        if request.faults > 1:
            return not self._sent
        return all(other.faults <= 1 for other in self._sent.values())

    def _drop(self, request: _Request) -> None:
        """Nobody waits for the request any more."""
        with self._lock:
            request.left = True
            child = self._child if request.number in self._sent else None
        if child is not None:
            child.cancel(request)

    # ------------------------------------------------------------------ and back: the keeper's thread

    def _start_keeper(self) -> None:
        self._keeper = threading.Thread(target=self._keep, name="inhouse-engine", daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        """Pass on what is told, and start another engine when one has ended."""
        while self._ready or self._started_anew():
            for told in self._child.told():
                self._hear(*told)
            self._ended()

    def _hear(self, number: int, ids: list[int], logprobs: list[float], ended: bool, fault: str | None) -> None:
        with self._lock:
            self._heard_at = time.monotonic()
            request = self._sent.pop(number, None) if ended else self._sent.get(number)
        if request is not None:
            self._take(request, ids, logprobs, ended, fault)
        if ended:
            self._hand_over()

    def _take(self, request: _Request, ids: list[int], logprobs: list[float], ended: bool, fault: str | None) -> None:
        """Pass on to the one who waits what is told of a request."""
        if not request.grow(ids, logprobs):
            self._drop(request)
            with self._lock:
                self._sent.pop(request.number, None)
            request.tell(EngineFault("the engine broke off within the text, and goes on otherwise now"))
        elif fault is not None:
            self._again(request, fault, alone=request.faults > 1)
        elif ended and not request.ids and not request.left:
            self._again(request, "the model gave no answer", alone=True)
        else:
            if ids and len(request.ids) > len(request.told):
                request.tell(self._generation(request))
            if ended:
                request.tell(None)

    def _generation(self, request: _Request) -> Generation:
        ids = list(request.ids)
        return Generation(ids, sum(request.logprobs), ids[-1] == self._end_of_turn, tuple(request.logprobs))

    # ------------------------------------------------------------------ when it hangs: a thread of its own

    def _watch(self) -> None:
        """End an engine that hangs: what it was at is asked again, as when it crashes."""
        while not self._over.wait(HUNG_SECONDS / 10):
            if self._hangs(time.monotonic()):
                _log.warning("the engine of %s has not come on for %g s", self._model, HUNG_SECONDS)
                self._child.end()

    def _hangs(self, now: float) -> bool:
        with self._lock:
            return bool(self._sent) and now - self._heard_at > HUNG_SECONDS

    # ------------------------------------------------------------------ when it breaks off

    def _again(self, request: _Request, fault: str, *, alone: bool) -> None:
        """Have a request wait for another try, before all others, unless it is known to be what breaks engines."""
        request.faults += 1
        if request.left or (alone and request.faults > 1):
            request.tell(EngineFault(fault))
            return
        request.begin_again()
        with self._lock:
            self._waiting.appendleft(request)

    def _ended(self) -> None:
        """The engine has ended: what it was at is asked again."""
        how = self._child.end()
        with self._lock:
            self._ready = False
            if self._closed:
                return
            lost = list(self._sent.values())
            self._sent.clear()
        _log.warning("the engine of %s %s; another one is started, and %d requests again", self._model, how, len(lost))
        for request in reversed(lost):
            self._again(request, f"the engine {how} at the request", alone=len(lost) == 1)

    def _started_anew(self) -> bool:
        """Another engine is ready; False where the engine was closed, or there can be none now: all are told so."""
        with self._lock:
            if self._closed:
                return False
            self._child = _Child(self._command)
        try:
            self._child.wait_until_ready()
        except (EngineFault, ModelUnavailable) as error:
            self._fail_all(error.what)
            return False
        with self._lock:
            self._ready = True
        self._hand_over()
        return True

    def _fail_all(self, fault: str) -> None:
        """Tell all who wait; unless the engine is closed, the next request has another one started."""
        with self._lock:
            lost = [*self._sent.values(), *self._waiting]
            self._sent.clear()
            self._waiting.clear()
            self._keeper = None
        for request in lost:
            request.tell(EngineFault(fault))


def _command(*told: str) -> list[str]:
    return [sys.executable, "-m", "inhouse.engine.engine_child", *told]
