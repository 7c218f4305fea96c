"""Work on very many texts, in processes of their own, one a core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

# Fewer texts are read before processes have started.
MANY = 50_000
# Processes at most: each holds what it imports, some 150 MiB.
_MOST = 4
# They stay for the next call so long.
_IDLE_S = 5


def over_cores(function: Callable[[Part], Result], parts: Iterable[Part], *, many: bool) -> Iterator[Result]:
    """What the function gives for each part, in order.

    Args:
        function: of a module, or a `partial` of one: another process must be able to import it.
        parts: taken one after the other as processes become free, so that they are never all in memory.
        many: whether there is work enough for processes of their own; everything is done in this one otherwise.
    """
    count = 1
    if many:
        import joblib

        count = min(_MOST, joblib.cpu_count())
    if count < 2:
        yield from map(function, parts)
        return
    # Arrays go through the pipe: what joblib writes to files for them would be of the user's data.
    run = joblib.Parallel(
        n_jobs=count,
        batch_size=1,
        pre_dispatch=2 * count,
        max_nbytes=None,
        return_as="generator",
        idle_worker_timeout=_IDLE_S,
    )
    results = run(joblib.delayed(function)(part) for part in parts)
    try:
        yield from results
    finally:
        results.close()
