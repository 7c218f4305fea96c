"""Who asks, and what they may: access keys, their scopes, tasks and limits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.params import Security as SecurityParam
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from inhouse.api.errors import ApiError, error_response
from inhouse.api.limits import Buckets, Left
from inhouse.deploy import Chosen, Dispatcher
from inhouse.errors import InhouseError
from inhouse.store import Workspace, audit, keys
from inhouse.store.files import Sight
from inhouse.store.jobs import Job

# What anybody may ask: whether the server lives, which a supervisor must know without a secret.
OPEN_PATHS = frozenset({"/health", "/ready"})
# The scope of the work that a file is for.
PURPOSES: Mapping[str, keys.Scope] = {
    "fine-tune": "train",
    "fine-tune-results": "train",
    "batch": "infer",
    "batch_output": "infer",
}
# How old what is known of the keys may be, in seconds: so long a revoked one still opens.
FRESH = 1.0


@dataclass(frozen=True)
class Caller:
    """Who makes a request: a key, or, while there is none in the workspace, somebody on this machine."""

    key: keys.ApiKey | None = None

    @property
    def actor(self) -> str:
        """How the audit log names it."""
        return f"key {self.key.name} ({self.key.id})" if self.key else "no key"

    @property
    def key_id(self) -> str:
        """The key's id; empty without one."""
        return self.key.id if self.key else ""

    @property
    def tasks(self) -> tuple[str, ...] | None:
        """The tasks that it may use; None for all, and for what belongs to no task."""
        return self.key.tasks if self.key else None

    def may(self, scope: str) -> bool:
        """Whether it may do what needs this scope."""
        return self.key is None or scope in self.key.scopes or "admin" in self.key.scopes

    def require(self, *scopes: str) -> None:
        """Refuse who has none of these scopes.

        Raises:
            ApiError: 403.
        """
        if not any(map(self.may, scopes)):
            has = ", ".join(self.key.scopes if self.key else ())
            message = (
                "You have insufficient permissions for this operation. "
                f"Missing scope: {' or '.join(scopes)}; this key has {has}"
            )
            raise ApiError(403, message, code="missing_scope")

    def require_model(self, name: str, dispatcher: Dispatcher) -> None:
        """Refuse a model of another task, whether or not there is one of that name.

        Raises:
            ApiError: 403.
        """
        if self.tasks is not None and dispatcher.task_of(name) not in self.tasks:
            raise ApiError(403, f"this key may not use the model `{name}`", code="model_not_allowed", param="model")

    async def chosen(self, dispatcher: Dispatcher, name: str, asks: str | None = None) -> Chosen:
        """The version that a model's name means to this caller. See `Dispatcher.choose`.

        Raises:
            ApiError: 403, it is of another task.
            ModelNotFound, ParityFailed
        """
        chosen = dispatcher.at_once(name, asks)
        if chosen is not None and (self.tasks is None or chosen.version.task in self.tasks):
            return chosen
        return await run_in_threadpool(self._choose, dispatcher, name, asks)

    def _choose(self, dispatcher: Dispatcher, name: str, asks: str | None) -> Chosen:
        self.require_model(name, dispatcher)
        return dispatcher.choose(name, self.tasks, asks)

    @property
    def sight(self) -> Sight:
        """The files that it sees: those of the work that its scopes open; bound to tasks, those that it made."""
        purposes = tuple(purpose for purpose, scope in PURPOSES.items() if self.may(scope))
        return Sight(purposes, None if self.tasks is None else self.key_id)

    def sees(self, job: Job) -> bool:
        """Whether it sees a job: bound to tasks, those that it made."""
        return self.tasks is None or job.key == self.key_id

    def require_everything(self) -> None:
        """Refuse a key that is bound to tasks what tells of all of them.

        Raises:
            ApiError: 403.
        """
        if self.tasks is not None:
            raise ApiError(403, "this key is bound to tasks, and this tells of all of them", code="missing_scope")


