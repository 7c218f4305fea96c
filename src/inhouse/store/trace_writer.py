"""Keeps the traces of served requests."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from inhouse.core import Trace
from inhouse.store import traffic
from inhouse.store.workspace import Workspace


class TraceWriter:
    """Writes traces in one thread: all that came while some were written are the next group, with one commit."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._waiting: deque[tuple[Trace, Future[None]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inhouse-traces")

    def add(self, trace: Trace) -> Future[None]:
        """Keep a trace; the future is done once it is committed, and cannot be cancelled.

        Raises (in the future):
            DiskFull: no space is left.
            SQLAlchemyError: the database cannot be written.
        """
        kept: Future[None] = Future()
        kept.set_running_or_notify_cancel()
        self._waiting.append((trace, kept))
        self._thread.submit(self._write)
        return kept

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
            kept.set_exception(error)
        else:
            kept.set_result(None)
