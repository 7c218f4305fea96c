"""The fine-tuning API: a user's script through the official clients, what is refused, and jobs that are ended, paused,
killed and wrong."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import threading
import time

import psutil
import pytest
from clients import CLIENTS, run_script
from conftest import many_intents
from fastapi.testclient import TestClient
from servers import served_copy

from inhouse import api, pipeline
from inhouse.core import TrainResult
from inhouse.deploy import parity
from inhouse.errors import Busy, NotFound
from inhouse.pipeline.jobs import fine_tuning, progress
from inhouse.store import Workspace, audit, files, jobs, keys, model_names, records, registry
from inhouse.train import usual_rate

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
        ({"dry_run": True}, "dry_run", "Unrecognized request argument: dry_run"),
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


def test_a_running_job_that_is_paused_and_goes_on_is_running(client, workspace):
    job = create(client, workspace)["id"]
    jobs.lease(workspace, "me", ["fine-tune"])
    jobs.change(workspace, job, status="running")
    assert client.post(f"{JOBS}/{job}/pause").json()["status"] == "queued"
    assert client.post(f"{JOBS}/{job}/resume").json()["status"] == "running"  # before its worker had let it go
    jobs.release(workspace, job, "me")
    assert client.get(f"{JOBS}/{job}").json()["status"] == "queued"  # until somebody works on it
    jobs.lease(workspace, "you", ["fine-tune"])
    assert client.get(f"{JOBS}/{job}").json()["status"] == "running"


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


# ---------------------------------------------------------------------- jobs that are done


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def not_evaluated(monkeypatch):
    """An evaluation takes longer than all else, and the script's test has one.

    The gate is a little wider: a random model of two layers, hardly trained, finds many tokens equally likely.
    """
    monkeypatch.setattr(parity, "MIN_AGREEMENT", 0.9)

    def evaluate(*_arguments, **_wish):
        raise NotFound("the encoder is not here", "fetch it")

    monkeypatch.setattr(fine_tuning, "evaluate", evaluate)


def epochs(number, **wish):
    return hyper(n_epochs=number, batch_size=8, **wish)["method"]


def test_killed_at_any_write_it_does_no_step_twice(client, workspace, monkeypatch, not_evaluated):
    """Before each write of the job's own in turn: it ends, and goes on."""
    monkeypatch.setattr(progress, "LOOK_SECONDS", 1e9)  # at its beginning alone, however fast it is
    rows = lines(conversation(f"t{n}", f"a{n % 9}") for n in range(40))
    job = create(client, workspace, rows, method=epochs(2), seed=7)["id"]
    writes, kills = 0, 0

    def dying(write):
        def wrapped(*arguments, **named):
            nonlocal writes
            writes += 1
            if writes > kills:
                raise Killed
            return write(*arguments, **named)

        return wrapped

    for module, name in (
        (jobs, "tell"),
        (jobs, "change"),
        (jobs, "finish"),
        (jobs, "claim_task"),
        (model_names, "add"),
    ):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    while jobs.find(workspace, job).is_open:
        writes, kills = 0, kills + 1
        with contextlib.suppress(Killed):
            work(workspace)
        jobs.free_leases_here(workspace)
    done = client.get(f"{JOBS}/{job}").json()
    assert done["status"] == "succeeded", (done["error"], kills)
    assert (kills >= 10, done["inhouse"]["task"]) == (True, f"ftjob-{job[6:14]}")
    task = done["inhouse"]["task"]
    versions = registry.versions(workspace, task)
    assert [version.epoch is None for version in versions] == [False] * (len(versions) - 1) + [True]
    assert model_names.find(workspace, done["fine_tuned_model"]) == (task, len(versions))
    kept = client.get(f"{JOBS}/{job}/checkpoints").json()["data"]
    assert len({one["step_number"] for one in kept}) == len(kept) >= len(versions) - 1 > 0
    assert len(model_names.every(workspace)) == len(kept) + 1
    events = client.get(f"{JOBS}/{job}/events", params={"limit": 100}).json()["data"]
    messages = [one["message"] for one in events]
    assert len(messages) == len(set(messages))
    steps = [one["data"]["step"] for one in reversed(events) if one["type"] == "metrics"]
    assert steps == list(range(1, steps[-1] + 1))
    assert workspace.task_names() == sorted(["intents", task])


