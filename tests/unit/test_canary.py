"""A candidate with a share of the traffic: who gets it, when it is returned, and what is told."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest
from conftest import add_candidate
from servers import until
from starlette.testclient import TestClient

import inhouse
from inhouse.api import make_app, releasing
from inhouse.core import Prediction, Trace
from inhouse.deploy import Answered, Dispatcher, Runtime
from inhouse.errors import ConfigError
from inhouse.pipeline import canary as canaries
from inhouse.store import Workspace, audit, registry, releases, traffic
from inhouse.store.database import now


@pytest.fixture
def folder(copy_of_trained):
    """`intents@1` serves, `intents@2` of the same file is the candidate and has a third of the traffic."""
    add_candidate(copy_of_trained)
    set_share(copy_of_trained, 0.33)
    return copy_of_trained


def set_share(folder, share):
    file = folder / "inhouse.toml"
    file.write_text(f"{file.read_text().split('[tasks')[0]}[tasks.intents]\ncanary = {share}\n")


@pytest.fixture
def workspace(folder):
    opened = Workspace(folder)
    yield opened
    opened.close()


@contextmanager
def running(folder, monkeypatch):
    """A client of a server that weighs often, once its canary has begun."""
    monkeypatch.setattr(releasing, "CANARY_SECONDS", 0.05)
    with TestClient(make_app(Workspace(folder))) as client:
        yield client


def tend(workspace):
    canaries.tend(workspace, "intents", lambda _: None)


def ask(client, user="", text="where is my card now"):
    body = {"model": "intents", "messages": [{"role": "user", "content": text}], **({"user": user} if user else {})}
    return client.post("/v1/chat/completions", json=body)


def keep(workspace, route, number, count, *, errors=0, reviews=0, **more):
    """Traces as a server keeps them."""
    values = {"task": "intents", "inputs": {"text": "x"}, "confidence": 0.5, "latency_ms": 1.0, "route": route}
    kept = [
        Trace(
            id=f"{route}-{number}-{time.monotonic_ns()}-{i}",
            model_version=more.get("by", f"intents@{number}"),
            output=None if i < errors else "card_arrival",
            needs_review=i < max(errors, reviews),
            prompt_tokens=1,
            answer_tokens=1,
            created_at=now(),
            tags=more.get("tags", {}),
            **values,
        )
        for i in range(count)
    ]
    traffic.add_traces(workspace, kept)


# ---------------------------------------------------------------------- who gets it


def test_the_same_user_gets_the_same_version_and_about_a_third_the_candidate(workspace):
    tend(workspace)
    dispatcher = Dispatcher(workspace)
    chosen = {user: dispatcher.choose("intents", asks=user) for user in map(str, range(600))}
    share = sum(one.route == "canary" for one in chosen.values()) / 600
    assert 0.27 < share < 0.39
    assert {one.version.number for one in chosen.values() if one.route == "canary"} == {2}
    assert all(dispatcher.choose("intents", asks=user).route == one.route for user, one in chosen.items())
    assert dispatcher.choose("intents").route == "champion"  # what a client that lists models is told
    assert dispatcher.choose("intents@1", asks="7").version.number == 1


def test_another_candidate_is_tried_on_others(workspace):
    tend(workspace)
    dispatcher = Dispatcher(workspace)
    users = [str(i) for i in range(300)]
    first = {user for user in users if dispatcher.choose("intents", asks=user).route == "canary"}
    registry.add_version(workspace, registry.find_version(workspace, "intents", 1))
    registry.move_alias(workspace, "intents", registry.CANDIDATE, 3, action="evaluate")
    assert all(dispatcher.choose("intents", asks=user).route == "champion" for user in users)  # not yet begun
    tend(workspace), tend(workspace)
    second = {user for user in users if dispatcher.choose("intents", asks=user).route == "canary"}
    assert first != second
    assert first & second != first


def test_a_request_without_a_user_is_somebody_else_each_time(folder, monkeypatch):
    with running(folder, monkeypatch) as client:
        until(lambda: ask(client).headers["x-inhouse-route"] == "canary", seconds=20)
        assert {ask(client, "anna").headers["x-inhouse-route"] for _ in range(5)} in ({"canary"}, {"champion"})
        routes = [ask(client).headers["x-inhouse-route"] for _ in range(40)]
        models = client.get("/v1/models/intents").json()
    assert {"canary", "champion"} == set(routes)
    assert models["root"] == "intents@1"


# ---------------------------------------------------------------------- it is returned, and never promoted


def test_a_candidate_that_fails_is_returned_at_once_and_stays_so_after_a_restart(folder, monkeypatch):
    whole = Runtime.answer

    async def answer(self, ask, hear=None):
        if ask.version.number == 2:
            return (Answered(Prediction(target=None, error="it is none of the labels"), needs_review=True),)
        return await whole(self, ask, hear)

    monkeypatch.setattr(Runtime, "answer", answer)
    with running(folder, monkeypatch) as client:
        until(lambda: releases_state(folder) == releases.RUNNING, seconds=20)
        for _ in range(400):
            ask(client)
            if releases_state(folder) == releases.RETURNED:
                break
        until(lambda: {ask(client).headers["x-inhouse-route"] for _ in range(20)} == {"champion"}, seconds=20)
    workspace = Workspace(folder)
    last = releases.last_canary(workspace, "intents")
    assert "requests to intents@2 were without a valid answer" in last.reason
    assert [e.action for e in audit.entries(workspace, "intents", newest=2)] == ["canary begins", "canary returned"]
    assert registry.alias_number(workspace, "intents", "champion") == 1
    told = canaries.told(workspace, "intents")
    assert (told["state"], told["version"]) == ("returned", "intents@2")
    assert told["canary"]["errors"] == told["canary"]["requests"]
    workspace.close()
    with running(folder, monkeypatch) as client:
        time.sleep(0.3)
        assert {ask(client).status_code for _ in range(20)} == {200}
    assert releases_state(folder) == releases.RETURNED


def releases_state(folder):
    workspace = Workspace(folder)
    last = releases.last_canary(workspace, "intents")
    workspace.close()
    return last and last.state


def test_more_reviews_return_it_and_as_many_do_not(workspace):
    tend(workspace)
    for _ in range(12):
        keep(workspace, "champion", 1, 40, reviews=8)
        keep(workspace, "canary", 2, 20, reviews=4)
        tend(workspace)
    assert releases.last_canary(workspace, "intents").state == releases.RUNNING
    for _ in range(12):
        keep(workspace, "champion", 1, 40, reviews=8)
        keep(workspace, "canary", 2, 20, reviews=14)
        tend(workspace)
    last = releases.last_canary(workspace, "intents")
    assert last.state == releases.RETURNED
    assert "for a person to look at" in last.reason


def test_what_is_known_survives_a_restart(folder):
    evidence = []
    for _ in range(4):
        workspace = Workspace(folder)
        tend(workspace)
        keep(workspace, "champion", 1, 40, errors=1)
        keep(workspace, "canary", 2, 20, errors=3)
        tend(workspace)
        last = releases.last_canary(workspace, "intents")
        evidence.append(canaries._read(last.counts["errors"]).evidence)
        workspace.close()
    assert evidence[0] == 1.0
    assert evidence == sorted(evidence)
    assert evidence[-1] > 2
    assert last.counts["arms"]["canary"] == {"requests": 80, "errors": 12, "reviews": 12}


def test_requests_that_tell_nothing_of_the_version_are_not_counted(workspace):
    tend(workspace)
    keep(workspace, "canary", 2, 30, errors=30, tags={"outcome": "refused"})
    keep(workspace, "canary", 2, 30, errors=30, tags={"outcome": "left"})
    keep(workspace, "candidate", 2, 30, errors=30)  # asked for by name
    keep(workspace, "champion", 1, 20)
    tags = {"route": "canary", "instead_of": "intents@2"}
    keep(workspace, "fallback", 2, 3, by="remote:x", tags={**tags, "because": "unsure"})
    keep(workspace, "fallback", 2, 2, by="remote:x", tags={**tags, "because": "late"})
    keep(workspace, "canary", 2, 10)
    tend(workspace)
    arms = releases.last_canary(workspace, "intents").counts["arms"]
    assert arms["canary"] == {"requests": 15, "errors": 2, "reviews": 5}
    assert arms["champion"] == {"requests": 20, "errors": 0, "reviews": 0}


def test_an_unreadable_input_is_refused_and_a_broken_engine_is_not(folder, monkeypatch):
    with running(folder, monkeypatch) as client:
        refused = [ask(client, text="  ") for _ in range(3)]
    assert {answer.status_code for answer in refused} == {400}
    workspace = Workspace(folder)
    assert {trace.tags["outcome"] for trace in traffic.traces(workspace, "intents")} == {"refused"}
    workspace.close()


# ---------------------------------------------------------------------- when it is over


@pytest.mark.parametrize("how", ["promoted", "switched off", "share", "candidate"])
def test_it_ends(folder, how):
    workspace = Workspace(folder)
    tend(workspace)
    keep(workspace, "canary", 2, 5)
    if how == "promoted":
        registry.move_alias(workspace, "intents", registry.CHAMPION, 2, action="promote")
    elif how == "candidate":
        registry.add_version(workspace, registry.find_version(workspace, "intents", 1))
        registry.move_alias(workspace, "intents", registry.CANDIDATE, 3, action="evaluate")
    else:
        set_share(folder, 0.0 if how == "switched off" else 0.2)
        workspace.close()
        workspace = Workspace(folder)
    first = releases.last_canary(workspace, "intents")
    tend(workspace)
    last = releases.last_canary(workspace, "intents")
    reason = audit.entries(workspace, "intents", newest=0)
    ended = next(e for e in reason if e.action == "canary ended")
    if how in ("promoted", "switched off"):
        assert (last.id, last.state) == (first.id, releases.ENDED)
        assert how in last.reason
    else:
        assert (last.id, last.state) == (first.id + 1, releases.RUNNING)
        assert (last.number, last.share) == ((3, 0.33) if how == "candidate" else (2, 0.2))
    assert ended.subject == "intents@2"
    workspace.close()


def test_status_tells_it(folder, cli):
    workspace = Workspace(folder)
    tend(workspace)
    keep(workspace, "champion", 1, 40, errors=1)
    keep(workspace, "canary", 2, 20, errors=3)
    tend(workspace)
    workspace.close()
    (task,) = cli(folder, "status", "--json").json["tasks"]
    assert task["canary"]["canary"] == {"requests": 20, "errors": 3, "reviews": 3}
    shown = cli(folder, "status").out
    assert (
        "canary: intents@2 has 33%, running; 20 requests to the canary (3 without an answer, 3 for a person)" in shown
    )


def test_without_a_candidate_or_a_champion_nothing_begins(copy_of_trained):
    set_share(copy_of_trained, 0.1)
    workspace = Workspace(copy_of_trained)
    tend(workspace)
    registry.move_alias(workspace, "intents", registry.CANDIDATE, 1, action="evaluate")
    tend(workspace)
    assert releases.last_canary(workspace, "intents") is None
    assert inhouse.status(workspace)["tasks"][0]["canary"] is None
    workspace.close()


def test_more_than_half_is_no_canary(copy_of_trained):
    set_share(copy_of_trained, 0.6)
    with pytest.raises(ConfigError, match="canary"):
        Workspace(copy_of_trained)
