"""What a running server does for releases, beside answering."""

from __future__ import annotations

import asyncio
import logging

from starlette.concurrency import run_in_threadpool

from inhouse.deploy import Runtime
from inhouse.pipeline import canary
from inhouse.store import Workspace, registry, releases

# How often it is looked for a version that is about to serve.
LOOK_SECONDS = 0.25
# How often canaries are weighed, at most.
CANARY_SECONDS = 1.0

_log = logging.getLogger("inhouse")


async def get_ready(workspace: Workspace, runtime: Runtime) -> None:
    """Load what `promote` is about to let serve, and say so."""
    for wish, task, number in await run_in_threadpool(releases.to_load, workspace):
        await run_in_threadpool(_load, workspace, runtime, wish, task, number)


def _load(workspace: Workspace, runtime: Runtime, wish: int, task: str, number: int) -> None:
    try:
        runtime.get_ready(registry.find_version(workspace, task, number))
    except Exception as error:  # noqa: BLE001 - whatever it is, `promote` must hear of it
        releases.told(workspace, wish, releases.FAILED, str(error).splitlines()[0] if str(error) else repr(error))
    else:
        releases.told(workspace, wish, releases.LOADED)


async def tend_canaries(workspace: Workspace, runtime: Runtime) -> None:
    """Begin, weigh and return the canaries of all tasks."""
    counting = 0.0
    for task in await run_in_threadpool(workspace.task_names):
        try:
            counting += await run_in_threadpool(canary.tend, workspace, task, runtime.get_ready)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on, and this one is tried again
            _log.warning("the canary of %s cannot be tended: %s", task, error)
    # Counting takes longer the longer a canary runs: never more than a twentieth of the time.
    await asyncio.sleep(max(0.0, 20 * counting - CANARY_SECONDS))
