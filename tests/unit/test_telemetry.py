"""What can be seen of the server from outside, and that no text is among it."""

from __future__ import annotations

import json
import logging
import shutil
import time
from concurrent.futures import Future
from pathlib import Path

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from servers import start
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from inhouse import api
from inhouse.api import caller
from inhouse.api.telemetry import JsonLines
from inhouse.store import Workspace, keys, trace_writer, traffic

SECRET = "where is my card now"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(caller, "FRESH", 0.0)
    workspace = Workspace(tmp_path / "workspace")
    workspace.create()
    yield workspace
    workspace.close()


def figures(text):
    """Every figure by its name, with its labels."""
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def figure(text, name, **labels):
    return sum(v for (n, told), v in figures(text).items() if n == name and labels.items() <= dict(told).items())


@pytest.fixture(scope="module")
def served(trained, environment, tmp_path_factory):
    """A server that answered some requests, its figures and its log."""
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("seen") / "workspace"))
    server = start(folder, {**environment, "INHOUSE_SERVE__LOG": "json"})
    try:
        with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client:
            messages = [{"role": "user", "content": SECRET}]
            plain = [client.chat.completions.create(model="intents", messages=messages) for _ in range(2)]
            list(client.chat.completions.create(model="intents@1", messages=messages, stream=True))
            with pytest.raises(openai.NotFoundError):
                client.models.retrieve("no-such-model-here")
        server.raw("GET", "/v1/guess?name=Jane")
        server.raw("PROPFIND", "/v1/models")
        status, headers, text = server.raw("GET", "/metrics")
        assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
        log, deadline = folder.parent / "serve.log", time.monotonic() + 10
        while '"/metrics"' not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)  # a line is written once the client has its answer
    finally:
        server.kill()
    return plain, text, log.read_text()


def test_figures_tell_answers_tokens_and_latency_by_version(served):
    plain, text, _ = served
    version = {"task": "intents", "version": "intents@1"}
    review = str(plain[0].inhouse["needs_review"]).lower()
    assert figure(text, "inhouse_answers_total", **version, route="champion", outcome="answered", review=review) == 2
    assert figure(text, "inhouse_answers_total", **version, route="version", outcome="answered") == 1
    assert figure(text, "inhouse_tokens_total", **version, kind="prompt") == 3 * plain[0].usage.prompt_tokens
    assert figure(text, "inhouse_tokens_total", **version, kind="answer") == 3 * plain[0].usage.completion_tokens
    assert figure(text, "inhouse_answer_seconds_count", **version) == 3
    assert figure(text, "inhouse_answer_seconds_sum", **version) > 0
    assert figure(text, "inhouse_first_piece_seconds_count", **version) == 1
    assert figure(text, "inhouse_requests_total", method="POST", route="/v1/chat/completions", status="200") == 3
    assert figure(text, "inhouse_requests_total", method="GET", route="/v1/models/{name:path}", status="404") == 1
    assert figure(text, "inhouse_requests_total", method="GET", route="none", status="404") == 1
    assert figure(text, "inhouse_requests_total", method="none") == 1
    assert figure(text, "inhouse_request_seconds_count", route="/v1/chat/completions") == 3
    assert figure(text, "inhouse_answers_running") == figure(text, "inhouse_answers_waiting") == 0
    assert figure(text, "inhouse_traces_lost_total") == 0
    assert figure(text, "process_resident_memory_bytes") > 0


def test_neither_figures_nor_log_hold_what_was_asked_or_by_whom(served):
    _, text, log = served
    for part in (SECRET, "card", "no-such-model-here", "guess", "Jane", "PROPFIND", "127.0.0.1"):
        assert part not in text
        assert part not in log.split("\n", 1)[1], part  # the first line says where it serves


def test_the_log_has_a_line_for_each_request(served):
    lines = [json.loads(line) for line in served[2].splitlines()[1:]]
    asked = [line for line in lines if line["logger"] == "inhouse.requests"]
    assert len(asked) == 7
    first = asked[0]
    assert (first["method"], first["route"], first["status"]) == ("POST", "/v1/chat/completions", 200)
    assert (first["model"], first["key"], first["level"]) == ("intents@1", "", "info")
    assert first["request"] == served[0][0]._request_id
    assert first["ms"] > 0
    assert asked[-1]["route"] == "/metrics"


def test_a_fault_is_logged_by_type_and_place_without_its_words():
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord("uvicorn.error", logging.ERROR, "f", 1, "Exception in ASGI application\n", (), info)
    line = JsonLines().format(record)
    assert SECRET not in line
    told = json.loads(line)
    assert (told["error"], told["level"], told["message"]) == ("ValueError", "error", "Exception in ASGI application")
    assert "test_a_fault_is_logged" in told["at"][-1]


def test_a_wrong_kind_of_log_is_told(workspace, command):
    text = workspace.paths.config.read_text()
    workspace.paths.config.write_text(f'{text}log = "xml"\n')
    done = command(workspace.paths.root, "serve", "--port", "0")
    assert done.code == 3
    assert "`serve.log` = 'xml'" in done.err


def test_figures_need_a_key_for_everything(workspace):
    with TestClient(api.make_app(workspace)) as client:
        assert client.get("/metrics").status_code == 200
        _, secret = keys.create(workspace, "prometheus", scopes=["review"])
        head = {"authorization": f"Bearer {secret}"}
        assert client.get("/metrics").status_code == 401
        told = client.get("/metrics", headers=head)
        assert told.status_code == 200
        assert secret not in told.text


def test_ready_only_while_the_database_can_be_read(workspace, monkeypatch):
    with TestClient(api.make_app(workspace)) as client:
        assert (client.get("/ready").status_code, client.get("/ready").json()) == (200, {"status": "ready"})

        def broken(_workspace):
            raise OperationalError("select", {}, Exception("disk I/O error"))

        monkeypatch.setattr(keys, "every", broken)
        answer = client.get("/ready")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
        assert client.get("/health").status_code == 200


def test_not_ready_while_traces_are_lost_and_ready_again_to_try(workspace, monkeypatch):
    app = api.make_app(workspace)
    with TestClient(app) as client:

        def full(*_):
            raise OperationalError("insert", {}, Exception("disk is full"))

        monkeypatch.setattr(traffic, "add_traces", full)
        monkeypatch.setattr(trace_writer, "FAILING_SECONDS", 0.5)
        app.state.metrics.answered = lambda _: None
        writer = app.state.traces
        monkeypatch.setattr(writer, "_hear", lambda _: None)
        lost: Future = writer.add(None)
        assert isinstance(lost.exception(timeout=10), OperationalError)
        assert client.get("/ready").status_code == 503
        assert figure(client.get("/metrics").text, "inhouse_traces_lost_total") == 1
        deadline = time.monotonic() + 10
        while client.get("/ready").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get("/ready").status_code == 200


def test_a_trace_names_the_key_that_asked(copy_of_trained, environment):
    workspace = Workspace(copy_of_trained)
    key, secret = keys.create(workspace, "shop")
    server = start(copy_of_trained, environment)
    try:
        with openai.OpenAI(base_url=server.url, api_key=secret, max_retries=0, timeout=60) as client:
            answer = client.chat.completions.create(model="intents", messages=[{"role": "user", "content": SECRET}])
            text = client.completions.create(model="intents", prompt=SECRET)
    finally:
        server.kill()
    kept = {trace.id: trace.key for trace in traffic.traces(workspace, "intents")}
    assert {kept[answer.id], kept[text.id]} == {key.id}
    workspace.close()
