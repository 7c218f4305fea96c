"""The queue of jobs and its worker: leases, order, what breaks off and goes on, and kills of everybody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import insert

from inhouse.core import Silent
from inhouse.errors import Busy, NotFound, UsageError
from inhouse.pipeline.jobs import keeper, worker
from inhouse.pipeline.jobs.child import do_job
from inhouse.pipeline.jobs.worker import MOST_ATTEMPTS
from inhouse.store import Workspace, database, jobs, tables
from inhouse.store.jobs import Job

KINDS = ("batch",)


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path / "w")
    made.paths.root.mkdir()
    made.create()
    yield made
    made.close()


def queued(workspace, name, **values):
    return jobs.add(workspace, Job(id=name, kind="batch", status="queued", request={}, **values))[0]


# ---------------------------------------------------------------------- the queue


def test_jobs_are_leased_in_their_order_and_to_one_alone(workspace):
    for name in ("a", "b"):
        queued(workspace, name)
    assert jobs.lease(workspace, "me", KINDS).id == "a"
    assert jobs.lease(workspace, "you", KINDS).id == "b"
    assert jobs.lease(workspace, "me", KINDS) is None
    assert jobs.lease(workspace, "me", ("webhook",)) is None
    assert jobs.beat(workspace, "a", "me")
    assert not jobs.beat(workspace, "a", "you")


def test_a_lease_that_is_not_renewed_is_anybodys(workspace):
    queued(workspace, "a")
    jobs.lease(workspace, "me", KINDS, seconds=0.05)
    assert jobs.lease(workspace, "you", KINDS) is None
    time.sleep(0.06)
    assert jobs.lease(workspace, "you", KINDS).lease_owner == "you"
    assert not jobs.beat(workspace, "a", "me")
    assert jobs.finish(workspace, "a", "failed", owner="me") is None  # it is the other's by now
    assert jobs.finish(workspace, "a", "succeeded", owner="you").status == "succeeded"
    assert jobs.finish(workspace, "a", "cancelled") is None  # an end is an end


def test_what_waits_or_is_paused_is_left(workspace):
    queued(workspace, "later", not_before=database.from_now(60))
    queued(workspace, "paused", wish="pause")
    assert jobs.lease(workspace, "me", KINDS) is None
    assert jobs.any_open(workspace, KINDS)  # the one that waits
    jobs.change(workspace, "paused", wish="")
    assert jobs.lease(workspace, "me", KINDS).id == "paused"


def test_the_same_request_sent_again_is_the_same_job(workspace):
    first = queued(workspace, "a", digest="d")
    again = Job(id="b", kind="batch", status="queued", request={}, digest="d")
    assert jobs.add(workspace, again, sent_again=True) == (first, False)
    assert jobs.add(workspace, again)[1]  # asked for anew


def test_pages(workspace):
    for number in range(5):
        queued(workspace, f"j{number}")
        jobs.tell(workspace, "j0", f"event {number}")
        jobs.add_checkpoint(workspace, "j0", number, f"ckpt-{number}", {"step": number})
    assert [j.id for j in jobs.newest(workspace, "batch", limit=2).rows] == ["j4", "j3"]
    page = jobs.newest(workspace, "batch", after="j3", limit=3)
    assert ([j.id for j in page.rows], page.has_more) == (["j2", "j1", "j0"], False)
    assert jobs.newest(workspace, "batch", limit=2, matches=lambda j: j.id in ("j0", "j2", "j4")).has_more
    told = jobs.events(workspace, "j0", limit=3)
    assert ([e.message for e in told.rows], told.has_more) == (["event 4", "event 3", "event 2"], True)
    rest = jobs.events(workspace, "j0", after=told.rows[-1].id, limit=3)
    assert ([e.message for e in rest.rows], rest.has_more) == (["event 1", "event 0"], False)
    kept = jobs.checkpoints(workspace, "j0", limit=4)
    assert ([c.step for c in kept.rows], kept.has_more) == ([4, 3, 2, 1], True)
    assert [c.step for c in jobs.checkpoints(workspace, "j0", after=kept.rows[-1].id).rows] == [0]
    for page in (jobs.events, jobs.checkpoints):
        with pytest.raises(NotFound):
            page(workspace, "j1", after="ftevent-x")


def test_what_is_said_once(workspace):
    for _ in range(2):
        jobs.tell(workspace, "a", "begun", once=True)
    assert len(jobs.events(workspace, "a").rows) == 1


def test_nobody_works_on_a_job_without_a_lease(workspace, monkeypatch):
    queued(workspace, "a")
    monkeypatch.setattr("inhouse.pipeline.jobs.child._end_with_worker", lambda: None)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    with pytest.raises(UsageError, match="not leased"):
        do_job(workspace, "a", {})


# ---------------------------------------------------------------------- the worker, in processes of its own

# Counts to a number that its request has, a file for each step, and goes on where it was; or does what else it says.
COUNTER = """
import os, sys, time
from inhouse.errors import Busy
from inhouse.store import jobs
def count(workspace, job):
    folder = workspace.paths.root / job.id
    folder.mkdir(exist_ok=True)
    if job.request.get("breaks"):
        sys.exit("it broke")
    if job.request.get("busy") and not (folder / "busy").exists():
        (folder / "busy").touch()
        raise Busy("another command trains")
    (folder / f"pid {os.getpid()}").touch()
    for step in range(job.request["to"]):
        if not (folder / str(step)).exists():
            time.sleep(0.1)
            (folder / str(step)).touch()
    jobs.finish(workspace, job.id, "completed", owner=job.lease_owner)
