"""Spans of requests for OpenTelemetry, sent where the settings say; without a text in them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inhouse import __version__
from inhouse.api.telemetry import METHODS, NO_ROUTE
from inhouse.core import Trace
from inhouse.store.settings import Settings, on_this_machine, require_outbound

if TYPE_CHECKING:  # they are there with the extra `otel`
    from opentelemetry.sdk.trace import TracerProvider

# Seconds that the receiver may take: what it does not take by then is lost, and no answer waits for it.
SEND_SECONDS = 5


def spans_of(settings: Settings) -> Spans | None:
    """What sends spans to the endpoint of the settings; None where they name none.

    Raises:
        ModuleNotFoundError: the extra `otel` is not installed.
        OutboundForbidden: the endpoint is elsewhere, and the settings forbid that.
    """
    endpoint = settings.serve.otlp
    if not endpoint:
        return None
    if not on_this_machine(endpoint):
        require_outbound(settings, "serve.otlp", urlsplit(endpoint).hostname or endpoint)
    return Spans(endpoint)


class Spans:
    """A span for each request, and in it one for each answer of a model.

    Names and attributes are OpenTelemetry's for HTTP servers and for generative AI. A request that names a parent
    (`traceparent`) belongs to it.

    Args:
        endpoint: of an OTLP receiver over HTTP, such as `http://127.0.0.1:4318`.
    """

    def __init__(self, endpoint: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        # A provider of our own: what else in the process makes spans is not sent.
        name = os.environ.get("OTEL_SERVICE_NAME") or "inhouse"
        resource = Resource.create({"service.name": name, "service.version": __version__})
        self._provider: TracerProvider = TracerProvider(resource=resource, shutdown_on_exit=False)
        sender = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(sender))
        self._tracer = self._provider.get_tracer("inhouse", __version__)

    async def request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request within a span."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

        failed = Status(StatusCode.ERROR)  # not in an exception's own words, which may quote the request
        method = scope["method"] if scope["method"] in METHODS else NO_ROUTE
        named = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        span = self._tracer.start_span(method, extract(named), SpanKind.SERVER, {"http.request.method": method})

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(failed)
            await send(message)

        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                await app(scope, receive, noted)
            except Exception:  # a 500, which whoever surrounds this will send
                span.set_attribute("http.response.status_code", 500)
                span.set_status(failed)
                raise
            finally:
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)

    def answered(self, trace: Trace) -> None:
        """Note a model's answer, as a part of the request that it is given to."""
        from opentelemetry.trace import Status, StatusCode

        ended = time.time_ns()
        begun = ended - int(trace.latency_ms * 1e6)
        told: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "inhouse",
            "gen_ai.response.model": trace.model_version,
            "gen_ai.response.id": trace.id,
            "gen_ai.usage.input_tokens": trace.prompt_tokens,
            "gen_ai.usage.output_tokens": trace.answer_tokens,
            "inhouse.task": trace.task,
            "inhouse.route": trace.route,
            "inhouse.confidence": trace.confidence,
            "inhouse.needs_review": trace.needs_review,
        }
        span = self._tracer.start_span(f"chat {trace.model_version}", attributes=told, start_time=begun)
        if trace.ttft_ms is not None:
            span.add_event("first piece", timestamp=begun + int(trace.ttft_ms * 1e6))
        if trace.error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def close(self) -> None:
        """Send what waits, for as long as that may take."""
        self._provider.shutdown()


class WithinSpan:
    """Answers every HTTP request within a span; see `Spans.request`."""

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        self._app, self._spans = app, spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `Spans.request`."""
        if scope["type"] == "http":
            await self._spans.request(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)
