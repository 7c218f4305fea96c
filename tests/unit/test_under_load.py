"""More requests than can be answered, answers that take too long, clients that leave, and a server that stops."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import openai
import pytest
from servers import Server, listening, post_by_hand, start, until

from inhouse.api import make_app
from inhouse.core import Prediction
from inhouse.deploy import Runtime, ServedModel
from inhouse.deploy.runtime import AT_ONCE
from inhouse.engine.protocol import Grammar, Wishes
from inhouse.errors import ModelUnavailable, Overloaded
from inhouse.store import Workspace, traffic

QUESTION = "where is my card now"
BODY = {"model": "intents", "messages": [{"role": "user", "content": QUESTION}]}


def ask(client, **more):
    return client.chat.completions.create(**{**BODY, **more})


def kept(folder):
    workspace = Workspace(folder)
    found = traffic.traces(workspace, "intents")
    workspace.close()
    return found


@contextmanager
def held(folder, monkeypatch, **settings):
    """A server whose engine holds every answer: its application, itself, and what lets the answers go."""
    go = threading.Event()

    def answer(self, question, options=None, **_):
        assert go.wait(60)
        yield "card_arrival", self.judged(Prediction(target="card_arrival", confidence=0.9))

    monkeypatch.setattr(ServedModel, "stream", answer)
    for name, value in settings.items():
        monkeypatch.setenv(f"INHOUSE_SERVE__{name.upper()}", str(value))
    app = make_app(Workspace(folder))
    with listening(app) as (host, port):
        try:
            yield app, Server(None, folder, f"http://{host}:{port}/v1"), go
        finally:
            go.set()


@contextmanager
def full(folder, monkeypatch, queue=2):
    """The same with as many requests as may be answered and wait. Whoever was let in is answered."""
    many = AT_ONCE + queue
    with held(folder, monkeypatch, queue=queue) as (app, server, go), ThreadPoolExecutor(many) as pool:
        taken = [pool.submit(server.post, "/v1/chat/completions", **BODY) for _ in range(many)]
        try:
            until(lambda: app.state.runtime.load() == (AT_ONCE, queue))
            yield app, server, go
        finally:
            go.set()
        assert [one.result()[0] for one in taken] == [200] * many
    assert app.state.runtime.load() == (0, 0)


# ---------------------------------------------------------------------- the queue


def test_one_more_than_may_wait_is_refused_and_told_when_to_come_back(copy_of_trained, monkeypatch):
    with full(copy_of_trained, monkeypatch) as (_, server, _):
        for path, body in (
            ("chat/completions", BODY),
            ("chat/completions", {**BODY, "stream": True}),
            ("completions", {"model": "intents", "prompt": [QUESTION] * 2}),
        ):
            status, headers, said = server.post(f"/v1/{path}", **body)
            assert (status, headers["retry-after"]) == (429, "5")  # nothing was answered yet
            assert (said["error"]["code"], said["error"]["type"]) == ("rate_limit_exceeded", "requests")
            assert "2 answers wait" in said["error"]["message"]
        assert server.raw("GET", "/v1/models")[0] == 200
        assert kept(copy_of_trained) == []  # a Trace of each would make the crowd costlier still
    assert len(kept(copy_of_trained)) == AT_ONCE + 2


def test_the_official_client_comes_back_when_it_was_told_to(copy_of_trained, monkeypatch):
    monkeypatch.setattr("inhouse.deploy.runtime._UNKNOWN_S", 2)
    told = []
    with full(copy_of_trained, monkeypatch) as (app, server, go):

        def hear(answer):
            told.append((answer.status_code, time.monotonic()))
            go.set()
            until(lambda: app.state.runtime.load()[1] == 0)  # on a busy machine that takes longer than the wait

        transport = openai.DefaultHttpxClient(event_hooks={"response": [hear]})
        with openai.OpenAI(base_url=server.url, api_key="none", http_client=transport) as client:
            assert ask(client).choices[0].message.content == "card_arrival"
    (refused, first), (answered, second) = told
    assert (refused, answered) == (429, 200)
    assert second - first >= 1.9


def test_a_request_that_was_let_in_has_all_its_answers(copy_of_trained, monkeypatch):
    with held(copy_of_trained, monkeypatch, queue=5) as (app, server, go), ThreadPoolExecutor(1) as pool:
        many = pool.submit(server.post, "/v1/chat/completions", **BODY, n=AT_ONCE + 5)
        until(lambda: app.state.runtime.load() == (AT_ONCE, 5))
        assert server.post("/v1/chat/completions", **BODY)[0] == 429
        go.set()
        assert len(many.result()[2]["choices"]) == AT_ONCE + 5


def test_more_answers_than_may_ever_be_let_in_are_refused_for_good(copy_of_trained, monkeypatch):
    with held(copy_of_trained, monkeypatch, queue=5) as (app, server, _):
        body = {"model": "intents", "prompt": [QUESTION] * 10, "n": 7}
        status, _, said = server.post("/v1/completions", **body)
        assert (status, app.state.runtime.load()) == (400, (0, 0))
        assert "asks for 70 answers at once, and 69 are the most" in said["error"]["message"]


def test_what_failed_at_once_makes_no_pace(copy_of_trained):
    workspace = Workspace(copy_of_trained)
    runtime = Runtime(workspace)
    runtime._asked, runtime._queue = 1, 10
    runtime._ends.append(time.monotonic() - 10)
    for _ in range(64):
        with suppress(ModelUnavailable), runtime.place():
            raise ModelUnavailable("it cannot be loaded")
    runtime._asked = AT_ONCE + 10
    with pytest.raises(Overloaded) as refused, runtime.place():
        pass
    assert refused.value.retry_s == 5  # as where nothing was answered yet
    runtime.close()
    workspace.close()


@pytest.mark.parametrize(
    ("ended", "waiting", "seconds"), [(0, 10, 5), (20, 10, 5), (64, 10, 2), (64, 2, 1), (1, 100, 60)]
)
def test_the_wait_is_reckoned_from_the_pace_of_the_last_answers(copy_of_trained, ended, waiting, seconds):
    """Ten seconds ago it began to be busy."""
    workspace = Workspace(copy_of_trained)
    runtime = Runtime(workspace)
    runtime._asked, runtime._queue = AT_ONCE + waiting, waiting
    runtime._ends.extend([time.monotonic() - 9.9] + [time.monotonic()] * ended)
    with pytest.raises(Overloaded) as refused, runtime.place():
        pass
    assert refused.value.retry_s == seconds
    runtime.close()
    workspace.close()


# ---------------------------------------------------------------------- time-outs


@pytest.mark.parametrize("stream", [False, True])
def test_what_takes_too_long_is_told_so_once_and_lets_its_place_go(copy_of_trained, monkeypatch, stream):
    asked = []
    with held(copy_of_trained, monkeypatch, timeout=0.5) as (app, server, _):
        transport = openai.DefaultHttpxClient(event_hooks={"request": [asked.append]})
        with openai.OpenAI(base_url=server.url, api_key="none", http_client=transport) as client:
            with pytest.raises(openai.InternalServerError, match=r"no whole answer within 0\.5 s") as late:
                ask(client, stream=stream)
            assert (late.value.status_code, late.value.code) == (504, "timeout")
        until(lambda: app.state.runtime.load() == (0, 0))
    assert len(asked) == 1
    (trace,) = kept(copy_of_trained)
    assert (trace.output, trace.error) == (None, "there was no whole answer within 0.5 s")


def test_a_stream_that_has_begun_and_takes_too_long_ends_with_an_error(copy_of_trained, monkeypatch):
    def slow(self, question, options=None, *, left, **_):
        for length in itertools.count(1):
            yield "card" * length, None
            left.exception(60)

    monkeypatch.setattr(ServedModel, "stream", slow)
    monkeypatch.setenv("INHOUSE_SERVE__TIMEOUT", "0.5")
    app = make_app(Workspace(copy_of_trained))
    with listening(app) as (host, port):
        with openai.OpenAI(base_url=f"http://{host}:{port}/v1", api_key="none") as client:
            chunks = iter(ask(client, stream=True))
            assert next(chunks).choices[0].delta.role == "assistant"
            with pytest.raises(openai.APIError) as late:
                list(chunks)
        assert (late.value.code, late.value.body["message"]) == ("timeout", "there was no whole answer within 0.5 s")
        until(lambda: not any(one.users for one in app.state.runtime._pool._loaded.values()))


def test_the_time_in_which_the_model_is_loaded_does_not_count(copy_of_trained, monkeypatch):
    opened = ServedModel.__init__

    def slow(self, *given, **more):
        time.sleep(1)
        opened(self, *given, **more)

    monkeypatch.setattr(ServedModel, "__init__", slow)
    with held(copy_of_trained, monkeypatch, timeout=0.5) as (_, server, go):
        go.set()
        assert server.post("/v1/chat/completions", **BODY)[0] == 200


# ---------------------------------------------------------------------- clients that leave


def endless(monkeypatch):
    """The real engine, told to write on and on: what it writes is no label, and it does not end by itself."""
    stream = ServedModel._parts

    def long(self, question, wishes, *given, **more):
        without_end = Wishes(1_000_000, Grammar('root ::= "a" root'))
        return stream(self, question, without_end, *given, **more)

    monkeypatch.setattr(ServedModel, "_parts", long)


@pytest.mark.parametrize("path", ["chat", "completions"])
def test_a_client_that_leaves_before_its_whole_answer_is_traced_and_lets_the_engine_go(
    copy_of_trained, monkeypatch, path
):
    """The engine itself is asked for 1,000,000 tokens, of which it has at most a few by then."""
    endless(monkeypatch)
    app = make_app(Workspace(copy_of_trained))
    with listening(app) as address:
        pool = app.state.runtime._pool._loaded
        body = BODY if path == "chat" else {"model": "intents", "prompt": QUESTION}
        with post_by_hand(address, "chat/completions" if path == "chat" else path, **body):
            until(lambda: pool and pool["intents@1"].model.engine._sent)
        until(lambda: not pool["intents@1"].model.engine._sent and not pool["intents@1"].users)
        until(lambda: kept(copy_of_trained))
        (trace,) = kept(copy_of_trained)
        assert (trace.error, trace.output, trace.tags) == ("the client left", None, {"outcome": "left"})
        assert app.state.runtime.load() == (0, 0)
        figures = app.state.metrics.text().decode()
    assert f'route="/v1/{"chat/completions" if path == "chat" else path}",status="0"' in figures


# ---------------------------------------------------------------------- the end of a server


@pytest.fixture
def slow_server(copy_of_trained, environment):
    """A server whose answers take their time: a text of the base of many tokens."""

    def begin(**settings):
        told = {f"INHOUSE_SERVE__{name.upper()}": str(value) for name, value in settings.items()}
        server = start(copy_of_trained, {**environment, **told})
        started.append(server)
        return server

    started = []
    yield begin
    for server in started:
        server.process.kill()
        server.process.wait(30)


def test_who_is_answered_when_the_server_stops_is_answered_to_the_end(slow_server, copy_of_trained):
    server = slow_server()
    with (
        openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client,
        closing(socket.create_connection(urlsplit(server.url).netloc.split(":"))) as idle,
        ThreadPoolExecutor(8) as pool,
    ):
        ask(client)
        stream = client.completions.create(model="tiny", prompt="where", max_tokens=900, stream=True)
        first = next(iter(stream))
        plain = [pool.submit(client.completions.create, model="tiny", prompt="my", max_tokens=900) for _ in range(4)]
        time.sleep(0.2)
        os.kill(server.process.pid, signal.SIGTERM)
        until(lambda: server.raw("GET", "/ready")[0] == 503)
        status, headers, said = server.post("/v1/chat/completions", **BODY)
        assert (status, said["error"]["code"], headers["retry-after"]) == (503, "stopping", "5")
        assert server.raw("GET", "/health")[0] == 200
        ids = {first.id, *(chunk.id for chunk in stream)} | {one.result(60).id for one in plain}
        idle.settimeout(30)
        server.process.wait(30)
        assert idle.recv(1) == b""
    workspace = Workspace(copy_of_trained)
    with workspace.database.read() as connection:
        found = connection.exec_driver_sql("SELECT id, error FROM traces WHERE model_version = 'tiny'").all()
    workspace.close()
    assert {row.id for row in found} == ids
    assert len(ids) == 5


def test_who_is_not_answered_within_the_grace_is_told_that_the_server_stops(slow_server, copy_of_trained):
    server = slow_server(grace=0.3)
    with (
        openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        ask(client)
        many = pool.submit(ask, client, model="tiny", n=128, max_tokens=900)
        time.sleep(0.5)
        os.kill(server.process.pid, signal.SIGTERM)
        with pytest.raises(openai.InternalServerError) as stopped:
            many.result(60)
        assert (stopped.value.status_code, stopped.value.code) == (503, "stopping")
        server.process.wait(30)
    assert "Traceback" not in (copy_of_trained.parent / "serve.log").read_text()
    workspace = Workspace(copy_of_trained)
    with workspace.database.read() as connection:
        found = connection.exec_driver_sql("SELECT error FROM traces WHERE model_version = 'tiny'").scalars().all()
    workspace.close()
    assert found == ["the server stops"]
