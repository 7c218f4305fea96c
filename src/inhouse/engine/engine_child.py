"""The process in which an engine runs: `python -m inhouse.engine.engine_child NAME FILE END_OF_TURN THREADS EXACT`.

Lines of JSON. First `["ready"]` goes out, or `["refused", what, remedy]`. In come `["ask", number, ids, most, grammar,
sampling, every_token]`, where `grammar` is null or `[place, text]`, with a null for a text that stands in that place
already, and `["cancel", number]`. Out go `[number, ids, logprobs, ended, fault]`: tokens that are new, whether there
will be no more, and why if that is a fault. `NOBODY` is told of while the engine comes on, whether or not it has news.

It ends when its standard input does, and so with the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from inhouse.engine.choice import open_engine
from inhouse.engine.protocol import Generation, Grammar, Sampling, StreamingEngine, Ticket, Wishes
from inhouse.errors import EngineFault, InputError, ModelUnavailable
from inhouse.store.settings import forbid_outbound

# The number of no request.
NOBODY = -1
BEAT_SECONDS = 5.0
Write = Callable[[list[Any]], None]


class _Told:
    """Who waits for a request on the other side: `hear` of `submit`."""

    def __init__(self, number: int, write: Write, *, every_token: bool, ended: Callable[[int], None]) -> None:
        self._number, self._write, self._every_token, self._ended = number, write, every_token, ended
        self._last = Generation([], 0.0, finished=False)
        self._sent = 0
        self.over = False

    def __call__(self, item: Generation | EngineFault | None) -> None:
        """See `Hear`. The whole goes out with the end, so that it wakes the other side once."""
        if isinstance(item, Generation):
            self._last = item
            if self._every_token:
                self._tell(ended=False)
        else:
            self.over = True
            self._ended(self._number)
            self._tell(ended=True, fault=None if item is None else item.what)

    def _tell(self, *, ended: bool, fault: str | None = None) -> None:
        ids, logprobs = self._last.ids[self._sent :], self._last.logprobs[self._sent :]
        self._sent = len(self._last.ids)
        self._write([self._number, ids, logprobs, ended, fault])


class _Desk:
    """Takes what is asked to the engine."""

    def __init__(self, engine: StreamingEngine, write: Write) -> None:
        self._engine, self._write = engine, write
        self._tickets: dict[int, Ticket] = {}
        self._grammars: dict[int, Grammar] = {}

    def take(self, lines: Iterable[bytes]) -> None:
        """Until they end."""
        for line in lines:
            kind, *given = json.loads(line)
            if kind == "ask":
                self._ask(*given)
            elif (ticket := self._tickets.get(given[0])) is not None:
                ticket.cancel()

    def _ask(
        self,
        number: int,
        prompt: list[int],
        most: int,
        grammar: tuple[int, str | None] | None,
        sampling: tuple[float, float, int] | None,
        every_token: bool,
    ) -> None:
        if grammar is not None and grammar[1] is not None:
            self._grammars[grammar[0]] = Grammar(grammar[1])
        wishes = Wishes(
            most,
            None if grammar is None else self._grammars[grammar[0]],
            None if sampling is None else Sampling(*sampling),
        )
        told = _Told(number, self._write, every_token=every_token, ended=self._ended)
        try:
            self._tickets[number] = self._engine.submit(prompt, wishes, told, every_token=every_token)
        except InputError as error:
            told(EngineFault(error.what))
        if told.over:  # before it was noted
            self._ended(number)

    def _ended(self, number: int) -> None:
        self._tickets.pop(number, None)


def _beat(engine: StreamingEngine, write: Write) -> None:
    """Tell that the engine comes on, for as long as it does."""
    before = 0
    while True:
        time.sleep(BEAT_SECONDS)
        if engine.steps != before:
            before = engine.steps
            write([NOBODY, [], [], False, None])


def main() -> None:
    """Answer until nobody asks any more."""
    # Ctrl-C and `systemctl stop` reach all processes: this one answers until the server, which drains, is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    forbid_outbound()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    pen = threading.Lock()

    def write(message: list[Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        with pen:
            answers.write(line)
            answers.flush()

    name, file, end_of_turn, threads, exact = sys.argv[1:]
    try:
        engine = open_engine(name, Path(file), int(end_of_turn), threads=int(threads), exact=exact == "exact")
    except ModelUnavailable as error:
        write(["refused", error.what, error.remedy])
        return
    write(["ready"])
    threading.Thread(target=_beat, args=(engine, write), daemon=True).start()
    _Desk(engine, write).take(os.fdopen(0, "rb"))
    os._exit(0)  # whatever the engine is doing: nobody waits for it


if __name__ == "__main__":
    main()
