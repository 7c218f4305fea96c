"""Lets candidates answer beside the champion while nobody waits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from starlette.concurrency import run_in_threadpool

from inhouse.core import Prediction, Trace
from inhouse.deploy import Ask, Dispatcher, Runtime
from inhouse.errors import InhouseError, ModelNotFound
from inhouse.pipeline import shadow
from inhouse.store import Workspace

# Requests that wait for a quiet moment; in a busy hour the oldest give way.
MOST_WAITING = 256
# How long nobody may have waited before one is answered.
QUIET_SECONDS = 0.05

_log = logging.getLogger("inhouse")


class Shadows:
    """What the candidates of tasks with `shadow` are to answer too."""

    def __init__(self, workspace: Workspace, runtime: Runtime, dispatcher: Dispatcher) -> None:
        self._workspace, self._runtime, self._dispatcher = workspace, runtime, dispatcher
        self._waiting: deque[Trace] = deque(maxlen=MOST_WAITING)

    def heard(self, trace: Trace) -> None:
        """Take note of a request that was answered."""
        if self._workspace.settings.release(trace.task).shadow and shadow.may_shadow(trace):
            self._waiting.append(trace)

    async def work(self) -> None:
        """Answer what waits, one request at a time, only while no other is being answered."""
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            if self._waiting and self._runtime.load() == (0, 0):
                trace = self._waiting.popleft()
                try:
                    await self._answer(trace)
                except ModelNotFound:
                    pass  # there is no candidate
                except Exception as error:  # noqa: BLE001 - whatever it is, the next one is answered
                    _log.warning("no shadow answered %s: %s", trace.id, error)

    async def _answer(self, trace: Trace) -> None:
        candidate = (await run_in_threadpool(self._dispatcher.choose, f"{trace.task}@candidate")).version
        if candidate.name == trace.model_version or set(candidate.fields) != set(trace.inputs):
            return
        began = time.perf_counter()
        try:
            with self._runtime.place():
                (answered,) = await self._runtime.answer(Ask(candidate, trace.inputs))
            prediction = answered.prediction
        except InhouseError as error:
            prediction = Prediction(target=None, error=error.what)
        took = (time.perf_counter() - began) * 1000
        await run_in_threadpool(shadow.keep, self._workspace, trace, candidate, prediction, took)