def test_a_validation_file_is_the_test_and_wishes_are_taken(client, workspace, not_evaluated):
    rows = [conversation(row["text"], row["category"]) for row in many_intents()]
    held = upload(
        workspace, b"\xef\xbb\xbf" + lines([rows[0], conversation("quite new", "change_pin")]), "C:\\dir/held [*]"
    )
    pipeline.init(workspace, "my-bank")
    wish = {"validation_file": held, "suffix": "My bank!", "seed": 11}
    wish["method"] = epochs(1, learning_rate_multiplier=0.001)
    job = create(client, workspace, lines([*rows, rows[1]]), **wish)
    work(workspace)
    done = client.get(f"{JOBS}/{job['id']}").json()
    assert done["status"] == "succeeded", done["error"]
    assert done["fine_tuned_model"] == f"ft:tiny:inhouse:my-bank:{job['id'][6:14]}"
    assert (done["inhouse"]["task"], done["inhouse"]["verdict"]) == ("my-bank-2", None)
    assert (done["trained_tokens"] > 0, done["estimated_finish"]) == (True, None)
    taken = {"n_epochs": 1, "batch_size": 8, "learning_rate_multiplier": 0.001}
    assert done["hyperparameters"] == done["method"]["supervised"]["hyperparameters"] == taken
    recipe = records.recipe_of(workspace, done["inhouse"]["run"])
    assert (recipe.seed, recipe.epochs, recipe.batch_size) == (11, 1, 8)
    assert recipe.learning_rate == pytest.approx(0.001 * usual_rate("lora", 64))
    dataset = records.load_dataset(workspace, "my-bank-2")
    assert sorted(e.target for e in dataset.of("test")) == ["card_arrival", "change_pin"]
    assert {e.provenance.file for e in dataset.examples} == {"train.jsonl", "held [*].jsonl"}
    warned = [message for level, message in told(client, job["id"]) if level == "warn"]
    assert any("held [*].jsonl" in one for one in warned), "\n".join(warned)  # an example that stands in both
    assert any("multiplies the usual rate" in one for one in warned), warned
    assert any("not evaluated: the encoder is not here" in one for one in warned)
    acts = [one.action for one in audit.entries(workspace, newest=9) if one.actor == f"job {job['id']}"]
    assert "train" in acts
    said = [message for _, message in told(client, job["id"])]
    assert f"Validating training file: {job['training_file']} and validation file: {held}" in said
    assert any("validation file is the task's test" in one for one in said)
    answer = client.post(
        "/v1/chat/completions",
        json={"model": done["fine_tuned_model"], "messages": rows[0]["messages"][:1], "max_tokens": 5},
    )
    assert answer.json()["inhouse"]["model_version"] == done["inhouse"]["model_version"]


@pytest.mark.parametrize(
    ("name", "local"),
    [("a.jsonl", "a.jsonl"), ("../x.txt", "x.txt.jsonl"), ("é" * 150, "é" * 100 + ".jsonl"), ("..", "...jsonl")],
)
def test_what_an_uploaded_file_is_called_here(name, local):
    assert fine_tuning._local_name(name) == local


def test_pairs_are_learned_from(client, workspace, not_evaluated):
    def turn(text):
        return [{"role": "assistant", "content": text}]

    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"question {n}"}]},
            "preferred_output": turn(f"good {n}"),
            "non_preferred_output": turn(f"bad {n}"),
        }
        for n in range(24)
    ]
    wish = {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.5}}}
    job = create(client, workspace, lines(rows), method=wish, seed=7)
    work(workspace)
    done = client.get(f"{JOBS}/{job['id']}").json()
    assert done["status"] == "succeeded", done["error"]
    recipe = records.recipe_of(workspace, done["inhouse"]["run"])
    assert (recipe.objective, recipe.beta) == ("dpo", 0.5)
    assert done["method"]["dpo"]["hyperparameters"]["beta"] == 0.5


