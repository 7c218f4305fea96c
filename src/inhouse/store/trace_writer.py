"""Keeps the traces of served requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from inhouse.core import Trace
from inhouse.core.queues import groups
from inhouse.store import traffic
from inhouse.store.workspace import Workspace

FAILING_SECONDS = 30.0
# Traces of one commit.
MOST_TOGETHER = 1024


class TraceWriter:
    """Writes traces in one thread: all that came while some were written are the next group, with one commit.

    Args:
        hear: is told every trace at once, whether or not it can be kept.

    Attributes:
        lost: how many could not be kept.
    """

    def __init__(self, workspace: Workspace, hear: Callable[[Trace], None] = lambda _: None) -> None:
        self._workspace, self._hear = workspace, hear
        self._failed_at = float("-inf")
        self.lost = 0
        self._waiting: SimpleQueue[tuple[Trace, Future[None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="inhouse-traces", daemon=True)
        self._thread.start()

    def add(self, trace: Trace) -> Future[None]:
        """Keep a trace; the future is done once it is committed, and cannot be cancelled.

        Raises (in the future):
            DiskFull: no space is left.
            SQLAlchemyError: the database cannot be written.
        """
        if not self._thread.is_alive():
            raise RuntimeError("this writer was closed")
        self._hear(trace)
        kept: Future[None] = Future()
        kept.set_running_or_notify_cancel()
        self._waiting.put((trace, kept))
        return kept

    @property
    def failing(self) -> bool:
        """Whether one could not be kept of late; then others may be again, and a request must try."""
        return time.monotonic() - self._failed_at < FAILING_SECONDS

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        for group in groups(self._waiting, MOST_TOGETHER):
            self._write(group)

    def _write(self, group: Sequence[tuple[Trace, Future[None]]]) -> None:
        """Keep a group; where that fails, one by one, so that a bad trace takes no other with it."""
        try:
            traffic.add_traces(self._workspace, [trace for trace, _ in group])
        except Exception:  # noqa: BLE001 - the one at fault hears of it below
            for trace, kept in group:
                self._write_one(trace, kept)
        else:
            for _, kept in group:
                kept.set_result(None)

    def _write_one(self, trace: Trace, kept: Future[None]) -> None:
        try:
            traffic.add_traces(self._workspace, [trace])
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits must hear of it
            self.lost += 1
            self._failed_at = time.monotonic()
            kept.set_exception(error)
        else:
            kept.set_result(None)
