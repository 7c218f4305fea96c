"""The application: what it is put together from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from inhouse import __version__
from inhouse.api import errors, releasing
from inhouse.api.caller import Access, Caller, require_guards
from inhouse.api.deliveries import Deliverer
from inhouse.api.draining import Drain
from inhouse.api.forever import forever
from inhouse.api.invalid import on_invalid_request
from inhouse.api.middleware import Surrounding
from inhouse.api.releasing import LOOK_SECONDS, get_ready, tend_canaries
from inhouse.api.routes import ROUTERS
from inhouse.api.routes.uploads import MOST_PART_BYTES
from inhouse.api.shadowing import Shadows
from inhouse.api.spans import WithinSpan, spans_of
from inhouse.api.telemetry import Metrics
from inhouse.core import Trace
from inhouse.deploy import Dispatcher, Fallbacks, Runtime
from inhouse.deploy.embedding import Embedder
from inhouse.errors import InhouseError
from inhouse.store import Workspace, files, uploads
from inhouse.store.files import MOST_FILE_BYTES
from inhouse.store.releases import serving
from inhouse.store.trace_writer import TraceWriter

MOST_BYTES = 4 * 2**20
# How often it is looked for what expired.
EXPIRE_SECONDS = 60.0
# What a form has beside the file in it.
_AROUND = 2**20


def most_bytes(method: str, path: str) -> int:
    """How large a body may be."""
    if (method, path) == ("POST", "/v1/files"):
        return MOST_FILE_BYTES + _AROUND
    if method == "POST" and path.startswith("/v1/uploads/") and path.endswith("/parts"):
        return MOST_PART_BYTES + _AROUND
    return MOST_BYTES


@asynccontextmanager
async def _beside(workspace: Workspace, runtime: Runtime, shadows: Shadows) -> AsyncIterator[None]:
    """What a server does beside answering."""
    deliverer = Deliverer(workspace)
    beside = (
        forever("erasing what expired", partial(_expire, workspace), EXPIRE_SECONDS),
        forever("getting a version ready", partial(get_ready, workspace, runtime), LOOK_SECONDS),
        forever("tending canaries", partial(tend_canaries, workspace, runtime), releasing.CANARY_SECONDS),
        shadows.work(),
    )
    work = [asyncio.create_task(one) for one in beside]
    try:
        with serving(workspace):
            yield
    finally:
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await run_in_threadpool(deliverer.close)


async def _expire(workspace: Workspace) -> None:
    """Erase files and uploads whose time is over, also when nobody asks for any."""
    await run_in_threadpool(files.remove_expired, workspace)
    await run_in_threadpool(uploads.expire, workspace)


def make_app(
    workspace: Workspace,
    hosts: Collection[str] = ("127.0.0.1", "localhost", "[::1]", "testserver"),
    caller: Caller | None = None,
) -> FastAPI:
    """The ASGI application over one workspace.

    Args:
        hosts: names that requests may be addressed to; others are refused, so that a web page opened on this machine
            cannot reach the API by a name of its own (DNS rebinding).
        caller: who makes all requests, and need show no key, nor wait in the queue; None: whoever shows one.

    Raises:
        ConfigError, ModelUnavailable, OutboundForbidden: a fallback of the settings cannot answer (see `Fallbacks`), or
            spans are to go where nothing may (see `spans_of`).
    """
    spans = spans_of(workspace.settings)
    runtime, embedder, metrics = Runtime(workspace, limited=caller is None), Embedder(workspace.settings), Metrics()
    fallbacks = Fallbacks(workspace, runtime)
    dispatcher = Dispatcher(workspace)
    shadows = Shadows(workspace, runtime, dispatcher)

    def hear(trace: Trace) -> None:
        metrics.answered(trace)
        shadows.heard(trace)
        if spans is not None:
            spans.answered(trace)

    traces = TraceWriter(workspace, hear)
    metrics.watch(runtime, traces)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with _beside(workspace, runtime, shadows) if caller is None else nullcontext():
            yield
        runtime.close()
        fallbacks.close()
        embedder.close()
        traces.close()
        if spans is not None:
            await run_in_threadpool(spans.close)
        workspace.close()

    # No interactive docs: their page loads scripts from the internet.
    app = FastAPI(
        title="inhouse",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={"default": {"model": errors.ErrorBody, "description": "refused, or failed: what is wrong"}},
    )
    app.state.workspace, app.state.dispatcher = workspace, dispatcher
    app.state.runtime, app.state.traces, app.state.embedder = runtime, traces, embedder
    app.state.metrics, app.state.fallbacks = metrics, fallbacks
    app.state.drain = drain = Drain(workspace.settings.serve.grace)
    for router in ROUTERS:
        require_guards(router.routes)
        app.include_router(router)
    app.add_middleware(Access, workspace=workspace, caller=caller)
    if spans is not None:
        app.add_middleware(WithinSpan, spans=spans)
    app.add_middleware(Surrounding, hosts=hosts, most_bytes=most_bytes, ended=metrics.ended, drain=drain)
    app.add_exception_handler(errors.ApiError, errors.on_api_error)
    app.add_exception_handler(errors.ClientLeft, errors.on_left)
    app.add_exception_handler(InhouseError, errors.on_inhouse_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, errors.on_http_error)
    return app
