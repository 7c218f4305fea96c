"""What can be seen of the server from outside: figures for Prometheus, and a log, without a text or an address."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from inhouse.api.caller import Caller
from inhouse.core import Trace
from inhouse.deploy import Runtime
from inhouse.store.trace_writer import TraceWriter

# Seconds: from a classifier's answer to a long text of a busy server.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# A path that is no route would make a figure of its own for every guess of a stranger's.
NO_ROUTE = "none"
# As with paths: a method is any word that a client likes to send.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FRAMES = 10

_log = logging.getLogger("inhouse.requests")


@dataclass(frozen=True)
class Done:
    """A request that has ended.

    Attributes:
        route: the path as the server has it, with names of blanks instead of what stood there.
        key: the id of the key that asked; empty without one.
        model: the version that answered; empty where none did.
    """

    request: str
    method: str
    route: str
    status: int
    ms: float
    key: str
    model: str

    @classmethod
    def of(cls, scope: Scope, request: str, status: int, seconds: float, model: str) -> Done:
        """What is told of a request; of what it holds nothing."""
        caller = scope.get("state", {}).get("caller")
        key = caller.key_id if isinstance(caller, Caller) else ""
        method = scope["method"] if scope["method"] in METHODS else NO_ROUTE
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        return cls(request, method, route, status, round(seconds * 1000, 1), key, model)


class Metrics:
    """The figures of one server, as Prometheus reads them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "inhouse_requests", "Requests that have ended", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "inhouse_request_seconds",
            "From a request's head to the last byte of its answer",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        of_version = ("task", "version")
        self._answers = Counter(
            "inhouse_answers",
            "Answers of models; outcome: answered or failed; review: whether a person should look",
            (*of_version, "route", "outcome", "review"),
            registry=self.registry,
        )
        self._tokens = Counter(
            "inhouse_tokens", "Tokens, by kind: prompt or answer", (*of_version, "kind"), registry=self.registry
        )
        self._latency = Histogram(
            "inhouse_answer_seconds",
            "From a request to its whole answer",
            of_version,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._first = Histogram(
            "inhouse_first_piece_seconds",
            "From a streamed request to the first piece of its answer",
            of_version,
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def watch(self, runtime: Runtime, traces: TraceWriter) -> None:
        """Tell of their present state too."""
        self.registry.register(_State(runtime, traces))

    def ended(self, done: Done) -> None:
        """Count a request, and log it."""
        self._requests.labels(done.method, done.route, str(done.status)).inc()
        self._seconds.labels(done.route).observe(done.ms / 1000)
        if _log.isEnabledFor(logging.INFO):
            _log.info("request", extra=asdict(done))

    def answered(self, trace: Trace) -> None:
        """Count an answer."""
        version = (trace.task, trace.model_version)
        outcome = "answered" if trace.error is None else "failed"
        self._answers.labels(*version, trace.route, outcome, str(trace.needs_review).lower()).inc()
        self._tokens.labels(*version, "prompt").inc(trace.prompt_tokens)
        self._tokens.labels(*version, "answer").inc(trace.answer_tokens)
        self._latency.labels(*version).observe(trace.latency_ms / 1000)
        if trace.ttft_ms is not None:
            self._first.labels(*version).observe(trace.ttft_ms / 1000)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)


class _State(Collector):
    """What is asked for when it is looked at."""

    def __init__(self, runtime: Runtime, traces: TraceWriter) -> None:
        self._runtime, self._traces = runtime, traces

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        running, waiting = self._runtime.load()
        yield GaugeMetricFamily("inhouse_answers_running", "Answers that are being written", value=running)
        yield GaugeMetricFamily("inhouse_answers_waiting", "Answers that wait for their turn", value=waiting)
        memory = GaugeMetricFamily(
            "inhouse_engine_memory_bytes",
            "Memory of the process in which a version's engine runs",
            labels=("task", "version"),
        )
        for version, used in self._runtime.memory():
            memory.add_metric((version.task, version.name), used)
        yield memory
        yield CounterMetricFamily("inhouse_traces_lost", "Traces that could not be kept", value=self._traces.lost)


class JsonLines(logging.Formatter):
    """A JSON object a line. Of an exception its type and place, not its message, which may quote a request."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, Any] = {"time": when, "level": record.levelname.lower(), "logger": record.name}
        told["message"] = record.getMessage().strip()
        told |= {name: getattr(record, name) for name in Done.__dataclass_fields__ if hasattr(record, name)}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
            told["error"] = type(error).__name__
            told["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(told, ensure_ascii=False)


def json_logging() -> dict[str, Any]:
    """The configuration of `logging` that writes a line for each request and fault to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"json": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["json"], "level": "WARNING"},
        "loggers": {_log.name: {"level": "INFO"}},
    }
