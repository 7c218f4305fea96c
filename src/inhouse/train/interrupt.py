"""Ctrl-C, and the end that a service manager or a batch queue asks for, as a wish: the step is finished first. A second
one stops at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inhouse.core import Reporter
from inhouse.core.signals import stop_asked


@contextmanager
def finishing_the_step(
    reporter: Reporter, then: str = "what was learned so far becomes a model"
) -> Iterator[Callable[[], bool]]:
    """As `stop_asked`, for a person who is told what happens; a second signal stops at once.

    Args:
        then: what the person who stopped it is told to expect.
    """

    def heard(again: bool) -> None:
        if again:
            raise KeyboardInterrupt
        reporter.say(f"stopping after this step; {then} (Ctrl-C again stops at once)")

    with stop_asked(heard) as asked:
        yield asked
