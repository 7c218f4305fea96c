"""Ctrl-C, and the end that a service manager or a batch queue asks for, as a wish: the step is finished first. A second
one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from inhouse.core import Reporter


@contextmanager
def finishing_the_step(
    reporter: Reporter, then: str = "what was learned so far becomes a model"
) -> Iterator[Callable[[], bool]]:
    """Within, the first SIGINT or SIGTERM is only remembered; the function that is given tells whether there was one.

    Args:
        then: what the person who stopped it is told to expect.

    Outside the main thread (a job of the server) signals are not ours, and nothing is caught.
    """
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        reporter.say(f"stopping after this step; {then} (Ctrl-C again stops at once)")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
