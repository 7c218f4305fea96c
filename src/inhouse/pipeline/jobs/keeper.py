"""Starts a worker where jobs wait and none is there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from inhouse.errors import Busy, InhouseError
from inhouse.pipeline.jobs.child import HANDLERS
from inhouse.pipeline.jobs.worker import DOING, LOCK
from inhouse.store import Workspace, jobs

LOOK_SECONDS = 2.0
# A worker that ended at once would end at once again.
AGAIN_SECONDS = 10.0


class Keeper:
    """Looks in a thread of its own, from its making to `close`, whether a worker is needed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._closing = threading.Event()
        self._started: subprocess.Popen[bytes] | None = None
        self._started_at = float("-inf")
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more; a worker that is at it goes on."""
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                if self._is_needed():
                    self._start()
            except (InhouseError, SQLAlchemyError, OSError):  # the next look may find it otherwise
                continue

    def _is_needed(self) -> bool:
        if self._started is not None and self._started.poll() is None:  # asked, so that it leaves no zombie
            return False
        if time.monotonic() - self._started_at < AGAIN_SECONDS or not jobs.any_open(self._workspace, tuple(HANDLERS)):
            return False
        try:
            with self._workspace.lock(LOCK, DOING):
                return True
        except Busy:
            return False

    def _start(self) -> None:
        """In a session of its own, which the end of this process does not end; what it says goes to a file."""
        root = self._workspace.paths.root
        log = root / "logs" / "worker.log"
        log.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "inhouse", "worker", "--once", "--workspace", str(root)]
        with log.open("ab") as said:
            self._started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        self._started_at = time.monotonic()
