"""The fine-tuning API: a user's script through the official clients, what is refused, and jobs that are ended, paused,
killed and wrong."""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import many_intents
from fastapi.testclient import TestClient

from inhouse import api
from inhouse.pipeline.jobs import fine_tuning
from inhouse.store import Workspace, audit, files, jobs, keys

JOBS = "/v1/fine_tuning/jobs"
AGAIN = {"x-stainless-retry-count": "1"}


def conversation(text, answer):
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]}


def lines(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


INTENTS = lines(conversation(row["text"], row["category"]) for row in many_intents())


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


def upload(workspace, content=INTENTS, name="train.jsonl", key=""):
    return files.add_file(workspace, content, name, "fine-tune", key).id


def create(client, workspace, content=INTENTS, **wish):
    answer = client.post(JOBS, json={"model": "tiny", "training_file": upload(workspace, content), **wish})
    assert answer.status_code == 200, answer.text
    return answer.json()


def work(workspace):
    """Do what a worker would with the next job."""
    fine_tuning.fine_tune(workspace, jobs.lease(workspace, jobs.new_owner(workspace), ["fine-tune"]))


def told(client, job):
    """What was said of a job but its steps, the oldest first."""
    events = client.get(f"{JOBS}/{job}/events", params={"limit": 100}).json()["data"]
    return [(one["level"], one["message"]) for one in reversed(events) if one["type"] == "message"]


# ---------------------------------------------------------------------- what is asked, and refused


def test_a_new_job_has_every_field_of_openais(client, workspace):
    job = create(client, workspace, suffix="Mail & Cards", metadata={"team": "a"})
    assert (job["id"][:6], len(job["id"]), job["object"]) == ("ftjob-", 30, "fine_tuning.job")
    auto = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    assert (job["hyperparameters"], job["method"]) == (
        auto,
        {"type": "supervised", "supervised": {"hyperparameters": auto}},
    )
    assert (job["status"], job["model"], job["metadata"]) == ("validating_files", "tiny", {"team": "a"})
    assert 0 <= job["seed"] < 2**31
    empty = ("validation_file", "fine_tuned_model", "finished_at", "trained_tokens", "estimated_finish", "error")
    assert [job[key] for key in empty] == [None] * 6
    assert (job["result_files"], job["user_provided_suffix"]) == ([], "Mail & Cards")
    assert told(client, job["id"]) == [("info", f"Created fine-tuning job: {job['id']}")]
    assert [(one.action, one.actor) for one in audit.entries(workspace, job["id"], newest=9)] == [
        ("create job", "no key")
    ]


def test_wishes_come_back_in_the_form_that_they_belong_to(client, workspace):
    older = create(client, workspace, hyperparameters={"n_epochs": 3}, seed=5)
    assert (older["hyperparameters"]["n_epochs"], older["seed"]) == (3, 5)
    wish = {"beta": 0.3, "learning_rate_multiplier": 2, "batch_size": 256}
    job = create(client, workspace, method={"type": "dpo", "dpo": {"hyperparameters": wish}})
    assert job["method"] == {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": "auto", **wish}}}
    assert "beta" not in job["hyperparameters"]


def hyper(**wish):
    return {"method": {"type": "supervised", "supervised": {"hyperparameters": wish}}}


def dpo(**wish):
    return {"method": {"type": "dpo", "dpo": {"hyperparameters": wish}}}


@pytest.mark.parametrize(
    ("wish", "param", "sentence"),
    [
        ({"model": "gpt-4o-mini"}, "model", "The model `gpt-4o-mini` does not exist"),
        ({"model": "intents"}, "model", "Base models here: "),
        ({"model": None}, "model", "Invalid type for 'model': expected a string, but got null instead."),
        ({"training_file": "file-x"}, "training_file", "No such File object: file-x"),
        ({"validation_file": "file-x"}, "validation_file", "No such File object: file-x"),
        ({"suffix": ""}, "suffix", "empty string"),
        ({"suffix": "x" * 65}, "suffix", "maximum length 64"),
        ({"suffix": "票"}, "suffix", "a letter a to z or a digit"),
        ({"seed": -1}, "seed", ">= 0"),
        ({"seed": 2**31}, "seed", "<= 2147483647"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "maximum length 512"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "16"),
        ({"colour": 1}, "colour", "Unrecognized request argument: colour"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations", "tracking.to"),
        ({"method": {"type": "reinforcement", "reinforcement": {"grader": {}}}}, "method.type", "no reinforcement"),
        ({"method": {"type": "supervised", "dpo": {}}}, "method.dpo", "`method.type` is supervised"),
        ({"method": {"type": "sft"}}, "method.type", "Invalid value for 'method.type': 'sft'"),
        ({"hyperparameters": {}, **hyper()}, "hyperparameters", "the older form"),
        (
            {"hyperparameters": {"lora_r": 8}},
            "hyperparameters.lora_r",
            "Unrecognized request argument: hyperparameters.lora_r",
        ),
        (hyper(lora=True), "method.supervised.hyperparameters.lora", "Unrecognized request argument"),
        (hyper(beta=0.1), "method.supervised.hyperparameters.beta", "Unrecognized request argument"),
        (hyper(n_epochs=0), "method.supervised.hyperparameters.n_epochs", "Expected a value >= 1, but got 0"),
        (hyper(n_epochs=51), "method.supervised.hyperparameters.n_epochs", "Expected a value <= 50, but got 51"),
        (hyper(n_epochs=1.5), "method.supervised.hyperparameters.n_epochs", "'auto' or an integer"),
        (hyper(n_epochs="all"), "method.supervised.hyperparameters.n_epochs", "'auto' or an integer"),
        (hyper(batch_size=257), "method.supervised.hyperparameters.batch_size", "<= 256"),
        (hyper(learning_rate_multiplier=0), "method.supervised.hyperparameters.learning_rate_multiplier", "> 0"),
        (hyper(learning_rate_multiplier="x"), None, "'auto' or a decimal number"),
        (dpo(beta=2.1), "method.dpo.hyperparameters.beta", "<= 2"),
        (dpo(beta=0), "method.dpo.hyperparameters.beta", "> 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(client, workspace, wish, param, sentence):
    body = {"model": "tiny", "training_file": upload(workspace), **wish}
    answer = client.post(JOBS, json=body)
    error = answer.json()["error"]
    assert answer.status_code == (404 if "file-x" in body.values() else 400)
    assert sentence in error["message"]
    assert param in (None, error["param"])
    assert (error["type"], client.get(JOBS).json()["data"]) == ("invalid_request_error", [])


def test_files_for_other_purposes_and_the_same_one_twice_are_refused(client, workspace):
    file, other = upload(workspace), files.add_file(workspace, b"{}\n", "a", "batch").id
    for wish, param, code in (
        ({"training_file": other}, "training_file", "invalid_purpose"),
        ({"training_file": file, "validation_file": other}, "validation_file", "invalid_purpose"),
        ({"training_file": file, "validation_file": file}, "validation_file", "invalid_value"),
    ):
        error = client.post(JOBS, json={"model": "tiny", **wish}).json()["error"]
        assert (error["param"], error["code"]) == (param, code)


def test_what_is_not_there(client, workspace):
    job = create(client, workspace)["id"]
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/resume"), ("GET", "/events")):
        error = client.request(method, f"{JOBS}/ftjob-x{path}").json()["error"]
        assert (error["code"], error["message"]) == ("fine_tune_not_found", "Could not find fine tune: ftjob-x")
    for path in (f"?after={job}x", f"/{job}/events?after=ftevent-9", f"/{job}/checkpoints?after=x"):
        assert client.get(f"{JOBS}{path}").status_code == 404
    for query in ("limit=0", "limit=101", "limit=x"):
        assert client.get(f"{JOBS}?{query}").json()["error"]["param"] == "limit"


def test_a_request_that_the_client_sends_again_makes_no_second_job(client, workspace):
    job = create(client, workspace)
    body = {"model": "tiny", "training_file": job["training_file"]}
    again = client.post(JOBS, json=body, headers=AGAIN).json()
    assert (again["id"], again["seed"]) == (job["id"], job["seed"])
    assert len(told(client, job["id"])) == 1
    assert client.post(JOBS, json=body).json()["id"] != job["id"]
    assert client.post(JOBS, json={**body, "seed": 1}, headers=AGAIN).json()["id"] != job["id"]


def test_pages_and_metadata(client, workspace):
    wishes = [{"metadata": {"team": "a", "n": "1"}}, {}, {"metadata": {"team": "b"}}, {"metadata": {"team": "a"}}]
    made = [create(client, workspace, **wish)["id"] for wish in wishes][::-1]
    page = client.get(JOBS, params={"limit": 3}).json()
    assert ([one["id"] for one in page["data"]], page["has_more"], page["object"]) == (made[:3], True, "list")
    page = client.get(JOBS, params={"after": made[2]}).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (made[3:], False)
    for query, found in (
        ("metadata%5Bteam%5D=a", [made[0], made[3]]),
        ("metadata[team]=a&metadata[n]=1", [made[3]]),
        ("metadata[team]=c", []),
        ("metadata=null", [made[2]]),
        (f"metadata[team]=a&limit=1&after={made[0]}", [made[3]]),
    ):
        assert [one["id"] for one in client.get(f"{JOBS}?{query}").json()["data"]] == found


def test_who_may(client, workspace):
    def key(name, **wish):
        return {"Authorization": f"Bearer {keys.create(workspace, name, **wish)[1]}"}

    train, infer = key("a", scopes=["train"]), key("b", scopes=["infer"])
    bound, admin = key("c", scopes=["train"], tasks=["intents"]), key("d", scopes=["admin"])
    body = {"model": "tiny", "training_file": upload(workspace)}
    assert client.post(JOBS, json=body, headers=infer).json()["error"]["code"] == "missing_scope"
    assert client.post(JOBS, json=body, headers=bound).status_code == 403  # a job makes a task, which is none of its
    job = client.post(JOBS, json=body, headers=train).json()["id"]
    for head, seen in ((train, [job]), (admin, [job]), (bound, [])):
        assert [one["id"] for one in client.get(JOBS, headers=head).json()["data"]] == seen
        assert client.get(f"{JOBS}/{job}", headers=head).status_code == (200 if seen else 404)
    assert client.post(f"{JOBS}/{job}/cancel", headers=bound).status_code == 404
    assert client.post(f"{JOBS}/{job}/cancel", headers=admin).json()["status"] == "cancelled"
    acts = [(one.action, one.actor.split(" (")[0]) for one in audit.entries(workspace, job, newest=9)]
    assert acts == [("create job", "key a"), ("cancel job", "key d")]


def test_pause_resume_and_cancel_while_nobody_works_on_it(client, workspace):
    job = create(client, workspace)["id"]
    head = {"content-type": "application/json"}  # and no body, as the client sends it
    for _ in range(2):
        assert client.post(f"{JOBS}/{job}/pause", headers=head).json()["status"] == "validating_files"
    assert jobs.lease(workspace, "me", ["fine-tune"]) is None
    for _ in range(2):
        client.post(f"{JOBS}/{job}/resume", headers=head)
    assert jobs.lease(workspace, "me", ["fine-tune"]).id == job
    jobs.release(workspace, job, "me", status="running")
    assert client.post(f"{JOBS}/{job}/pause").json()["status"] == "queued"
    assert client.post(f"{JOBS}/{job}/cancel", headers=head).json()["status"] == "cancelled"
    ended = client.get(f"{JOBS}/{job}").json()
    assert (ended["finished_at"] is None, ended["error"]) == (False, None)
    for verb in ("cancel", "pause", "resume"):
        refused = client.post(f"{JOBS}/{job}/{verb}")
        assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
        assert refused.json()["error"]["message"] == f"Cannot {verb} a job with status 'cancelled'."
    assert [message for _, message in told(client, job)][1:] == [
        "The job was paused",
        "The job was resumed",
        "The job was paused",
        "The job was cancelled",
    ]


# ---------------------------------------------------------------------- what a job comes to


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (lines([conversation(f"t{n}", "a") for n in range(7)]), "invalid_n_examples",
         "Training file has 7 example(s), but must have at least 10 examples"),
        (lines([{**conversation("t", "a"), "weight": 1}] * 10), "invalid_file_format",
         "The job failed due to a file format error in the training file. Invalid file format. "
         'Example 1 contains an extra "weight".'),
        (lines([conversation("t", "a")] * 12), "invalid_n_examples", "1 different examples; 10 are the least"),
        (lines([conversation(f"t{n}", "a") for n in range(12)]), "invalid_n_examples", "have the same answer"),
    ],
)  # fmt: skip
def test_a_fault_of_the_data_ends_a_job_with_openais_code(client, workspace, content, code, message):
    job = create(client, workspace, content)["id"]
    work(workspace)
    failed = client.get(f"{JOBS}/{job}").json()
    assert (failed["status"], failed["fine_tuned_model"], failed["result_files"]) == ("failed", None, [])
    assert (failed["error"]["code"], failed["error"]["param"]) == (code, "training_file")
    assert message in failed["error"]["message"]
    assert told(client, job)[-1] == ("error", failed["error"]["message"])
    assert told(client, job)[1] == ("info", f"Validating training file: {failed['training_file']}")
    assert workspace.task_names() == ["intents"]


def test_a_file_that_is_gone_fails_the_job(client, workspace):
    job = create(client, workspace)
    client.delete(f"/v1/files/{job['training_file']}")
    work(workspace)
    error = client.get(f"{JOBS}/{job['id']}").json()["error"]
    assert (error["code"], error["param"]) == ("file_not_found", "training_file")
