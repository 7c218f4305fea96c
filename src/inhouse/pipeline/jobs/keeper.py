"""Starts a worker where jobs wait and none is there."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from inhouse.errors import Busy, InhouseError
from inhouse.pipeline.jobs.child import HANDLERS
from inhouse.pipeline.jobs.worker import DOING, LOCK, last_line
from inhouse.store import Workspace, jobs

LOOK_SECONDS = 2.0
# A worker that ended at once would end at once again.
AGAIN_SECONDS = 10.0

_log = logging.getLogger("inhouse")


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
    started: _Started | None = None
    while not closing.wait(LOOK_SECONDS):
        with suppress(InhouseError, SQLAlchemyError, OSError):  # the next look may find it otherwise
            if started is not None and not started.is_over(workspace):
                continue
            if _is_needed(workspace):
                started = _Started(workspace)


class _Started:
    """A worker in a session of its own, which the end of this process does not end. What it says is kept meanwhile."""

    def __init__(self, workspace: Workspace) -> None:
        self._at, self._told = time.monotonic(), False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has ended
        command = [sys.executable, "-m", "inhouse", "worker", "--once", "--workspace", str(workspace.paths.root)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True
        )

    def is_over(self, workspace: Workspace) -> bool:
        """Whether another one may be started; it is told why this one failed, where it did."""
        if self._process.poll() is None:
            return False
        if not self._told:
            self._told = True
            if self._process.returncode > 0 and _is_needed(workspace):
                _tell_why(workspace, self._process.returncode, last_line(self._said))
            self._said.close()
        return time.monotonic() - self._at >= AGAIN_SECONDS


def _tell_why(workspace: Workspace, status: int, line: str) -> None:
    """Tell the log, and the jobs that wait."""
    told = f"The worker ended with status {status}, and is started again: {line}"
    _log.warning("%s", told)
    for kind in HANDLERS:
        for job in jobs.newest(workspace, kind, matches=lambda job: job.is_open).rows:
            jobs.tell(workspace, job.id, told, level="warn", once=True)


def _is_needed(workspace: Workspace) -> bool:
    if not jobs.any_open(workspace, tuple(HANDLERS)):
        return False
    try:
        with workspace.lock(LOCK, DOING):
            return True
    except Busy:
        return False
