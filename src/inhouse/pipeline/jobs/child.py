"""The process of one job: it takes its memory with it when it ends, and ends with the worker that started it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping

from inhouse.errors import Busy, UsageError
from inhouse.store import Workspace, database, jobs
from inhouse.store.jobs import Job, JobKind

# What a worker works on.
KINDS: tuple[JobKind, ...] = ("batch", "fine-tune")
# A job whose task another command works on waits so long before it is begun again.
WAIT_SECONDS = 20.0
# A job gives way to whatever else the machine does, answers first of all.
NICE = 10

# What does a job of a kind. It takes an open job that is leased, and ends it (`jobs.finish`); what it raises counts as
# broken off, and is begun again.
Handler = Callable[[Workspace, Job], None]


def do_job(workspace: Workspace, job_id: str, handlers: Mapping[JobKind, Handler]) -> None:
    """Work on a leased job to its end.

    Raises:
        NotFound: there is no such job.
        UsageError: nobody holds its lease: it is the worker that starts this.
    """
    threading.Thread(target=_end_with_worker, daemon=True).start()
    os.nice(NICE)
    job = jobs.find(workspace, job_id)
    if not (job.is_open and job.is_leased):
        raise UsageError(
            f"the job {job_id} is not leased", "start `inhouse worker`, which takes it when its turn comes"
        )
    try:
        handlers[job.kind](workspace, job)
    except Busy:
        assert job.lease_owner is not None
        jobs.release(workspace, job.id, job.lease_owner, not_before=database.from_now(WAIT_SECONDS))


def _end_with_worker() -> None:
    """The worker holds the other end of standard input: when that is gone, so is this process and all it started."""
    while os.read(0, 1):  # not by `sys.stdin`, whose lock would be held when the interpreter ends
        pass
    os.killpg(0, signal.SIGKILL)
