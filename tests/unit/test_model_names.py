"""Names that fine-tuning jobs give to versions: who answers by them, how they are listed, and what deleting one does."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from inhouse import api, pipeline
from inhouse.deploy import Dispatcher
from inhouse.errors import ModelNotFound
from inhouse.store import Workspace, audit, keys, model_names, registry

NAME = "ft:tiny:inhouse:bank:0123abcd"
CHECKPOINT = f"{NAME}:ckpt-step-8"
OF_CHAMPION = "ft:tiny:inhouse::99999999"


@pytest.fixture
def workspace(copy_of_trained, monkeypatch):
    """With names for `intents@2` (and its checkpoint, `intents@3`), which equal `intents@1`, the champion."""
    monkeypatch.setenv("INHOUSE_THREADS", "1")
    workspace = Workspace(copy_of_trained)
    first = registry.find_version(workspace, "intents", 1)
    for name in (CHECKPOINT, NAME):
        model_names.add(workspace, name, "intents", registry.add_version(workspace, first).number, "ftjob-1")
    model_names.add(workspace, OF_CHAMPION, "intents", 1, "ftjob-2")
    yield workspace
    workspace.close()


@pytest.fixture
def client(workspace):
    with TestClient(api.make_app(workspace)) as client:
        yield client


def ask(client, model, **head):
    body = {"model": model, "messages": [{"role": "user", "content": "where is my card"}]}
    return client.post("/v1/chat/completions", json=body, **head)


def test_names_are_listed_after_tasks_and_answer(client):
    listed = client.get("/v1/models").json()["data"]
    names = [one["id"] for one in listed]
    assert names[-7:] == ["intents", "intents@1", "intents@2", "intents@3", CHECKPOINT, NAME, OF_CHAMPION]
    assert names.index("tiny") < names.index("intents")
    assert {one["id"]: one["root"] for one in listed}[NAME] == "intents@3"
    assert client.get(f"/v1/models/{CHECKPOINT}").json()["root"] == "intents@2"
    for name, version in ((NAME, "intents@3"), (CHECKPOINT, "intents@2")):
        answer = ask(client, name).json()
        assert (answer["model"], answer["choices"][0]["message"]["content"]) == (name, "card_arrival")
        assert answer["inhouse"]["model_version"] == version


def test_a_deleted_name_and_those_of_its_checkpoints_mean_nothing_any_more(client, workspace):
    gone = client.delete(f"/v1/models/{NAME}")
    assert gone.json() == {"id": NAME, "object": "model", "deleted": True}
    for name in (NAME, CHECKPOINT):
        answers = (ask(client, name), client.get(f"/v1/models/{name}"), client.delete(f"/v1/models/{name}"))
        assert [(a.status_code, a.json()["error"]["code"]) for a in answers] == [(404, "model_not_found")] * 3
    assert ask(client, "intents@3").status_code == 200  # the version is its task's
    assert [one["id"] for one in client.get("/v1/models").json()["data"]][-1] == OF_CHAMPION
    entry = audit.entries(workspace, NAME, newest=1)[0]
    assert (entry.action, entry.detail) == ("delete model", {"versions": ["intents@2", "intents@3"]})


def test_a_checkpoint_is_deleted_alone(client):
    assert client.delete(f"/v1/models/{CHECKPOINT}").status_code == 200
    assert (ask(client, CHECKPOINT).status_code, ask(client, NAME).status_code) == (404, 200)


def test_what_serves_and_what_no_job_named_is_not_deleted(client, workspace):
    refused = client.delete(f"/v1/models/{OF_CHAMPION}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_in_use")
    assert "inhouse rollback intents" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"  # clients take 409 for a lock, and try again
    registry.move_alias(workspace, "intents", registry.CHAMPION, 2, action="promote")
    refused = client.delete(f"/v1/models/{NAME}")
    assert (refused.status_code, CHECKPOINT in refused.json()["error"]["message"]) == (409, True)
    for name in ("intents", "intents@1", "tiny"):
        refused = client.delete(f"/v1/models/{name}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_deletable")
    assert client.delete("/v1/models/ft:x").status_code == 404
    assert ask(client, NAME).status_code == 200


def test_a_name_is_given_once_and_to_one_version(workspace):
    model_names.add(workspace, NAME, "intents", 3, "ftjob-1")
    assert model_names.find(workspace, NAME) == ("intents", 3)
    with pytest.raises(Exception, match="UNIQUE"):
        model_names.add(workspace, NAME, "intents", 1, "ftjob-1")


def test_a_failed_parity_gate_is_not_served_by_any_name(client, workspace):
    version = registry.find_version(workspace, "intents", 3)
    failed = version.parity.model_copy(update={"passed": False, "reason": "for the test"})
    registry.update_version(workspace, version.model_copy(update={"parity": failed}))
    refused = ask(client, NAME)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "parity_failed")
    assert NAME not in [one["id"] for one in client.get("/v1/models").json()["data"]]


def test_a_key_asks_and_deletes_the_names_of_its_own_tasks(client, workspace):
    pipeline.init(workspace, "letters")

    def key(name, scopes, tasks):
        return {"headers": {"authorization": f"Bearer {keys.create(workspace, name, scopes=scopes, tasks=tasks)[1]}"}}

    own, other = key("a", ["infer"], ["intents"]), key("b", ["infer", "train"], ["letters"])
    assert ask(client, NAME, **own).status_code == 200
    for name in (NAME, "ft:tiny:inhouse::nothing"):
        for refused in (ask(client, name, **other), client.delete(f"/v1/models/{name}", **other)):
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert client.delete(f"/v1/models/{NAME}", **own).json()["error"]["code"] == "missing_scope"
    assert [one["id"] for one in client.get("/v1/models", **own).json()["data"]][-1] == OF_CHAMPION
    assert client.get("/v1/models", **other).json()["data"] == []


def test_what_is_not_there_is_told_with_what_is(workspace):
    with pytest.raises(ModelNotFound, match="deleted"):
        Dispatcher(workspace).choose("ft:tiny:inhouse:bank:ffffffff")