class Keyring:
    """The keys of a workspace, read again when they are older than `FRESH`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, keys.ApiKey] = {}
        self._read_at = float("-inf")

    async def caller(self, secret: str) -> Caller | None:
        """Who shows this secret; None where it opens nothing.

        Once a key was made, nobody comes in without one, also when all are revoked.
        """
        if time.monotonic() - self._read_at >= FRESH:
            begun = time.monotonic()
            self._known = await run_in_threadpool(keys.by_hash, self._workspace)
            self._read_at = begun
        if not self._known:
            return Caller()
        key = self._known.get(keys.hash_of(secret))
        return Caller(key) if key is not None and key.in_force else None


class Access:
    """Lets in who shows a key, before anything of the body is read; what they may do there, `require` says.

    Args:
        caller: who makes all requests, and need show none.
    """

    def __init__(self, app: ASGIApp, workspace: Workspace, caller: Caller | None = None) -> None:
        self._app, self._keyring, self._buckets, self._caller = app, Keyring(workspace), Buckets(), caller

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Pass a request on, with who makes it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if self._caller is not None:
            await self._let_in(self._caller, scope, receive, send)
            return
        secret = _secret(Headers(scope=scope))
        try:
            caller = await self._keyring.caller(secret)
        except (InhouseError, SQLAlchemyError):
            await error_response(503, "the keys cannot be read now", code="not_ready")(scope, receive, send)
            return
        if caller is None:
            await _unknown(secret)(scope, receive, send)
            return
        if (left := self._buckets.take(caller.key)) is not None:
            if left.seconds > 0:
                await _too_many(left)(scope, receive, send)
                return
            send = _telling(send, left)
        await self._let_in(caller, scope, receive, send)

    async def _let_in(self, caller: Caller, scope: Connection, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["caller"] = caller
        with audit.acting_as(caller.actor):
            await self._app(scope, receive, send)


def _secret(headers: Headers) -> str:
    kind, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def _unknown(secret: str) -> JSONResponse:
    if secret:
        shown = f"{secret[:3]}…{secret[-4:]}" if len(secret) > 20 else "it"
        message = f"Incorrect API key provided ({shown}): it is unknown, revoked or expired"
        answer = error_response(401, message, code="invalid_api_key")
    else:
        message = (
            "You didn't provide an API key. Send it as `Authorization: Bearer KEY`; `inhouse keys create` makes one"
        )
        answer = error_response(401, message)
    answer.headers["www-authenticate"] = "Bearer"
    return answer


def _too_many(left: Left) -> JSONResponse:
    message = f"Rate limit reached for this key: {left.limit} requests a minute. Try again in {left.seconds:.1f}s"
    answer = error_response(429, message)
    answer.headers.update(left.headers())
    return answer


def _telling(send: Send, left: Left) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(left.headers())
        await send(message)

    return told


_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="a key of `inhouse keys create`")


async def _permitted(
    request: Request,
    wanted: SecurityScopes,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    caller_of(request).require(*wanted.scopes)


def require(*scopes: keys.Scope) -> Any:  # noqa: ANN401 - FastAPI's own type is not public
    """The dependency by which a route, or all of a router, asks its caller for a scope, or for one of several."""
    return Security(_permitted, scopes=scopes)


def caller_of(request: Request) -> Caller:
    """Who makes the request."""
    caller = request.state.caller
    assert isinstance(caller, Caller)
    return caller


def require_guards(routes: Iterable[BaseRoute]) -> None:
    """Refuse to serve a route that asks for no scope and is not open to all.

    Raises:
        RuntimeError: a fault of ours.
    """
    for route in routes:
        path = getattr(route, "path", "")
        asked = [one for one in getattr(route, "dependencies", ()) if isinstance(one, SecurityParam)]
        if path not in OPEN_PATHS and not any(one.dependency is _permitted and one.scopes for one in asked):
            raise RuntimeError(f"the route {path} asks for no scope: see `require`")
