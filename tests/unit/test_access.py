"""Access keys: who is let in, to what, how often; and the log of who did what."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import openai
import pytest
from fastapi import APIRouter
from servers import start
from sqlalchemy import select, update
from starlette.testclient import TestClient

import inhouse
from inhouse import api
from inhouse.api import app as app_module
from inhouse.api import caller
from inhouse.api.limits import Buckets
from inhouse.core import Task
from inhouse.errors import NotFound, UsageError
from inhouse.store import Workspace, audit, keys, tables

OPEN = {"/health", "/ready"}


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(tmp_path / "models"))  # no base is here
    monkeypatch.setattr(caller, "FRESH", 0.0)
    workspace = Workspace(tmp_path / "workspace")
    workspace.create()
    for name in ("tickets", "invoices"):
        workspace.save_task(Task(name=name))
    yield workspace
    workspace.close()


@pytest.fixture
def client(workspace):
    with TestClient(api.make_app(workspace)) as client:
        yield client


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def operations(app):
    """Every operation of the OpenAPI document: method, path with its blanks filled in, what it says of security."""
    for path, methods in app.openapi()["paths"].items():
        for method, told in methods.items():
            yield method.upper(), re.sub(r"\{[^}]*\}", "x", path), told.get("security")


# ---------------------------------------------------------------------- keys


def test_a_key_is_shown_once_and_kept_as_a_hash(workspace):
    key, secret = keys.create(workspace, "shop")
    assert re.fullmatch(r"sk-inhouse-[\w-]{43}", secret)
    assert secret.endswith(key.hint)
    assert len(key.hint) == 4
    workspace.close()
    for file in workspace.paths.root.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()
    with workspace.database.read() as connection:
        assert connection.scalars(select(tables.api_keys.c.hash)).all() == [keys.hash_of(secret)]
    assert keys.every(workspace) == [key]


def test_no_two_keys_in_force_have_one_name(workspace):
    first, _ = keys.create(workspace, "shop")
    with pytest.raises(UsageError, match="a key named 'shop' is in force"):
        keys.create(workspace, " shop ")
    assert keys.revoke(workspace, "shop").id == first.id
    second, _ = keys.create(workspace, "shop")
    assert [key.in_force for key in keys.every(workspace)] == [False, True]
    assert keys.revoke(workspace, second.id).revoked_at
    with pytest.raises(NotFound, match="no key in force is called 'shop'"):
        keys.revoke(workspace, "shop")


@pytest.mark.parametrize(
    ("name", "wish", "told"),
    [
        ("", {}, "cannot be a key's name"),
        ("a\nb", {}, "cannot be a key's name"),
        ("a" * 101, {}, "cannot be a key's name"),
        ("a", {"scopes": ["infer", "trian"]}, "unknown scope 'trian'"),
        ("a", {"per_minute": 0}, "0 requests a minute"),
        ("a", {"days": 0}, "0 days"),
        ("a", {"days": 10**7}, "10000000 days"),
        ("a", {"tasks": ["tikets"]}, "tikets"),
    ],
)
def test_what_no_key_can_be_made_of(workspace, name, wish, told):
    with pytest.raises((UsageError, NotFound), match=told):
        keys.create(workspace, name, **wish)
    assert keys.every(workspace) == []
    assert audit.entries(workspace, newest=0) == []


# ---------------------------------------------------------------------- who is let in


def test_while_no_key_exists_any_request_is_let_in(client):
    assert client.get("/v1/models").status_code == 200
    assert client.get("/v1/models", headers=bearer("none")).status_code == 200


def test_from_the_first_key_on_every_request_needs_one(client, workspace):
    _, secret = keys.create(workspace, "shop", scopes=["admin"])
    for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}):
        answer = client.get("/v1/models", headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")
        assert "You didn't provide an API key" in answer.json()["error"]["message"]
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["x-request-id"].startswith("req_")
    for wrong in (f"{secret}x", secret[:-1], secret.upper(), "none", keys.hash_of(secret)):
        answer = client.get("/v1/models", headers=bearer(wrong))
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert wrong not in answer.text or len(wrong) < 5
    assert client.get("/v1/models", headers=bearer(secret)).status_code == 200


def test_a_body_is_not_read_before_its_sender_is_known(client, workspace):
    keys.create(workspace, "shop")
    answer = client.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_key_that_is_no_more_in_force_opens_nothing_even_where_it_was_the_last(client, workspace, end):
    _, secret = keys.create(workspace, "shop", days=1)
    assert client.get("/v1/models", headers=bearer(secret)).status_code == 200
    if end == "revoked":
        keys.revoke(workspace, "shop")
    else:
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="microseconds")
        with workspace.database.begin() as connection:
            connection.execute(update(tables.api_keys).values(expires_at=past))
    for headers in (bearer(secret), {}):
        assert client.get("/v1/models", headers=headers).status_code == 401


def test_keys_that_cannot_be_read_let_nobody_in(client, workspace, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def broken(_workspace):
        raise OperationalError("select", {}, Exception("disk I/O error"))

    monkeypatch.setattr(keys, "by_hash", broken)
    answer = client.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


# ---------------------------------------------------------------------- scopes


def test_every_operation_asks_for_a_scope_and_refuses_a_key_without_it(workspace):
    app = api.make_app(workspace)
    secrets = {scope: keys.create(workspace, scope, scopes=[scope])[1] for scope in keys.SCOPES}
    seen = set()
    with TestClient(app) as client:
        for method, path, security in operations(app):
            if path in OPEN:
                assert security is None
                assert client.request(method, path).status_code != 401
                continue
            assert client.request(method, path).status_code == 401, path
            ((name, scopes),) = [pair for one in security for pair in one.items()]
            assert (name, set(scopes) <= set(keys.SCOPES)) == ("key", True)
            seen.update(scopes)
            for other in set(keys.SCOPES) - {*scopes, "admin"}:
                answer = client.request(method, path, headers=bearer(secrets[other]))
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope"), (path, other)
                assert f"Missing scope: {' or '.join(scopes)}" in answer.json()["error"]["message"]
            for fit in (*scopes, "admin"):
                assert client.request(method, path, headers=bearer(secrets[fit])).status_code not in (401, 403), path
    assert seen >= {"infer", "review", "train"}


def test_a_route_that_asks_for_no_scope_is_not_served(workspace, monkeypatch):
    bare = APIRouter()
    bare.get("/v1/bare")(lambda: {})
    monkeypatch.setattr(app_module, "ROUTERS", (*app_module.ROUTERS, bare))
    with pytest.raises(RuntimeError, match="/v1/bare asks for no scope"):
        api.make_app(workspace)


# ---------------------------------------------------------------------- tasks


def test_a_key_of_one_task_learns_nothing_of_the_others(client, workspace):
    _, secret = keys.create(workspace, "shop", scopes=["admin"], tasks=["tickets"])
    own, other = bearer(secret), {"messages": [{"role": "user", "content": "x"}]}
    for model in ("invoices", "invoices@3", "smollm2-135m-instruct", "no-such"):
        for answer in (
            client.post("/v1/chat/completions", json={"model": model, **other}, headers=own),
            client.post("/v1/completions", json={"model": model, "prompt": "x"}, headers=own),
            client.get(f"/v1/models/{model}", headers=own),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    answer = client.post("/v1/chat/completions", json={"model": "tickets", **other}, headers=own)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")  # nothing is trained yet
    assert "invoices" not in answer.text
    answer = client.post("/v1/embeddings", json={"model": "all-minilm-l6-v2", "input": "x"}, headers=own)
    assert answer.status_code == 403


# ---------------------------------------------------------------------- limits


def test_a_key_is_slowed_down_to_its_limit(client, workspace):
    _, slow = keys.create(workspace, "slow", per_minute=2)
    _, free = keys.create(workspace, "free")
    told = [client.get("/v1/models", headers=bearer(slow)) for _ in range(3)]
    assert [answer.status_code for answer in told] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in told] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in told} == {"2"}
    assert all(answer.headers["x-ratelimit-reset-requests"].endswith("s") for answer in told)
    assert 1 <= int(told[-1].headers["retry-after"]) <= 30
    assert "retry-after" not in told[0].headers
    error = told[-1].json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
    unlimited = client.get("/v1/models", headers=bearer(free))
    assert unlimited.status_code == 200
    assert not [name for name in unlimited.headers if name.startswith("x-ratelimit")]


def test_a_bucket_fills_as_time_goes_on():
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    key = keys.ApiKey("key_1", "a", "", ("infer",), None, 60, "")
    assert [buckets.take(key).seconds for _ in range(60)] == [0.0] * 60
    assert buckets.take(key).seconds == pytest.approx(1.0)
    assert buckets.take(key).seconds == pytest.approx(1.0)  # a refused request costs nothing
    now[0] += 1.01
    assert buckets.take(key).seconds == 0.0
    assert buckets.take(key).seconds > 0
    now[0] += 3600
    assert (buckets.take(key).requests, buckets.take(None)) == (59, None)


# ---------------------------------------------------------------------- a real server, the real client


def test_the_official_client_with_and_without_a_key(copy_of_trained, environment):
    workspace = Workspace(copy_of_trained)
    _, secret = keys.create(workspace, "shop", tasks=["intents"])
    _, reviewer = keys.create(workspace, "anna", scopes=["review"])
    server = start(copy_of_trained, environment)
    try:

        def ask(key):
            with openai.OpenAI(base_url=server.url, api_key=key, max_retries=0, timeout=60) as client:
                messages = [{"role": "user", "content": "where is my card now"}]
                return client.chat.completions.create(model="intents", messages=messages)

        assert ask(secret).choices[0].message.content == "card_arrival"
        with pytest.raises(openai.PermissionDeniedError) as forbidden:
            ask(reviewer)
        assert forbidden.value.code == "missing_scope"
        with pytest.raises(openai.AuthenticationError) as unknown:
            ask("sk-inhouse-wrong")
        assert unknown.value.code == "invalid_api_key"
        with openai.OpenAI(base_url=server.url, api_key=secret, max_retries=0) as client:
            assert [model.id for model in client.models.list()] == ["intents", "intents@1"]
    finally:
        server.kill()
        workspace.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_is_refused_without_a_key_in_force(host, workspace, command):
    keys.create(workspace, "old")
    keys.revoke(workspace, "old")
    done = command(workspace.paths.root, "serve", "--host", host, "--port", "0")
    assert done.code == 3
    assert f"{host} can be reached from other machines, and no access key is in force" in done.err
    assert "inhouse keys create NAME" in done.err


def test_an_empty_host_in_the_settings_is_every_address_and_refused_too(workspace, command):
    with workspace.paths.config.open("a") as config:
        config.write("\n")
    text = workspace.paths.config.read_text().replace('host = "127.0.0.1"', 'host = ""')
    workspace.paths.config.write_text(text)
    done = command(workspace.paths.root, "serve", "--port", "0")
    assert done.code == 3
    assert "no access key is in force" in done.err


# ---------------------------------------------------------------------- the commands


def test_the_commands(workspace, cli):
    folder = workspace.paths.root
    assert "no key was made yet" in cli(folder, "keys", "list").out
    made = cli(
        folder, "keys", "create", "shop", "--scope", "review", "--task", "tickets", "--per-minute", 9, "--json"
    ).json
    assert made["key"].startswith("sk-inhouse-")
    assert (made["scopes"], made["tasks"], made["per_minute"]) == (["review"], ["tickets"], 9)
    shown = cli(folder, "keys", "create", "anna", "--days", 30).out
    assert shown.startswith("sk-inhouse-")
    assert "shown this once" in shown
    listed = cli(folder, "keys", "list")
    assert made["key"] not in listed.out
    assert "review on tickets, 9 a minute" in listed.out
    assert "infer on everything" in listed.out
    assert made["key"] not in cli(folder, "keys", "list", "--json").out
    assert cli(folder, "keys", "revoke", "shop", "--json").json["in_force"] is False
    assert "revoked" in cli(folder, "keys", "list").out
    wrong = cli(folder, "keys", "revoke", "anma")
    assert (wrong.code, "did you mean `anna`?" in wrong.err) == (3, True)


# ---------------------------------------------------------------------- the audit log


def test_the_log_says_who_trained_promoted_rolled_back_and_erased(copy_of_trained, cli, tmp_path):
    workspace = Workspace(copy_of_trained)
    before = audit.entries(workspace, newest=0)
    assert [(e.action, e.subject) for e in before] == [("train", "intents@1"), ("promote", "intents@1")]
    with audit.acting_as("key shop (key_1)"):
        inhouse.promote(workspace, "intents", force=True, reason="again")
    inhouse.forget(workspace, "intents", match="in spain", yes=False)  # only looks
    inhouse.forget(workspace, "intents", match="in spain", yes=True)
    *_, promoted, forgot = audit.entries(workspace, "intents", newest=0)
    assert (promoted.actor, promoted.action, promoted.detail["reason"]) == ("key shop (key_1)", "promote", "again")
    assert (promoted.detail["forced"], promoted.detail["before"]) == (True, 1)
    assert forgot.actor.startswith("user ")
    assert (forgot.action, forgot.subject, forgot.detail) == ("forget", "intents", {"rows": 12, "pooled": 0})
    assert len(audit.entries(workspace, newest=0)) == 4
    workspace.close()
    told = cli(copy_of_trained, "audit", "--newest", 1).out
    assert "forget" in told
    assert "promote" not in told
    assert len(cli(copy_of_trained, "audit", "--subject", "intents@1", "--json").json["entries"]) == 3


def test_the_log_knows_keys_and_never_their_secrets(workspace, cli):
    key, secret = keys.create(workspace, "shop", per_minute=5)
    keys.revoke(workspace, "shop")
    made, ended = audit.entries(workspace, key.id, newest=0)
    assert (made.action, made.detail["name"], made.detail["per_minute"]) == ("keys create", "shop", 5)
    assert ended.action == "keys revoke"
    assert secret not in json.dumps([e.as_dict() for e in (made, ended)])
    assert cli(workspace.paths.root, "audit").out.count("shop") == 2


def test_what_was_not_done_is_not_logged(workspace):
    with pytest.raises(NotFound):
        inhouse.rollback(workspace, "tickets")
    assert audit.entries(workspace, newest=0) == []


def test_a_user_without_a_name_is_told_by_number(workspace, monkeypatch):
    monkeypatch.setattr(audit.getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("uid")))
    audit.note(workspace, "forget", "tickets")
    assert audit.entries(workspace, newest=1)[0].actor == f"user {os.getuid()}"


def test_help_of_keys_loads_no_database():
    code = (
        "import sys\nfrom inhouse.cli import main\ntry:\n    main(['keys', '--help'])\nexcept SystemExit:\n    pass\n"
    )
    code += "assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
