"""A generic model answers where the fine-tuned one is unsure, gives no valid answer, takes too long, or breaks."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from starlette.testclient import TestClient

import inhouse
from inhouse.api import make_app
from inhouse.core import Prediction
from inhouse.deploy import Answered, Ask, Runtime
from inhouse.errors import ConfigError, EngineFault, ModelUnavailable, NotFound, OutboundForbidden
from inhouse.store import Workspace, traffic

QUESTION = "where is my card now"  # the fine-tuned model knows: card_arrival


@contextmanager
def vendor(answer, status=200):
    """A remote model that always says the same; yields its URL and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            message = {"role": "assistant", "content": answer}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
            told = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
            body = json.dumps({**told, "choices": [choice], "usage": usage}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    server.shutdown()
    server.server_close()


@contextmanager
def served(folder, settings):
    """A client of a server over the workspace, with more in its inhouse.toml."""
    file = folder / "inhouse.toml"
    file.write_text(f"{file.read_text()}\n{settings}\n")
    with TestClient(make_app(Workspace(folder))) as client:
        yield client


def ask(client, text=QUESTION, **more):
    body = {"model": "intents", "messages": [{"role": "user", "content": text}], **more}
    return client.post("/v1/chat/completions", json=body)


def trace_of(folder, answer):
    workspace = Workspace(folder)
    found = traffic.find_trace(workspace, answer["id"])
    workspace.close()
    return found


def remote(url, **release):
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in release.items())
    table = f'[remotes.vendor]\nbase_url = "{url}"\nmodel = "m"\n'
    return f'{table}[tasks.intents]\nfallback = "remote:vendor"\n{lines}\n'


# ---------------------------------------------------------------------- who answers, and who is told


def test_an_unsure_answer_is_a_remote_models_and_the_first_one_is_kept(copy_of_trained):
    with (
        vendor("change_pin") as (url, asked),
        served(copy_of_trained, remote(url, fallback_below=1.0)) as client,
    ):
        answer = ask(client)
        feedback = {"id": answer.json()["id"], "correction": "card_arrival"}
        assert client.post("/v1/feedback", json=feedback).status_code == 200
    told = answer.json()
    assert told["choices"][0]["message"]["content"] == "change_pin"
    assert told["usage"]["prompt_tokens"] == 7
    ours = told["inhouse"]
    assert (ours["route"], ours["model_version"], ours["needs_review"]) == ("fallback", "remote:vendor", False)
    first = ours["fallback"]
    assert (first["because"], first["model_version"], first["answer"]) == ("unsure", "intents@1", "card_arrival")
    assert 0 < first["confidence"] < 1
    assert answer.headers["x-inhouse-route"] == "fallback"
    assert answer.headers["x-inhouse-model"] == "remote:vendor"
    trace = trace_of(copy_of_trained, told)
    assert (trace.task, trace.model_version, trace.route) == ("intents", "remote:vendor", "fallback")
    assert (trace.output, trace.tags["answer"], trace.tags["route"]) == ("change_pin", "card_arrival", "champion")
    assert trace.tags["instead_of"] == "intents@1"
    (request,) = asked
    assert QUESTION in request["messages"][-1]["content"]
    assert "- change_pin" in request["messages"][0]["content"]  # it is told the labels


def test_a_sure_answer_is_the_models_own(copy_of_trained):
    with vendor("change_pin") as (url, asked), served(copy_of_trained, remote(url, fallback_below=0.05)) as client:
        told = ask(client).json()
    assert told["choices"][0]["message"]["content"] == "card_arrival"
    assert "fallback" not in told["inhouse"]
    assert asked == []


def test_a_version_by_its_number_answers_itself(copy_of_trained):
    with vendor("change_pin") as (url, asked), served(copy_of_trained, remote(url, fallback_below=1.0)) as client:
        told = ask(client, model="intents@1").json()
        many = ask(client, n=2).json()
    assert told["inhouse"]["model_version"] == "intents@1"
    assert [c["message"]["content"] for c in many["choices"]] == ["card_arrival"] * 2
    assert asked == []


def test_the_base_told_the_labels_answers_here(copy_of_trained):
    with served(copy_of_trained, '[tasks.intents]\nfallback = "prompted"\nfallback_below = 1.0') as client:
        told = ask(client).json()
        again = ask(client).json()
    ours = told["inhouse"]
    assert (ours["model_version"], ours["fallback"]["model_version"]) == ("intents@prompted", "intents@1")
    assert told["choices"][0]["message"]["content"] in {"card_arrival", "change_pin", "failed_transfer"}
    assert again["choices"] == told["choices"]


@pytest.mark.parametrize("path", ["chat", "completions"])
def test_a_stream_comes_in_one_piece_and_names_who_answered(copy_of_trained, path):
    with vendor("change_pin") as (url, _), served(copy_of_trained, remote(url, fallback_below=1.0)) as client:
        if path == "chat":
            answer = ask(client, stream=True)
        else:
            body = {"model": "intents", "prompt": QUESTION, "stream": True}
            answer = client.post("/v1/completions", json=body)
    chunks = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
    texts = [c["choices"][0].get("delta", {}).get("content") or c["choices"][0].get("text") for c in chunks]
    assert "".join(filter(None, texts)) == "change_pin"
    assert "card_arrival" not in "".join(filter(None, texts))
    assert chunks[-1]["inhouse"]["model_version"] == "remote:vendor"
    assert answer.headers["x-inhouse-model"] == "remote:vendor"
    assert answer.headers["x-inhouse-route"] == "fallback"


