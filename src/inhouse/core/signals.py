"""The wish to stop: Ctrl-C, and the end that a service manager or a batch queue asks for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_asked(heard: Callable[[bool], None] = lambda _again: None) -> Iterator[Callable[[], bool]]:
    """Within, SIGINT and SIGTERM are only remembered; the function that is given tells whether there was one.

    Args:
        heard: called at each, with whether there was one before.

    Outside the main thread (a job of the server) signals are not ours, and nothing is caught.
    """
    asked = False

    def remember(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        again, asked = asked, True
        heard(again)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
