"""`inhouse worker`: takes jobs from the queue, each into a process of its own, and sees to it that each ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from sqlalchemy.exc import SQLAlchemyError

from inhouse.core import Reporter
from inhouse.core.signals import stop_asked
from inhouse.errors import InhouseError
from inhouse.pipeline.jobs.child import HANDLERS
from inhouse.store import Workspace, database, jobs, records
from inhouse.store.jobs import BEAT_SECONDS, Job, JobKind

# Who works on the jobs of a folder holds this lock.
LOCK, DOING = "worker", "working on jobs"
POLL_SECONDS = 0.5
# A job that broke off so often fails. It is begun again after so many seconds, times the attempts.
MOST_ATTEMPTS, AGAIN_SECONDS = 3, 2.0

Command = Callable[[Workspace, Job], Sequence[str]]


def child_command(workspace: Workspace, job: Job) -> list[str]:
    """What works on one job."""
    return [sys.executable, "-m", "inhouse", "worker", "--job", job.id, "--workspace", str(workspace.paths.root)]


def work(
    workspace: Workspace,
    reporter: Reporter,
    *,
    once: bool = False,
    kinds: Collection[JobKind] = tuple(HANDLERS),
    command: Command = child_command,
) -> None:
    """Work on jobs until it is stopped; those under way are then left to the next worker, which goes on with them.

    Args:
        once: end when no job waits.
        command: what works on one job.

    Raises:
        NotFound: the folder is no workspace.
        Busy: another worker is at it.
    """
    workspace.require()
    with workspace.lock(LOCK, DOING), stop_asked() as stopped:
        jobs.free_leases_here(workspace)  # of a worker that was killed: none lives beside this one
        worker = _Worker(workspace, reporter, kinds, command)
        try:
            while not stopped():
                worker.turn()
                if once and worker.is_idle():
                    return
                time.sleep(POLL_SECONDS)
        finally:
            worker.close()


@dataclass
class _Child:
    """A process at work on a job; what it writes is kept for its last line."""

    job: Job
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    beaten: float = field(default_factory=time.monotonic)

    def kill(self) -> None:
        """End it and all that it started: what it did is in checkpoints."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.said.close()


def last_line(said: IO[bytes]) -> str:
    """The last thing that a process wrote: a line, and of an error of ours the remedy behind it."""
    said.seek(0)
    lines = [line.strip() for line in said.read().decode("utf-8", "replace").split("\n") if line.strip()]
    begin = -2 if lines and lines[-1].startswith("-> ") else -1
    return " ".join(lines[begin:]) or "it said nothing"


class _Worker:
    """The jobs that are being worked on."""

    def __init__(self, workspace: Workspace, reporter: Reporter, kinds: Collection[JobKind], command: Command) -> None:
        self._workspace, self._reporter, self._kinds, self._command = workspace, reporter, kinds, command
        self._owner = jobs.new_owner(workspace)
        self._children: dict[str, _Child] = {}

    def turn(self) -> None:
        """Look after every job under way, and take new ones; what cannot be read or written now can be soon."""
        try:
            for child in list(self._children.values()):
                self._look_after(child)
            while len(self._children) < self._workspace.settings.jobs.at_once and self._take():
                pass
        except (InhouseError, SQLAlchemyError) as fault:
            self._reporter.warn(f"the queue cannot be used now: {fault}")

    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing waits."""
        return not self._children and not jobs.any_open(self._workspace, self._kinds)

    def close(self) -> None:
        """Leave what is under way to the next worker."""
        for child in self._children.values():
            child.kill()
        jobs.free_leases_here(self._workspace)

    def _take(self) -> bool:
        job = jobs.lease(self._workspace, self._owner, self._kinds)
        if job is None:
            return False
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        command = self._command(self._workspace, job)
        # A session of its own: it is killed with all that it starts, and Ctrl-C at a terminal is for the worker.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._children[job.id] = _Child(job, process, said)
        self._reporter.say(f"{job.id}: begun")
        return True

    def _look_after(self, child: _Child) -> None:
        ended = child.process.poll() is not None
        job = jobs.find(self._workspace, child.job.id)
        if not job.is_open or job.lease_owner != self._owner:  # it is done, or it was cancelled, or another has it
            self._drop(child)
        elif ended:
            self._broke_off(child, job)
        elif job.wish == "pause":
            self._drop(child)
        elif time.monotonic() - child.beaten >= BEAT_SECONDS:
            jobs.beat(self._workspace, job.id, self._owner)
            child.beaten = time.monotonic()

    def _drop(self, child: _Child) -> None:
        child.kill()
        del self._children[child.job.id]
        jobs.release(self._workspace, child.job.id, self._owner)
        job = self._tidied(child.job.id)
        self._reporter.say(f"{job.id}: {'paused' if job.wish == 'pause' else job.status}")

    def _tidied(self, name: str) -> Job:
        """A job as it is now that nothing is written any more: it may have been cancelled a moment ago."""
        job = jobs.find(self._workspace, name)
        if job.status == "cancelled":
            tidy(self._workspace, job)
        return job

    def _broke_off(self, child: _Child, job: Job) -> None:
        """Its process ended, and the job did not: it is begun again, and fails when that goes on."""
        attempts, line = job.attempts + 1, last_line(child.said)
        child.kill()
        del self._children[job.id]
        self._reporter.warn(f"{job.id}: broke off (status {child.process.returncode}): {line}")
        if attempts < MOST_ATTEMPTS:
            jobs.tell(self._workspace, job.id, "The job was interrupted and goes on from where it was", level="warn")
            again = database.from_now(AGAIN_SECONDS * attempts)
            jobs.release(self._workspace, job.id, self._owner, attempts=attempts, not_before=again)
            self._tidied(job.id)
            return
        message = f"The job broke off {attempts} times; the last time it said: {line}"
        error = {"code": "server_error", "message": message, "param": None}
        jobs.tell(self._workspace, job.id, message, level="error")
        jobs.finish(self._workspace, job.id, "failed", owner=self._owner, attempts=attempts, error=error)
        self._tidied(job.id)


def tidy(workspace: Workspace, job: Job) -> None:
    """Drop what a cancelled job leaves: nothing goes on from there."""
    if job.run is not None and records.abandon_run(workspace, job.run):
        shutil.rmtree(workspace.paths.run(job.run), ignore_errors=True)
