"""A workspace whose database is PostgreSQL: the life of a task, what is served, and the queue of jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import many_intents, write_csv
from fastapi.testclient import TestClient
from postgresql import SECRET, cluster_in, running

import inhouse
from inhouse.api import make_app
from inhouse.store import Workspace, database, jobs, registry, traffic


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with cluster_in(Path("/tmp") / f"inhouse-pg-workspace-{os.getpid()}") as cluster, running(cluster) as server:
        yield server.url


@pytest.fixture(scope="module")
def workspace(url, tmp_path_factory, tiny_gguf, models_dir) -> Iterator[Workspace]:
    """A workspace whose task `intents` serves `intents@1`."""
    folder = tmp_path_factory.mktemp("postgresql")
    settings = f'database = "{url}"\nmodels_dir = "{models_dir}"\noffline = true\nthreads = 1\n'
    (folder / "inhouse.toml").write_text(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        workspace = inhouse.open_workspace(folder)
        task = inhouse.init(workspace, "intents", base_model=str(tiny_gguf))
        workspace.save_task(task.model_copy(update={"train": task.train.model_copy(update={"max_steps": 4})}))
        messages = write_csv(tmp_path_factory.mktemp("rows") / "intents.csv", many_intents())
        inhouse.add(workspace, "intents", [messages], inputs=["text"], target="category")
        inhouse.clean(workspace, "intents")
        inhouse.train(workspace, "intents")
        inhouse.promote(workspace, "intents", force=True, reason="for the tests")
        yield workspace
        workspace.close()


def test_what_is_served_is_kept_judged_and_forgotten(workspace):
    assert not (workspace.paths.root / "inhouse.db").exists()
    own = Workspace(workspace.paths.root)
    with TestClient(make_app(own)) as client:
        body = {"model": "intents", "messages": [{"role": "user", "content": "where is my card"}]}
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: client.post("/v1/chat/completions", json=body), range(16)))
        assert {one.status_code for one in answers} == {200}
        wrong = {"id": answers[0].json()["id"], "correction": "change_pin"}
        assert client.post("/v1/feedback", json=wrong).status_code == 200
    assert {t.id for t in traffic.traces(workspace, "intents")} == {one.json()["id"] for one in answers}
    seen = inhouse.monitor(workspace, "intents")
    assert (seen.window["traces"], seen.corrections) == (16, 1)
    (status,) = inhouse.status(workspace)["tasks"]
    assert (status["champion"], status["requests"]) == ("intents@1", 16)
    gone = inhouse.forget(workspace, "intents", match="where is my card", yes=True)
    assert (gone.traces, gone.remaining) == (16, ())
    assert traffic.traces(workspace, "intents") == []


def test_no_two_workers_take_one_job(workspace):
    made = [
        jobs.add(workspace, jobs.Job(id=jobs.new_id("batch"), kind="batch", status="queued", request={}))[0].id
        for _ in range(24)
    ]
    owners = [jobs.new_owner(workspace) for _ in range(6)]

    def take(owner: str) -> list[str]:
        return [job.id for _ in range(24) if (job := jobs.lease(workspace, owner, ("batch",)))]

    with ThreadPoolExecutor(6) as threads:
        taken = [job for found in threads.map(take, owners) for job in found]
    assert sorted(taken) == sorted(made)
    (late, *_) = taken
    jobs.release(workspace, late, jobs.find(workspace, late).lease_owner or "", not_before=database.from_now(60))
    assert jobs.lease(workspace, owners[0], ("batch",)) is None


def test_two_promotions_at_once_leave_one_champion(workspace):
    second = registry.add_version(workspace, registry.find_version(workspace, "intents", 1))

    def move(number: int) -> None:
        registry.move_alias(workspace, "intents", registry.CHAMPION, number, action="promote")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(move, (1, second.number)))
    assert registry.alias_number(workspace, "intents", registry.CHAMPION) in (1, second.number)
    assert inhouse.rollback(workspace, "intents").champion in ("intents@1", second.name)


def test_the_password_is_told_nowhere(workspace, cli):
    told = cli(workspace.paths.root, "status")
    assert told.code == 0
    assert SECRET not in told.out + told.err
    assert SECRET not in repr(workspace.database.engine.url)
