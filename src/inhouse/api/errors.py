"""Errors in the shape that the official client reads."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from inhouse.api.refused import reason_of
from inhouse.errors import (
    Busy,
    DiskFull,
    InhouseError,
    InputError,
    ModelNotFound,
    ModelUnavailable,
    NotFound,
    Overloaded,
    ParityFailed,
    PromptTooLong,
    Refused,
    Stopping,
    TimedOut,
)

# The type of an error by its status, and its code where nothing nearer is known. Clients look at them.
_TYPES = {403: "permission_error", 429: "requests"}
_CODES = {401: "invalid_api_key", 413: "too_large", 429: "rate_limit_exceeded"}

# The status of an error of ours, and its code where clients know one: the first that fits.
_STATUSES: tuple[tuple[type[InhouseError], int, str | None], ...] = (
    (ModelNotFound, 404, "model_not_found"),
    (NotFound, 404, None),
    (DiskFull, 507, None),
    (Overloaded, 429, None),
    (Stopping, 503, "stopping"),
    (Busy, 503, None),
    (TimedOut, 504, "timeout"),
    (ModelUnavailable, 503, None),
    (PromptTooLong, 400, "context_length_exceeded"),
    (InputError, 400, None),
    (ParityFailed, 403, "parity_failed"),
    (Refused, 403, None),
)


# Seconds until there may be another server in the place of one that stops.
STOPPING_RETRY_S = 5

# What each endpoint calls the text that a model reads.
_TEXTS = {"/v1/chat/completions": "messages", "/v1/completions": "prompt", "/v1/embeddings": "input"}


class ErrorObject(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every answer that is none, as the OpenAPI document has it."""

    error: ErrorObject


class ApiError(Exception):
    """An HTTP error with the fields of OpenAI's `error` object."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param


class ClientLeft(Exception):
    """Nobody is there to be answered any more."""


class _Nothing(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


def error_response(
    status: int, message: str, *, code: str | None = None, param: str | None = None, retry_s: int | None = None
) -> JSONResponse:
    """`{"error": {...}}`. A fault of ours is marked as not worth retrying, as the answer is deterministic.

    So is 409, which clients take for a lock. Not so 503: what is busy now may be free soon; `retry_s` says in how many
    seconds.
    """
    headers = {"x-should-retry": "false"} if status == 409 or (status >= 500 and status != 503) else {}
    if retry_s is not None:
        headers["retry-after"] = str(retry_s)
    return JSONResponse(error_body(status, message, code=code, param=param), status_code=status, headers=headers)


def error_body(status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The object alone, as a stream sends it that has begun with a 200."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}}


async def on_api_error(_request: Request, error: Exception) -> JSONResponse:
    """Handler of `ApiError`."""
    assert isinstance(error, ApiError)
    return error_response(error.status, error.message, code=error.code, param=error.param)


def status_of(error: InhouseError) -> tuple[int, str | None]:
    """The status of an error, and its code where clients know one."""
    return next(((status, code) for kind, status, code in _STATUSES if isinstance(error, kind)), (500, None))


async def on_inhouse_error(request: Request, error: Exception) -> JSONResponse:
    """Handler of every `InhouseError`: what happened and the remedy."""
    assert isinstance(error, InhouseError)
    status, code = status_of(error)
    param = _TEXTS.get(request.url.path) if isinstance(error, PromptTooLong) else None
    message = f"{error.what}. {error.remedy}" if error.remedy else error.what
    retry = STOPPING_RETRY_S if isinstance(error, Stopping) else None
    if isinstance(error, Overloaded):
        retry = error.retry_s
    return error_response(status, message, code=code, param=param, retry_s=retry)


async def on_left(_request: Request, _error: Exception) -> Response:
    """Handler of `ClientLeft`."""
    return _Nothing()


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Handler of unknown paths and methods."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        if reason := reason_of(request.url.path):
            told = f"{request.method} {request.url.path} is not supported: {reason}"
            return error_response(404, told, code="unsupported_endpoint")
        return error_response(404, f"there is nothing at {request.method} {request.url.path}", code="unknown_url")
    return error_response(error.status_code, str(error.detail))
