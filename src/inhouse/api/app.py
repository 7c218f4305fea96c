"""The application: routes, error shapes, and what surrounds every request."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inhouse.api import chat, errors
from inhouse.api.models import Models
from inhouse.core import Feedback, Task
from inhouse.core.json_schema import parse_object, validate
from inhouse.errors import InhouseError
from inhouse.store import Workspace, traffic

MOST_BYTES = 4 * 2**20

router = APIRouter()


def make_app(
    workspace: Workspace, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]", "testserver")
) -> FastAPI:
    """The ASGI application over one workspace.

    Args:
        hosts: names that requests may be addressed to; others are refused, so that a web page opened on this machine
            cannot reach the API by a name of its own (DNS rebinding).
    """
    models = Models(workspace)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        models.close()
        workspace.close()

    # No interactive docs: their page loads scripts from the internet.
    app = FastAPI(title="inhouse", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.models = models
    app.include_router(chat.router)
    app.include_router(router)
    app.add_middleware(_Measured)
    app.middleware("http")(_surround)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_exception_handler(errors.ApiError, errors.on_api_error)
    app.add_exception_handler(InhouseError, errors.on_inhouse_error)
    app.add_exception_handler(RequestValidationError, errors.on_invalid_request)
    app.add_exception_handler(HTTPException, errors.on_http_error)
    app.add_exception_handler(Exception, errors.on_fault)
    return app


class _Measured:
    """Stops reading a body that is over `MOST_BYTES`, whether or not it told its length beforehand."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes in."""
        read = 0

        async def measured() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BYTES:
                raise HTTPException(413, f"the body is over {MOST_BYTES // 2**20} MiB")
            return message

        await self._app(scope, measured, send)


async def _surround(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse bodies that say they are too large; name every request; say how long it took."""
    begun = time.perf_counter()
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_BYTES:
        response: Response = errors.error_response(413, f"the body is over {MOST_BYTES // 2**20} MiB", code="too_large")
    else:
        response = await call(request)
    response.headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
    response.headers["openai-processing-ms"] = str(round((time.perf_counter() - begun) * 1000))
    return response


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the server is up."""
    return {"status": "ok"}


@router.get("/v1/models")
def list_models(request: Request) -> dict[str, Any]:
    """Every model name that can be asked for."""
    models: Models = request.app.state.models
    return {"object": "list", "data": [_model(models, name) for name in models.names()]}


@router.get("/v1/models/{name:path}")
def get_model(name: str, request: Request) -> dict[str, Any]:
    """One model."""
    return _model(request.app.state.models, name)


def _model(models: Models, name: str) -> dict[str, Any]:
    version = models.resolve(name)
    created = int(datetime.fromisoformat(version.created_at).timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "inhouse", "root": version.name}


class FeedbackRequest(BaseModel):
    """An opinion on an answer: its `id`, and the right answer or whether it was right."""

    model_config = ConfigDict(extra="forbid")

    id: str
    correction: str | None = None
    accepted: bool | None = None
    comment: str = ""


@router.post("/v1/feedback")
def give_feedback(body: FeedbackRequest, request: Request) -> dict[str, Any]:
    """Attach a Correction, or an acceptance, to the answer with that id."""
    models: Models = request.app.state.models
    trace = traffic.find_trace(models.workspace, body.id)
    if "" in trace.inputs:
        raise errors.ApiError(400, "that request was refused unread: there is nothing to judge", code="invalid_value")
    correction = body.correction.strip() if body.correction is not None else None
    if correction is None and body.accepted is None:
        raise errors.ApiError(400, "give `correction` or `accepted`", code="missing", param="correction")
    if correction is not None and body.accepted not in (None, correction == trace.output):
        raise errors.ApiError(
            400,
            f"`accepted` and `correction` contradict each other: the answer was {trace.output!r}",
            code="invalid_value",
            param="accepted",
        )
    if correction is not None and (fault := _unfit(models.workspace.load_task(trace.task), correction)):
        raise errors.ApiError(400, fault[0], code=fault[1], param="correction")
    accepted = correction == trace.output if correction is not None else bool(body.accepted)
    kept = traffic.add_feedback(
        models.workspace, Feedback(trace=trace.id, correction=correction, accepted=accepted, comment=body.comment)
    )
    return {"object": "feedback", **kept.model_dump()}


def _unfit(task: Task, correction: str) -> tuple[str, str] | None:
    """Why a correction cannot be an answer of the task, with an error code; None when it can."""
    if task.kind == "classify":
        if correction in task.labels:
            return None
        return f"{correction!r} is none of the task's labels: {', '.join(task.labels[:100])}", "unknown_label"
    if task.kind == "extract":
        found = parse_object(correction)
        fault = "no JSON object" if found is None else validate(task.json_schema, found)
        return (f"the correction does not meet the task's schema: {fault}", "invalid_object") if fault else None
    return None if correction else ("the correction is empty", "invalid_value")
