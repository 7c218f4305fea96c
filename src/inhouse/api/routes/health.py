"""Whether the server is up, whether it can work, and its figures."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from inhouse.api.caller import caller_of, require
from inhouse.api.errors import ApiError
from inhouse.errors import InhouseError
from inhouse.store import keys

router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    """Answered by the event loop alone, so that it waits behind no request."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(request: Request) -> dict[str, str]:
    """Whether requests should be sent here: it does not stop, the database can be read, and traces are kept."""
    state = request.app.state
    if state.drain.begun:
        raise ApiError(503, "the server stops", code="not_ready")
    try:
        await run_in_threadpool(keys.every, state.workspace)
    except (InhouseError, SQLAlchemyError) as error:
        raise ApiError(503, "the database cannot be read", code="not_ready") from error
    if state.traces.failing:
        raise ApiError(503, "traces cannot be kept: is the disk full?", code="not_ready")
    return {"status": "ready"}


@router.get("/metrics", response_class=Response, dependencies=[require("review")])
async def metrics(request: Request) -> Response:
    """Figures for Prometheus; no texts."""
    caller_of(request).require_everything()
    return Response(request.app.state.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
