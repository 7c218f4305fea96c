"""The end of a server: it takes no more requests, and those under way end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

# What whoever watches the server asks also while it stops.
WATCHED = frozenset({"/health", "/ready", "/metrics"})


class Drain:
    """Whether the server stops, and what is under way.

    Args:
        grace: seconds that requests have to end.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._until: float | None = None
        self._under_way = 0

    def begin(self) -> None:
        """Take no more requests."""
        self._until = time.monotonic() + self._grace

    @property
    def begun(self) -> bool:
        """Whether no more are taken."""
        return self._until is not None

    @property
    def late(self) -> bool:
        """Whether those under way had their time."""
        return self._until is not None and time.monotonic() >= self._until

    @property
    def done(self) -> bool:
        """Whether none is under way any more."""
        return self.begun and not self._under_way

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A request is under way inside."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
