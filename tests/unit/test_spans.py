"""Spans for OpenTelemetry: what a receiver gets, and that no text is among it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from inhouse.api import make_app
from inhouse.errors import ConfigError, OutboundForbidden
from inhouse.store import Workspace, load_settings

SECRET = "where is my card now"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def receiver():
    """An OTLP receiver: its address, and the bodies that it was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/traces"
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def client_of(trained, folder, endpoint, monkeypatch):
    monkeypatch.setenv("INHOUSE_SERVE__OTLP", endpoint)
    workspace = Workspace(Path(shutil.copytree(trained, folder / "workspace")))
    return TestClient(make_app(workspace), raise_server_exceptions=False)


def spans_in(bodies):
    found = []
    for body in bodies:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            assert {"service.name": "inhouse"}.items() <= told(resource.resource).items()
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def told(span):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_request_and_its_answer_are_spans_of_the_callers_trace(trained, tmp_path, receiver, monkeypatch):
    endpoint, bodies = receiver
    body = {"model": "intents", "messages": [{"role": "user", "content": SECRET}]}
    with client_of(trained, tmp_path, endpoint, monkeypatch) as client:
        for stream in (False, True):
            answer = client.post(
                "/v1/chat/completions", json={**body, "stream": stream}, headers={"traceparent": PARENT}
            )
            assert answer.status_code == 200
        client.get("/v1/guess/Jane")
    spans = spans_in(bodies)
    requests = [span for span in spans if span.name == "POST /v1/chat/completions"]
    answers = [span for span in spans if span.name == "chat intents@1"]
    assert (len(requests), len(answers)) == (2, 2)
    for request, answer in zip(requests, answers, strict=True):
        assert request.trace_id.hex() == answer.trace_id.hex() == PARENT.split("-")[1]
        assert request.parent_span_id.hex() == PARENT.split("-")[2]
        assert answer.parent_span_id == request.span_id
        assert told(request)["http.response.status_code"] == 200
        assert told(answer)["gen_ai.usage.input_tokens"] > 0
        assert request.start_time_unix_nano <= answer.start_time_unix_nano < answer.end_time_unix_nano
        assert answer.end_time_unix_nano <= request.end_time_unix_nano
    assert [[event.name for event in answer.events] for answer in answers] == [[], ["first piece"]]
    (guess,) = [span for span in spans if told(span).get("http.response.status_code") == 404]
    assert guess.name == "GET none"
    assert not any(word in b"".join(bodies) for word in (SECRET.encode(), b"Jane"))


def test_a_fault_is_a_span_without_its_message(trained, tmp_path, receiver, monkeypatch):
    from inhouse.deploy import Dispatcher

    endpoint, bodies = receiver

    def choose(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(Dispatcher, "choose", choose)
    with client_of(trained, tmp_path, endpoint, monkeypatch) as client:
        body = {"model": "intents", "messages": [{"role": "user", "content": "x"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 500
    (span,) = [span for span in spans_in(bodies) if span.name.startswith("POST")]
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert SECRET.encode() not in b"".join(bodies)


def test_a_receiver_that_is_not_there_delays_no_answer_and_no_end(trained, tmp_path, monkeypatch):
    with socket.socket() as taken:  # nobody listens at it
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with client_of(trained, tmp_path, endpoint, monkeypatch) as client:
            assert client.get("/health").status_code == 200
            begun = time.monotonic()
    assert time.monotonic() - begun < 30


def test_an_endpoint_elsewhere_is_refused_offline_and_one_that_is_none_at_once(trained, tmp_path, monkeypatch):
    with pytest.raises(OutboundForbidden, match=r"serve\.otlp needs a connection to collector\.example"):
        client_of(trained, tmp_path, "https://collector.example:4318", monkeypatch)
    monkeypatch.setenv("INHOUSE_SERVE__OTLP", "collector:4318")
    with pytest.raises(ConfigError, match="INHOUSE_SERVE__OTLP = 'collector:4318'"):
        load_settings(tmp_path / "inhouse.toml")


def test_without_an_endpoint_the_library_is_not_loaded(trained):
    code = (
        "import sys, json\nfrom inhouse.api import make_app\nfrom inhouse.store import Workspace\n"
        "from pathlib import Path\n"
        f"make_app(Workspace(Path({str(trained)!r})))\nprint(json.dumps('opentelemetry.sdk' in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) is False