def test_where_the_fallback_has_no_answer_a_person_looks_at_the_first(copy_of_trained):
    with vendor("nonsense") as (url, _), served(copy_of_trained, remote(url, fallback_below=1.0)) as client:
        told = ask(client).json()
    assert told["choices"][0]["message"]["content"] == "card_arrival"
    ours = told["inhouse"]
    assert (ours["model_version"], ours["needs_review"]) == ("intents@1", True)
    assert any("none of the labels" in warning for warning in ours["warnings"])
    assert trace_of(copy_of_trained, told).route == "champion"


def test_a_remote_model_that_fails_takes_no_answer_away(copy_of_trained):
    with vendor("x", status=404) as (url, _), served(copy_of_trained, remote(url, fallback_below=1.0)) as client:
        told = ask(client).json()
    assert told["choices"][0]["message"]["content"] == "card_arrival"
    assert any("is not there" in warning for warning in told["inhouse"]["warnings"])


def test_the_review_queue(copy_of_trained):
    with served(copy_of_trained, '[tasks.intents]\nfallback = "review"\nfallback_below = 1.0') as client:
        told = ask(client)
    assert told.json()["inhouse"]["needs_review"] is True
    assert told.headers["x-inhouse-route"] == "champion"
    assert trace_of(copy_of_trained, told.json()).needs_review


# ---------------------------------------------------------------------- no valid answer, too late, broken


@pytest.mark.parametrize(
    ("own", "because"),
    [
        (Answered(Prediction(target=None, error="it is none of the labels"), needs_review=True), "invalid"),
        (EngineFault("the engine broke"), "fault"),
        (None, "late"),
    ],
)
def test_no_answer_of_its_own(copy_of_trained, monkeypatch, own, because):
    whole = Runtime.answer

    async def answer(self, ask: Ask, hear=None):
        if ask.version.name != "intents@1":
            return await whole(self, ask, hear)
        if own is None:
            await asyncio.sleep(60)
        if isinstance(own, Exception):
            raise own
        return (own,)

    monkeypatch.setattr(Runtime, "answer", answer)
    with (
        vendor("change_pin") as (url, _),
        served(copy_of_trained, remote(url, fallback_after=0.3)) as client,
    ):
        began = time.monotonic()
        told = ask(client).json()
        assert time.monotonic() - began < 20
    assert told["choices"][0]["message"]["content"] == "change_pin"
    assert told["inhouse"]["fallback"]["because"] == because
    assert trace_of(copy_of_trained, told).tags["because"] == because


def test_a_model_that_is_too_slow_is_let_go(copy_of_trained):
    """The slot is free again: the model is asked by itself afterwards."""
    with vendor("change_pin") as (url, _), served(copy_of_trained, remote(url, fallback_after=0.000001)) as client:
        assert ask(client).json()["inhouse"]["fallback"]["because"] == "late"
        assert ask(client, model="intents@1").json()["choices"][0]["message"]["content"] == "card_arrival"
        assert '"remote:vendor"' in client.get("/metrics").text


def test_an_input_that_cannot_be_read_is_refused_all_the_same(copy_of_trained):
    with vendor("change_pin") as (url, asked), served(copy_of_trained, remote(url, fallback_below=1.0)) as client:
        assert ask(client, "  ").status_code == 400
        assert ask(client, "card " * 3000).status_code == 400
    assert asked == []


# ---------------------------------------------------------------------- what is kept is forgotten


def test_the_answer_that_was_not_given_is_forgotten_too(copy_of_trained):
    with vendor("change_pin") as (url, _), served(copy_of_trained, remote(url, fallback_below=1.0)) as client:
        kept = ask(client, "Erika Mustermann wants a new pin please").json()
    workspace = Workspace(copy_of_trained)
    done = inhouse.forget(workspace, "intents", match="Erika Mustermann", yes=True)
    assert (done.traces, done.remaining) == (1, ())
    workspace.close()
    with pytest.raises(NotFound):
        trace_of(copy_of_trained, kept)


# ---------------------------------------------------------------------- settings that cannot work


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ('[tasks.intents]\nfallback = "remote:vendor"', ConfigError, "no remote model 'vendor'"),
        ('[tasks.intents]\nfallback = "base"', ConfigError, "gives no classify answers"),
        ('[tasks.nothing]\nfallback = "review"', ConfigError, "is of no task"),
        ('[tasks.intents]\nfallback = "gpt"', ConfigError, "tasks.intents.fallback"),
        ("[tasks.intents]\nfallback_below = 0.5", ConfigError, "no effect without `fallback`"),
        (remote("https://api.example.com/v1"), OutboundForbidden, "INHOUSE_OFFLINE"),
    ],
)
def test_the_server_does_not_start_with_a_fallback_that_cannot_answer(copy_of_trained, settings, error, said):
    file = copy_of_trained / "inhouse.toml"
    file.write_text(f"{file.read_text()}\n{settings}\n")
    with pytest.raises(error, match=said):
        make_app(Workspace(copy_of_trained))


def test_a_base_that_is_not_here_is_no_fallback(copy_of_trained, monkeypatch):
    (copy_of_trained / "tasks" / "intents" / "task.toml").write_text(
        (copy_of_trained / "tasks" / "intents" / "task.toml")
        .read_text()
        .replace('base_model = "', 'base_model = "qwen3-0.6b" # "')
    )
    file = copy_of_trained / "inhouse.toml"
    file.write_text(f'{file.read_text()}\n[tasks.intents]\nfallback = "prompted"\n')
    with pytest.raises(ModelUnavailable):
        make_app(Workspace(copy_of_trained))
