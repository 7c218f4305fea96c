"""Starts a worker where jobs wait and none is there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from inhouse.errors import Busy, InhouseError
from inhouse.pipeline.jobs.child import HANDLERS
from inhouse.pipeline.jobs.worker import DOING, LOCK
from inhouse.store import Workspace, jobs

LOOK_SECONDS = 2.0
# A worker that ended at once would end at once again.
AGAIN_SECONDS = 10.0


@contextmanager
def workers_started(workspace: Workspace) -> Iterator[None]:
    """Within, a thread looks every `LOOK_SECONDS` whether a worker is needed; one that is at it goes on behind it."""
    closing = threading.Event()
    thread = threading.Thread(target=_look, args=(workspace, closing), name="inhouse-keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()


def _look(workspace: Workspace, closing: threading.Event) -> None:
    started: subprocess.Popen[bytes] | None = None
    started_at = float("-inf")
    while not closing.wait(LOOK_SECONDS):
        at_work = started is not None and started.poll() is None  # asked, so that it leaves no zombie
        if at_work or time.monotonic() - started_at < AGAIN_SECONDS:
            continue
        with suppress(InhouseError, SQLAlchemyError, OSError):  # the next look may find it otherwise
            if _is_needed(workspace):
                started, started_at = _start(workspace), time.monotonic()


def _is_needed(workspace: Workspace) -> bool:
    if not jobs.any_open(workspace, tuple(HANDLERS)):
        return False
    try:
        with workspace.lock(LOCK, DOING):
            return True
    except Busy:
        return False


def _start(workspace: Workspace) -> subprocess.Popen[bytes]:
    """In a session of its own, which the end of this process does not end. What it says stands in the jobs' events."""
    command = [sys.executable, "-m", "inhouse", "worker", "--once", "--workspace", str(workspace.paths.root)]
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
