"""Work that waits in a queue, taken together."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def groups(waiting: SimpleQueue[T | None], most: int) -> Iterator[list[T]]:
    """All that waits, `most` at a time, as soon as there is any; ends where there is a None."""
    while (first := waiting.get()) is not None:
        group = [first]
        while len(group) < most:
            try:
                following = waiting.get_nowait()
            except Empty:
                break
            if following is None:
                waiting.put(None)  # for the loop above
                break
            group.append(following)
        yield group