def test_a_model_that_fails_the_parity_gate_fails_its_job(client, workspace, monkeypatch):
    version = registry.find_version(workspace, "intents", 1)
    failed = version.training | {"parity": version.parity.model_copy(update={"passed": False, "reason": "it differs"})}
    monkeypatch.setattr(fine_tuning, "train", lambda *_, **__: TrainResult.model_validate(failed))
    job = create(client, workspace)["id"]
    work(workspace)
    done = client.get(f"{JOBS}/{job}").json()
    assert (done["status"], done["error"]["code"], done["fine_tuned_model"]) == ("failed", "parity_failed", None)
    assert model_names.every(workspace) == []


def test_another_command_at_the_task_is_waited_for_and_an_ended_job_is_left(client, workspace, monkeypatch):
    job = create(client, workspace)["id"]

    def cancelled(*_arguments, **_wish):
        client.post(f"{JOBS}/{job}/cancel")
        return TrainResult.model_validate(registry.find_version(workspace, "intents", 1).training)

    monkeypatch.setattr(fine_tuning, "train", cancelled)
    with pytest.raises(Busy, match="has ended"):
        work(workspace)
    assert client.get(f"{JOBS}/{job}").json()["status"] == "cancelled"
    assert model_names.every(workspace) == []


def test_what_a_job_that_is_cancelled_late_has_trained_stays(client, workspace):
    version = registry.find_version(workspace, "intents", 1)
    job = create(client, workspace)["id"]
    jobs.change(workspace, job, run=version.run, task="intents", model_version=1, result={"fine_tuned_model": "ft:x"})
    assert client.post(f"{JOBS}/{job}/cancel").json()["fine_tuned_model"] == "ft:x"
    assert records.run_result(workspace, version.run)["model_version"] == "intents@1"


# ---------------------------------------------------------------------- through processes


