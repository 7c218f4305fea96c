"""The candidate answers too, unseen, while nobody waits; how often it agrees is told."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest
from conftest import add_candidate, many_intents
from servers import until
from sqlalchemy import select
from starlette.testclient import TestClient

import inhouse
from inhouse.api import make_app
from inhouse.core import Prediction, Trace
from inhouse.deploy import Answered, Runtime
from inhouse.errors import EngineFault
from inhouse.pipeline.shadow import agreement, may_shadow, sameness
from inhouse.store import Workspace, registry, shadows, tables, traffic

TEXTS = [row["text"] for row in many_intents(3)]


@pytest.fixture
def folder(copy_of_trained):
    """`intents@1` serves, and `intents@2` of the same file is the candidate, and a shadow."""
    add_candidate(copy_of_trained)
    file = copy_of_trained / "inhouse.toml"
    file.write_text(f"{file.read_text()}\n[tasks.intents]\nshadow = true\n")
    return copy_of_trained


@contextmanager
def running(folder):
    with TestClient(make_app(Workspace(folder))) as client:
        yield client


def ask(client, text, **more):
    body = {"model": "intents", "messages": [{"role": "user", "content": text}], **more}
    return client.post("/v1/chat/completions", json=body)


def rows(folder):
    workspace = Workspace(folder)
    with workspace.database.read() as connection:
        found = connection.execute(select(tables.shadow_answers)).mappings().all()
    workspace.close()
    return found


def test_the_candidate_answers_unseen(folder):
    with running(folder) as client:
        answers = [ask(client, text) for text in TEXTS[:6]]
        until(lambda: len(rows(folder)) == 6, seconds=20)
        listed = client.get("/metrics").text
    assert {a.headers["x-inhouse-model"] for a in answers} == {"intents@1"}
    assert {a.json()["inhouse"]["model_version"] for a in answers} == {"intents@1"}
    kept = rows(folder)
    assert {row["model_version"] for row in kept} == {"intents@2"}
    assert {row["trace"] for row in kept} == {a.json()["id"] for a in answers}
    assert all(row["same"] and row["error"] is None and row["latency_ms"] > 0 for row in kept)
    assert 'model_version="intents@2"' not in listed
    workspace = Workspace(folder)
    assert {t.model_version for t in traffic.traces(workspace, "intents")} == {"intents@1"}  # no Trace of its own
    found = agreement(workspace, "intents")
    workspace.close()
    assert (found.version, found.against, found.agreement.n, found.errors) == ("intents@2", "intents@1", 6, 0)
    assert found.agreement.value == 1.0
    assert found.agreement.low < 0.7  # six answers say little


def test_what_was_not_asked_as_usual_is_not_compared(folder):
    with running(folder) as client:
        ask(client, TEXTS[0], model="intents@1")
        ask(client, TEXTS[0], model="intents@candidate")
        ask(client, TEXTS[0], max_tokens=3)
        ask(client, "  ")
        ask(client, TEXTS[1])
        until(lambda: len(rows(folder)) == 1, seconds=20)
        time.sleep(0.3)
    assert len(rows(folder)) == 1


def test_it_waits_while_anybody_does(folder, monkeypatch):
    """Never beside a request; and more than it has room for it lets go of."""
    beside, whole, busy = [], Runtime.answer, threading.Event()

    async def answer(self, ask, hear=None):
        if ask.version.number == 2:
            beside.append(busy.is_set())
        elif ask.inputs["text"] == "wait":
            busy.set()
            try:
                self._asked += 1
                await asyncio.sleep(1.5)
            finally:
                self._asked -= 1
                busy.clear()
        return await whole(self, ask, hear)

    monkeypatch.setattr(Runtime, "answer", answer)
    with running(folder) as client:
        slow = threading.Thread(target=ask, args=(client, "wait"))
        slow.start()
        assert busy.wait(10)
        ask(client, TEXTS[0])
        slow.join()
        until(lambda: len(rows(folder)) == 2, seconds=20)
    assert beside == [False, False]


def test_another_answer_and_none_are_told_apart(folder, monkeypatch, cli):
    whole = Runtime.answer

    async def answer(self, ask, hear=None):
        if ask.version.number == 2 and ask.inputs["text"] == TEXTS[0]:
            return (Answered(Prediction(target="change_pin", confidence=0.9), needs_review=False),)
        if ask.version.number == 2 and ask.inputs["text"] == TEXTS[1]:
            raise EngineFault("the engine broke")
        return await whole(self, ask, hear)

    monkeypatch.setattr(Runtime, "answer", answer)
    with running(folder) as client:
        assert [ask(client, text).status_code for text in TEXTS[:4]] == [200] * 4
        until(lambda: len(rows(folder)) == 4, seconds=20)
    workspace = Workspace(folder)
    found = agreement(workspace, "intents")
    workspace.close()
    assert (found.agreement.value, found.agreement.n, found.errors) == (pytest.approx(2 / 3), 3, 1)
    (task,) = cli(folder, "status", "--json").json["tasks"]
    assert task["shadow"]["agreement"]["n"] == 3
    assert "shadow: intents@2 answers as intents@1 does: 66.7% (" in cli(folder, "status").out
    assert cli(folder, "monitor", "intents", "--json").json["shadow"]["errors"] == 1
    assert "shadow: intents@2 answers" in cli(folder, "monitor", "intents").out


def test_without_the_setting_nothing_is_asked(copy_of_trained):
    with running(copy_of_trained) as client:
        ask(client, TEXTS[0])
        time.sleep(0.3)
    assert rows(copy_of_trained) == []
    workspace = Workspace(copy_of_trained)
    assert agreement(workspace, "intents") is None
    workspace.close()


def trace(**changes):
    values = {"id": "t1", "task": "intents", "model_version": "intents@1", "inputs": {"text": "x"}, "output": "a"}
    values |= {"confidence": 1.0, "needs_review": False, "latency_ms": 1.0, "prompt_tokens": 1, "answer_tokens": 1}
    return Trace.model_validate({**values, "created_at": "2026-01-01", "route": "champion", **changes})


def test_which_requests_are_compared():
    assert may_shadow(trace())
    for changes in ({"route": "canary"}, {"route": "fallback"}, {"output": None}, {"asked": {"n": 2}}):
        assert not may_shadow(trace(**changes))
    assert not may_shadow(trace(inputs={"": "unread"}))


def test_objects_are_compared_by_value(copy_of_trained):
    workspace = Workspace(copy_of_trained)
    version = registry.find_version(workspace, "intents", 1)
    schema = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
    extract = version.model_copy(update={"kind": "extract", "json_schema": schema})
    assert sameness(extract)('{"n": 1}', '{"n":1.0}')
    assert not sameness(extract)('{"n": 1}', '{"n":2}')
    workspace.close()


def test_it_is_forgotten_with_its_request_and_by_itself(folder):
    workspace = Workspace(folder)
    for name, output in (("t1", "about Erika Mustermann"), ("t2", "about somebody")):
        told = "Erika Mustermann lost her card" if name == "t2" else "a card"
        traffic.add_trace(workspace, trace(id=name, inputs={"text": told}))
        kept = {"task": "intents", "model_version": "intents@2", "output": output, "confidence": 1.0}
        assert shadows.add(workspace, trace=name, same=False, latency_ms=1.0, error=None, **kept)
        assert not shadows.add(workspace, trace=name, same=False, latency_ms=1.0, error=None, **kept)
    done = inhouse.forget(workspace, "intents", match="Erika Mustermann", yes=True)
    assert (done.traces, done.remaining) == (1, ())
    # Answered while its request was erased: what is known of it must not come back.
    assert not shadows.add(workspace, trace="t2", same=False, latency_ms=1.0, error=None, **kept)
    workspace.close()
    assert rows(folder) == []
