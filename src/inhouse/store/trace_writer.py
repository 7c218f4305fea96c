"""Keeps the traces of served requests."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from inhouse.core import Trace
from inhouse.store import traffic
from inhouse.store.workspace import Workspace

FAILING_SECONDS = 30.0


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
        self._waiting: deque[tuple[Trace, Future[None]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inhouse-traces")

    def add(self, trace: Trace) -> Future[None]:
        """Keep a trace; the future is done once it is committed, and cannot be cancelled.

        Raises (in the future):
            DiskFull: no space is left.
            SQLAlchemyError: the database cannot be written.
        """
        self._hear(trace)
        kept: Future[None] = Future()
        kept.set_running_or_notify_cancel()
        self._waiting.append((trace, kept))
        self._thread.submit(self._write)
        return kept

    @property
    def failing(self) -> bool:
        """Whether one could not be kept of late; then others may be again, and a request must try."""
        return time.monotonic() - self._failed_at < FAILING_SECONDS

    def close(self) -> None:
        """Write what waits, and end."""
        self._thread.shutdown()

    def _write(self) -> None:
        """Keep all that waits; where that fails, one by one, so that a bad trace takes no other with it."""
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not group:
            return
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