def wait_for(what, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def at_work(folder):
    """The process that works on a job of a workspace."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if {"worker", "--job", str(folder)} <= set(process.cmdline()):
                return process
    return None


@pytest.mark.parametrize("line", CLIENTS)
def test_a_script_for_openai_through_either_line_of_its_client(line, tmp_path, trained, environment):
    path = tmp_path / "bank.jsonl"
    path.write_bytes(INTENTS)

    def kill_once():
        workspace = Workspace(server.folder)
        (job,) = wait_for(lambda: jobs.newest(workspace, "fine-tune").rows)
        wait_for(lambda: jobs.last_measured(workspace, job.id))
        at_work(server.folder).kill()
        workspace.close()

    with served_copy(trained, tmp_path, environment) as server:
        killer = threading.Thread(target=kill_once, daemon=True)
        if line == "3":
            killer.start()
        out = run_script("fine_tuning.py", line, server.url, "tiny", str(path), "where is my card")
        status = json.loads(subprocess.run(
            [sys.executable, "-m", "inhouse", "status", "--json", "--workspace", str(server.folder)],
            env=environment, capture_output=True, check=True,
        ).stdout)  # fmt: skip
    first, job = out["first"], out["job"]
    name = f"ft:tiny:inhouse:my-bank:{job['id'][6:14]}"
    assert (first["status"], first["seed"], first["metadata"]) == ("validating_files", 7, {"team": "cards"})
    assert (job["status"], job["fine_tuned_model"], job["error"]) == ("succeeded", name, None)
    assert job["trained_tokens"] > 0
    assert job["created_at"] <= job["finished_at"]
    events = out["events"][::-1]
    said = [event["message"] for event in events if event["type"] == "message" and event["level"] == "info"]
    begins = [
        f"Created fine-tuning job: {job['id']}",
        f"Validating training file: {job['training_file']}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        "The files became the task my-bank",
        *[f"Checkpoint created at step {one['step_number']}: {name}:ckpt" for one in out["checkpoints"][::-1]],
        f"New fine-tuned model created: {name}",
        "Evaluated: ",
        "The job has successfully completed",
    ]
    assert [one.startswith(begin) for one, begin in zip(said, begins, strict=True)] == [True] * len(begins), said
    steps = [event for event in events if event["type"] == "metrics"]
    assert [event["data"]["step"] for event in steps] == list(range(1, len(steps) + 1))
    total = steps[0]["data"]["total_steps"]
    assert re.fullmatch(rf"Step 1/{total}: training loss=\d+\.\d\d", steps[0]["message"])
    assert {event["data"]["total_steps"] for event in steps} == {total}
    assert any(event["message"] == "The job was interrupted and goes on from where it was" for event in events) == (
        line == "3"
    )
    measured = {"step", "total_steps", "train_loss", "train_mean_token_accuracy"}
    assert all(set(event["data"]) >= measured for event in steps)
    assert any({"valid_loss", "valid_mean_token_accuracy"} <= set(event["data"]) for event in steps)
    version, report = job["inhouse"]["model_version"], events[-2]["data"]
    assert (report["model_version"], set(report["scores"]) > {"fine-tuned"}) == (version, True)
    assert report["verdict"]["decision"] == job["inhouse"]["verdict"]
    assert (out["answer"], out["jobs"]) == ([name, "card_arrival"], [job["id"]])
    (table,) = ([line.split(",") for line in text.splitlines()] for text in out["results"])
    assert table[0] == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    assert [row[0] for row in table[1:]] == [str(event["data"]["step"]) for event in steps]
    assert {len(row) for row in table} == {5}
    assert {bool(row[3]) for row in table[1:]} == {True, False}  # blank where nothing was validated
    kept = out["checkpoints"]
    assert [one["step_number"] for one in kept] == sorted((one["step_number"] for one in kept), reverse=True)
    assert 3 <= len(kept) <= 4
    for one in kept:
        assert one["fine_tuned_model_checkpoint"] == f"{name}:ckpt-step-{one['step_number']}"
        assert (one["object"], one["fine_tuning_job_id"]) == ("fine_tuning.job.checkpoint", job["id"])
        assert one["metrics"]["step"] == one["step_number"]
        assert one["metrics"]["full_valid_loss"] > 0
        assert 0 <= one["metrics"]["full_valid_mean_token_accuracy"] <= 1
    names = [one["fine_tuned_model_checkpoint"] for one in kept]
    assert [answered for answered, _ in out["of checkpoints"]] == names
    assert {*names, name} <= set(out["listed"][-len(names) - 1 :])
    assert out["listed"].index("tiny") < out["listed"].index(version)
    assert out["deleted"] == {"id": name, "object": "model", "deleted": True}
    assert out["gone"] == [[404, "model_not_found"]] * 2
    other = out["other"]
    assert [set(other[verb]) <= {"validating_files", "queued"} for verb in ("paused", "resumed")] == [True, True]
    assert (other["cancelled"], other["with metadata"], other["with none of them"]) == ("cancelled", [other["id"]], [])
    assert other["events"] == [f"The job was {what}" for what in ("cancelled", "resumed", "paused")]
    assert "my-bank" in [task["task"] for task in status["tasks"]]


def test_pause_resume_and_cancel_of_a_job_under_way(client, workspace, environment):
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 50, "batch_size": 1}}}
    job = create(client, workspace, method=method)["id"]
    command = [sys.executable, "-m", "inhouse", "worker", "--once", "--workspace", str(workspace.paths.root)]

    def start():
        return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    worker = start()
    wait_for(lambda: jobs.last_measured(workspace, job))
    running = client.get(f"{JOBS}/{job}").json()
    assert (running["status"], running["inhouse"]["run"] is None) == ("running", False)
    worker.kill()  # what it started ends with it
    worker.wait(30)
    wait_for(lambda: at_work(workspace.paths.root) is None)
    worker = start()
    wait_for(lambda: at_work(workspace.paths.root))
    assert client.post(f"{JOBS}/{job}/pause").json()["status"] == "queued"
    assert worker.wait(60) == 0
    assert (at_work(workspace.paths.root), client.get(f"{JOBS}/{job}").json()["status"]) == (None, "queued")
    before = jobs.last_measured(workspace, job)["step"]
    client.post(f"{JOBS}/{job}/resume")
    worker = start()
    wait_for(lambda: jobs.last_measured(workspace, job)["step"] > before)
    client.post(f"{JOBS}/{job}/cancel")
    assert worker.wait(60) == 0
    cancelled = client.get(f"{JOBS}/{job}").json()
    assert (cancelled["status"], cancelled["fine_tuned_model"]) == ("cancelled", None)
    assert not workspace.paths.run(cancelled["inhouse"]["run"]).exists()
    assert records.unfinished_runs(workspace, cancelled["inhouse"]["task"]) == []
    steps = [e["data"]["step"] for e in client.get(f"{JOBS}/{job}/events?limit=100").json()["data"] if e["data"]]
    assert len(steps) == len(set(steps))