"""
WORKER = """
import sys
from pathlib import Path
from inhouse.cli.terminal import Terminal
from inhouse.pipeline.jobs import child, worker
from inhouse.store import Workspace
child.WAIT_SECONDS = 0.1
folder = Path(sys.argv[1])
if len(sys.argv) > 2:
    child.do_job(Workspace(folder), sys.argv[2], {"batch": "counter:count"})
else:
    command = lambda w, job: [sys.executable, __file__, str(folder), job.id]
    worker.work(Workspace(folder), Terminal(), once=True, kinds=("batch",), command=command)
"""


@pytest.fixture
def start_worker(workspace, tmp_path):
    (tmp_path / "counter.py").write_text(COUNTER)
    (tmp_path / "work.py").write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    started = []

    def start():
        command = [sys.executable, str(tmp_path / "work.py"), str(workspace.paths.root)]
        with (tmp_path / "worker.log").open("ab") as log:
            started.append(subprocess.Popen(command, env=environment, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(30)


def counting(workspace, name, to, **request):
    jobs.add(workspace, Job(id=name, kind="batch", status="queued", request={"to": to, **request}))
    return workspace.paths.root / name


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(folder):
    return [int(p.name.split()[1]) for p in folder.glob("pid *")]


def lives(pid):
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_jobs_one_after_another(workspace, start_worker):
    folders = [counting(workspace, name, 3) for name in "ab"]
    assert start_worker().wait(60) == 0
    assert [jobs.find(workspace, name).status for name in "ab"] == ["completed", "completed"]
    first, second = (sorted(p.stat().st_mtime for p in f.iterdir()) for f in folders)
    assert first[-1] <= second[0]
    assert all(jobs.find(workspace, name).lease_owner is None for name in "ab")


def test_kills_of_child_and_worker_lose_no_step(workspace, start_worker):
    folder = counting(workspace, "a", 40)
    worker = start_worker()
    wait_for(lambda: (folder / "3").exists())
    (first,) = pids(folder)
    os.kill(first, signal.SIGKILL)  # the job's own process
    wait_for(lambda: len(pids(folder)) == 2)
    assert jobs.find(workspace, "a").attempts == 1
    wait_for(lambda: (folder / "9").exists())
    worker.kill()  # and the worker: what it started ends with it
    wait_for(lambda: not any(map(lives, pids(folder))), 10)
    assert jobs.find(workspace, "a").is_open
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert start_worker().wait(60) == 0  # at once, though the lease of the one before has not run out
    assert jobs.find(workspace, "a").status == "completed"
    after = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert before.items() <= after.items()  # nothing was done twice
    assert len(pids(folder)) == 3


def test_a_job_that_always_breaks_off_fails_with_its_last_line(workspace, start_worker):
    counting(workspace, "a", 1, breaks=True)
    assert start_worker().wait(60) == 0
    job = jobs.find(workspace, "a")
    assert (job.status, job.attempts) == ("failed", MOST_ATTEMPTS)
    assert job.error["code"] == "server_error"
    assert "it broke" in job.error["message"]
    assert [e.level for e in jobs.events(workspace, "a").rows] == ["error", "warn", "warn"]


def test_a_job_waits_while_another_command_has_its_task(workspace, start_worker):
    counting(workspace, "a", 1, busy=True)
    assert start_worker().wait(60) == 0
    job = jobs.find(workspace, "a")
    assert (job.status, job.attempts) == ("completed", 0)


def test_why_no_worker_starts_is_told_of_the_job_and_logged(workspace, monkeypatch, caplog):
    queued(workspace, "a")
    (workspace.paths.root / "inhouse.toml").write_text("threads = ")
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.02)
    with keeper.workers_started(workspace):
        wait_for(lambda: jobs.events(workspace, "a").rows)
    (event,) = jobs.events(workspace, "a").rows
    assert event.level == "warn"
    assert event.message.startswith("The worker ended with status 3")
    assert event.message in caplog.messages
    assert "inhouse.toml" in event.message


@pytest.mark.parametrize("command", ["sleep 60", "true"])
def test_a_job_that_is_cancelled_while_it_is_being_stopped_leaves_nothing(workspace, monkeypatch, command):
    queued(workspace, "a")
    tidied, kill = [], worker._Child.kill

    def kill_and_cancel(child):
        kill(child)
        jobs.finish(workspace, "a", "cancelled")

    monkeypatch.setattr(worker._Child, "kill", kill_and_cancel)
    monkeypatch.setattr(worker, "tidy", lambda _, job: tidied.append(job.id))
    at_work = worker._Worker(workspace, Silent(), KINDS, lambda *_: command.split())
    at_work.turn()
    if command == "true":  # it ends by itself
        wait_for(lambda: at_work._children["a"].process.poll() is not None)
    else:
        jobs.change(workspace, "a", wish="pause")
    at_work.turn()
    assert (tidied, at_work.is_idle()) == (["a"], True)


def test_cancel_pause_and_stop(workspace, start_worker):
    cancelled, paused = counting(workspace, "a", 1000), counting(workspace, "b", 50)
    with workspace.database.begin() as connection:
        row = {"id": "run-a", "task": "t", "dataset": 1, "recipe": {}, "status": "running", "created_at": ""}
        connection.execute(insert(tables.runs).values(**row))
    jobs.change(workspace, "a", run="run-a")
    worker = start_worker()
    wait_for(lambda: (cancelled / "1").exists())
    with pytest.raises(Busy), workspace.lock("worker", "working on jobs"):
        pass
    jobs.finish(workspace, "a", "cancelled")
    wait_for(lambda: (paused / "1").exists())
    assert not lives(pids(cancelled)[0])
    with workspace.database.read() as connection:
        assert connection.execute(tables.runs.select()).one().status == "abandoned"
    jobs.change(workspace, "b", wish="pause")
    assert worker.wait(30) == 0  # nothing is left that it may do
    assert not lives(pids(paused)[0])
    assert jobs.find(workspace, "b").lease_owner is None
    jobs.change(workspace, "b", wish="")
    worker = start_worker()
    wait_for(lambda: len(pids(paused)) == 2)
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    job = jobs.find(workspace, "b")
    assert (job.is_open, job.lease_owner, job.attempts) == (True, None, 0)
    assert start_worker().wait(60) == 0
    assert jobs.find(workspace, "b").status == "completed"
    assert json.loads(json.dumps(job.request)) == {"to": 50}
