"""What surrounds every request: its name and time, the host it is addressed to, its size, and what a fault says."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection
from contextlib import nullcontext
from ipaddress import AddressValueError, IPv6Address

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inhouse.api.draining import WATCHED, Drain
from inhouse.api.errors import STOPPING_RETRY_S, error_response
from inhouse.api.telemetry import Done

ANY_HOST = "*"
# Answers are data for the one who asked: nothing keeps them, guesses their type, or shows them as a page.
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


class Surrounding:
    """Gives every answer, whoever wrote it, an `x-request-id`, the time it took, and what browsers must know.

    Args:
        hosts: names that requests may be addressed to, in lower case, an IPv6 address in brackets; `ANY_HOST` for all.
        most_bytes: how large a body may be, by method and path.
        ended: is told of each request at its end; a status of 0: the client left before there was one.
        drain: once it has begun, requests are refused but those of who watches the server.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        most_bytes: Callable[[str, str], int],
        ended: Callable[[Done], None],
        drain: Drain,
    ) -> None:
        self._app, self._hosts, self._most_bytes, self._ended, self._drain = app, hosts, most_bytes, ended, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on, unless it is addressed to another host or too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, name, status, model = time.perf_counter(), f"req_{uuid.uuid4().hex}", 0, ""

        async def named(message: Message) -> None:
            nonlocal status, model
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                status, model = message["status"], headers.get("x-inhouse-model", "")
                headers.update(_HEADERS)
                headers["x-request-id"] = name
                headers["openai-processing-ms"] = str(round((time.perf_counter() - begun) * 1000))
            await send(message)

        try:
            most = self._most_bytes(scope["method"], scope["path"])
            watched = scope["path"] in WATCHED
            refusal = self._refusal(Headers(scope=scope), most, watched=watched)
            if refusal is not None:
                await refusal(scope, receive, named)
                return
            with nullcontext() if watched else self._drain.counted():
                await self._app(scope, _measured(receive, most), named)
        except Exception:
            if not status:
                fault = "inhouse failed on this request; the server's log says why"
                await error_response(500, fault, code="internal_error")(scope, receive, named)
            raise  # the server logs it
        finally:
            self._ended(Done.of(scope, name, status, time.perf_counter() - begun, model))

    def _refusal(self, headers: Headers, most: int, *, watched: bool) -> JSONResponse | None:
        """What its head alone is refused for."""
        host, length = headers.get("host", ""), headers.get("content-length", "0")
        if ANY_HOST not in self._hosts and name_of(host) not in self._hosts:
            return error_response(400, f"this server is not reached as {host[:100]!r}", code="invalid_host")
        if self._is_of_another_site(headers):
            return error_response(403, "pages of other sites may not use this server", code="cross_site")
        if length.isdecimal() and int(length) > most:
            return error_response(413, _too_large(most))
        if self._drain.begun and not watched:
            return error_response(503, "the server stops", code="stopping", retry_s=STOPPING_RETRY_S)
        return None

    def _is_of_another_site(self, headers: Headers) -> bool:
        """Whether a browser sends it for a page of somebody else's (CSRF): forms and plain texts it sends unasked."""
        origin = headers.get("origin")
        if headers.get("sec-fetch-site") == "cross-site":
            return True
        if origin is None or ANY_HOST in self._hosts:
            return False
        return name_of(origin.partition("://")[2]) not in self._hosts


def _measured(receive: Receive, most: int) -> Receive:
    """Stops reading a body that is too large, whether or not it told its length beforehand."""
    read = 0

    async def measured() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise HTTPException(413, _too_large(most))
        return message

    return measured


def _too_large(most: int) -> str:
    return f"the body is over {most // 2**20} MiB"


def name_of(host: str) -> str:
    """The name in a Host header, in lower case and without its port; empty where it is no host."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    bracketed = name.startswith("[") and name.endswith("]")
    if bracketed:
        try:
            IPv6Address(name[1:-1])
        except AddressValueError:
            return ""
    return name.lower() if bracketed or ":" not in name else ""
