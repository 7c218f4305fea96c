"""Batches: files of requests that are answered as the server answers them, once each, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from clients import CLIENTS, run_script
from fastapi.testclient import TestClient
from letters import add_letters
from servers import served_copy
from sqlalchemy import update

from inhouse import api, pipeline
from inhouse.api import batches
from inhouse.deploy import ServedModel
from inhouse.pipeline.jobs.batches import check_batch
from inhouse.store import Workspace, files, jobs, keys, tables, traffic
from inhouse.store.batch_answers import Answers

CHAT = "/v1/chat/completions"
WORK = """
import sys
from pathlib import Path
from inhouse.api.batches import answer_batch
from inhouse.store import Workspace, jobs
workspace = Workspace(Path(sys.argv[1]))
job = jobs.lease(workspace, jobs.new_owner(workspace), ["batch"])
answer_batch(workspace, job)
"""


def ask(name, text, model="intents", url=CHAT, **wishes):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **wishes}
    return {"custom_id": name, "method": "POST", "url": url, "body": body}


def lines(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def workspace(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("INHOUSE_THREADS", "1")
    workspace = Workspace(shutil.copytree(trained, tmp_path / "w"))
    yield workspace
    workspace.close()


@pytest.fixture
def client(workspace):
    with TestClient(api.make_app(workspace)) as client:
        yield client


def create(client, *rows, endpoint=CHAT, head=None, **wish):
    head = head or {}
    sent = {"files": {"file": ("a.jsonl", lines(*rows))}, "data": {"purpose": "batch"}}
    file = client.post("/v1/files", **sent, headers=head).json()["id"]
    body = {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h", **wish}
    return client.post("/v1/batches", json=body, headers=head).json()


def work(workspace):
    """Do what a worker would with the next batch."""
    owner = jobs.new_owner(workspace)
    job = jobs.lease(workspace, owner, ["batch"])
    batches.answer_batch(workspace, job)


def content(client, name):
    return [json.loads(line) for line in client.get(f"/v1/files/{name}/content").text.splitlines()] if name else []


@pytest.mark.parametrize("line", CLIENTS)
def test_a_batch_through_either_line_of_the_official_client(line, tmp_path, trained, environment):
    with served_copy(trained, tmp_path, environment, add_letters) as server:
        rows = [
            ("b", {"model": "letters", "messages": [{"role": "user", "content": "where is my card"}]}),
            ("a", {"model": "intents", "messages": [{"role": "user", "content": "where is my card"}]}),
            ("c", {"model": "nobody", "messages": [{"role": "user", "content": "where is my card"}]}),
            ("d", {"model": "intents", "messages": [{"role": "user", "content": "new pin please"}], "stream": True}),
        ]
        told = run_script("batches.py", line, server.url, json.dumps(rows))  # the server starts a worker for it
        direct = server.post(CHAT, **rows[0][1])[2]
        workspace = Workspace(server.folder)
        kept = {one.id: one for task in ("letters", "intents") for one in traffic.traces(workspace, task)}
        workspace.close()
    made, batch = told["made"], told["batch"]
    assert (made["id"][:6], made["object"], made["status"]) == ("batch_", "batch", "validating")
    assert made["expires_at"] - made["created_at"] == 86_400
    assert (batch["status"], batch["metadata"], told["listed"]) == ("completed", {"month": "11"}, [made["id"]])
    assert batch["request_counts"] == {"total": 4, "completed": 2, "failed": 2}
    assert batch["created_at"] <= batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"]
    assert [one["custom_id"] for one in told["output"]] == ["b", "a"]  # in the order of the requests
    letters, label = (one["response"]["body"] for one in told["output"])
    assert letters["choices"][0]["message"] == direct["choices"][0]["message"]
    assert label["choices"][0]["message"]["content"] == "card_arrival"
    assert kept[letters["id"]].output == letters["choices"][0]["message"]["content"]
    assert kept[label["id"]].model_version == "intents@1"
    unknown, streamed = told["errors"]
    assert (unknown["response"]["status_code"], unknown["response"]["request_id"][:4]) == (404, "req_")
    assert unknown["response"]["body"]["error"]["code"] == "model_not_found"
    assert (streamed["response"]["status_code"], streamed["response"]["body"]["error"]["param"]) == (400, "stream")
    assert told["refused"] == [409, "Cannot cancel a batch with status 'completed'."]


def test_completions_and_embeddings_are_answered_too(client, workspace):
    body = {"model": "tiny", "prompt": "where is", "max_tokens": 4}
    made = create(
        client, {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": body}, endpoint="/v1/completions"
    )
    work(workspace)
    done = client.get(f"/v1/batches/{made['id']}").json()
    (answer,) = content(client, done["output_file_id"])
    assert (
        answer["response"]["body"]["choices"][0]["text"]
        == client.post("/v1/completions", json=body).json()["choices"][0]["text"]
    )
    body = {"model": "no-encoder", "input": "x"}
    made = create(
        client, {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": body}, endpoint="/v1/embeddings"
    )
    work(workspace)
    done = client.get(f"/v1/batches/{made['id']}").json()
    assert (done["output_file_id"], done["request_counts"]["failed"]) == (None, 1)
    (answer,) = content(client, done["error_file_id"])
    assert answer["response"]["body"] == client.post("/v1/embeddings", json=body).json()


@pytest.mark.parametrize(
    ("row", "code", "param"),
    [
        ({"method": "POST", "url": CHAT, "body": {}}, "missing_required_parameter", "custom_id"),
        ({**ask("b", "x"), "body": None}, "missing_required_parameter", "body"),
        ({**ask("b", "x"), "custom_id": 3}, "invalid_custom_id", "custom_id"),
        (ask("a", "x"), "duplicate_custom_id", "custom_id"),
        ({**ask("b", "x"), "method": "GET"}, "invalid_method", "method"),
        (ask("b", "x", url="/v1/embeddings"), "invalid_url", "url"),
        ({**ask("b", "x"), "body": [1]}, "invalid_body", "body"),
        ({**ask("b", "x"), "colour": 1}, "unknown_parameter", "colour"),
    ],
)  # fmt: skip
def test_a_wrong_line_fails_the_batch_before_anything_is_answered(client, workspace, row, code, param):
    made = create(client, ask("a", "where is my card"), row)
    work(workspace)
    done = client.get(f"/v1/batches/{made['id']}").json()
    assert (done["status"], done["output_file_id"], done["failed_at"] is None) == ("failed", None, False)
    (fault,) = done["errors"]["data"]
    assert (done["errors"]["object"], fault["code"], fault["param"], fault["line"]) == ("list", code, param, 2)
    assert not list(workspace.paths.batches.glob("*"))


def test_what_is_wrong_with_a_whole_file(tmp_path, monkeypatch):
    (path := tmp_path / "f").write_bytes(b"\n")
    assert [fault.code for fault in check_batch(path, CHAT)[0]] == ["empty_file"]
    path.write_bytes(b"\xff\n{}")
    assert [(fault.code, fault.line) for fault in check_batch(path, CHAT)[0]] == [
        ("invalid_json_line", 1),
        ("missing_required_parameter", 2),
    ]
    monkeypatch.setattr("inhouse.pipeline.jobs.batches.MOST_REQUESTS", 2)
    path.write_bytes(lines(*(ask(str(n), "x") for n in range(3))))
    assert [fault.code for fault in check_batch(path, CHAT)[0]] == ["too_many_tasks"]


def test_wrong_requests_for_a_batch_are_refused(client, workspace):
    file = files.add_file(workspace, b"{}\n", "a", "fine-tune").id
    good = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    for change, status, param in (
        ({}, 400, "input_file_id"),
        ({"input_file_id": "file-x"}, 404, None),
        ({"endpoint": "/v1/responses"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"metadata": {"k" * 65: "v"}}, 400, None),
    ):
        answer = client.post("/v1/batches", json={**good, **change})
        assert answer.status_code == status, answer.text
        assert param in (None, answer.json()["error"]["param"])
    assert client.get("/v1/batches/batch_x").status_code == 404
    assert client.post("/v1/batches/batch_x/cancel").status_code == 404


def test_a_request_that_the_client_sends_again_makes_no_second_batch(client):
    made = create(client, ask("a", "x"))
    body = {"input_file_id": made["input_file_id"], "endpoint": CHAT, "completion_window": "24h"}
    again = client.post("/v1/batches", json=body, headers={"x-stainless-retry-count": "1"}).json()
    other = client.post("/v1/batches", json=body, headers={"x-stainless-retry-count": "0"}).json()
    assert (again["id"], other["id"] == made["id"]) == (made["id"], False)
    assert [one["id"] for one in client.get("/v1/batches").json()["data"]] == [other["id"], made["id"]]


# ---------------------------------------------------------------------- broken off, ended, forgotten


def test_killed_at_any_moment_it_answers_no_line_twice(client, workspace, environment):
    texts = ["where is my card", "new pin please", "transfer error", "my card has not arrived"]
    made = create(client, *(ask(f"n{n}", texts[n % 4]) for n in range(400)))
    path, kills = workspace.paths.batches / f"{made['id']}.jsonl", 0
    command = [sys.executable, "-c", WORK, str(workspace.paths.root)]
    for _ in range(20):
        with workspace.database.begin() as connection:  # what the worker does for one that is gone
            connection.execute(update(tables.jobs).values(lease_until=None, lease_owner=None))
        process = subprocess.Popen(command, env=environment)
        before = path.stat().st_size if path.exists() else 0
        while process.poll() is None and not (path.exists() and path.stat().st_size > before):
            time.sleep(0.01)
        if kills < 3:
            time.sleep(0.05)
            process.kill()
            kills += process.wait() < 0
            with path.open("ab") as file:  # a line that it was about to write
                file.write(b'{"id": "batch_req_x", "custom_')
        elif process.wait() == 0:
            break
    done = client.get(f"/v1/batches/{made['id']}").json()
    assert (kills, done["status"], done["request_counts"]) == (
        3,
        "completed",
        {"total": 400, "completed": 400, "failed": 0},
    )
    answers = content(client, done["output_file_id"])
    assert [one["custom_id"] for one in answers] == [f"n{n}" for n in range(400)]
    known = {one.id for one in traffic.traces(workspace, "intents")}
    assert {one["response"]["body"]["id"] for one in answers} <= known
    assert not list(workspace.paths.batches.glob("*"))


@pytest.mark.parametrize("outcome", ["cancelled", "expired"])
def test_what_is_not_answered_when_it_ends_early_is_told(client, workspace, outcome):
    made = create(client, ask("a", "where is my card"), ask("b", "new pin please"))
    answers = Answers(workspace.paths.batches / f"{made['id']}.jsonl")
    answers.add({"id": "batch_req_1", "custom_id": "b", "response": {"status_code": 200, "body": {}}, "error": None})
    if outcome == "cancelled":
        told = client.post(f"/v1/batches/{made['id']}/cancel").json()
        assert told["status"] == "cancelling"
    else:
        past = (datetime.now(UTC) - timedelta(days=1, seconds=1)).isoformat(timespec="microseconds")
        with workspace.database.begin() as connection:
            connection.execute(update(tables.jobs).values(created_at=past))
    work(workspace)
    done = client.get(f"/v1/batches/{made['id']}").json()
    assert (done["status"], done[f"{outcome}_at"] is None) == (outcome, False)
    assert [one["custom_id"] for one in content(client, done["output_file_id"])] == ["b"]
    (left,) = content(client, done["error_file_id"])
    assert (left["custom_id"], left["response"], left["error"]["code"]) == ("a", None, f"batch_{outcome}")


def test_a_cancelled_batch_begins_no_further_request(client, workspace, monkeypatch):
    made = create(client, *(ask(f"n{n}", "where is my card") for n in range(200)))
    monkeypatch.setattr(batches, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(batches, "AT_ONCE", 2)
    answered = batches._answered

    async def slowly(*arguments):
        if client.get(f"/v1/batches/{made['id']}").json()["status"] != "cancelling":
            client.post(f"/v1/batches/{made['id']}/cancel")
        await asyncio.sleep(0.1)
        return await answered(*arguments)

    monkeypatch.setattr(batches, "_answered", slowly)
    work(workspace)
    done = client.get(f"/v1/batches/{made['id']}").json()
    counts = done["request_counts"]
    assert (done["status"], 0 < counts["completed"] < 10) == ("cancelled", True)
    assert counts["completed"] + counts["failed"] == 200


def test_an_engine_that_hangs_holds_no_batch_that_is_to_end(client, workspace, monkeypatch):
    made = create(client, *(ask(f"n{n}", "where is my card") for n in range(3)))
    monkeypatch.setattr(batches, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(batches, "LATE_SECONDS", 0.2)

    def hang(self, question, options=None, *, left, **_):
        client.post(f"/v1/batches/{made['id']}/cancel")
        left.result(60)  # until nobody waits any more
        yield "", None

    monkeypatch.setattr(ServedModel, "stream", hang)
    work(workspace)
    done = client.get(f"/v1/batches/{made['id']}").json()
    assert (done["status"], done["output_file_id"]) == ("cancelled", None)
    assert [one["error"]["code"] for one in content(client, done["error_file_id"])] == ["batch_cancelled"] * 3


def test_forget_reaches_the_answers_of_a_batch_under_way(client, workspace):
    made = create(client, ask("a", "where is Jane Doe"), ask("b", "new pin please"), metadata={"of": "Jane Doe"})
    answers = Answers(workspace.paths.batches / f"{made['id']}.jsonl")
    for name, text in (("a", "about Jane Doe"), ("b", "change_pin")):
        answers.add({"id": name, "custom_id": name, "response": {"status_code": 200, "body": text}, "error": None})
    done = pipeline.forget(workspace, "intents", match="Jane Doe", yes=True)
    assert (done.file_lines, done.remaining) == (2, ())
    work(workspace)
    batch = client.get(f"/v1/batches/{made['id']}").json()
    assert [one["custom_id"] for one in content(client, batch["output_file_id"])] == ["b"]


def test_a_key_bound_to_tasks_sees_its_own_batches_and_asks_its_own_models(client, workspace):
    def key(name, **bound):
        return {"Authorization": f"Bearer {keys.create(workspace, name, **bound)[1]}"}

    bound, other, everything = key("a", tasks=["intents"]), key("b", tasks=["intents"]), key("c")
    made = create(client, ask("a", "where is my card"), ask("b", "x", model="tiny"), head=bound)
    work(workspace)
    for head, status in ((bound, 200), (other, 404), (everything, 200)):
        assert client.get(f"/v1/batches/{made['id']}", headers=head).status_code == status
        assert len(client.get("/v1/batches", headers=head).json()["data"]) == (status == 200)
    done = client.get(f"/v1/batches/{made['id']}", headers=bound).json()
    assert done["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    refused = client.get(f"/v1/files/{done['error_file_id']}/content", headers=bound).json()
    assert refused["response"]["body"]["error"]["code"] == "model_not_allowed"
    made = create(client, ask("a", "where is my card"), head=bound)
    keys.revoke(workspace, "a")
    work(workspace)
    failed = client.get(f"/v1/batches/{made['id']}", headers=everything).json()
    assert (failed["status"], "revoked" in failed["errors"]["data"][0]["message"]) == ("failed", True)
