"""How many requests a key may make: a bucket of tokens for each, in the memory of this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from inhouse.store import keys


@dataclass(frozen=True)
class Left:
    """What is left of a key's limit. `seconds`: until the next request may come; 0 where this one may."""

    limit: int
    requests: int
    seconds: float
    full_in: float

    def headers(self) -> dict[str, str]:
        """As OpenAI tells it."""
        told = {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.requests),
            "x-ratelimit-reset-requests": f"{self.full_in:.3f}s",
        }
        return told | ({"retry-after": str(math.ceil(self.seconds))} if self.seconds > 0 else {})


class Buckets:
    """A minute's requests may come at once; then they come as fast as the bucket fills.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._filled: dict[str, tuple[float, float]] = {}

    def take(self, key: keys.ApiKey | None) -> Left | None:
        """Count a request of the key, if it may come; None where the key has no limit."""
        if key is None or key.per_minute is None:
            return None
        limit, now = key.per_minute, self._clock()
        tokens, before = self._filled.get(key.id, (float(limit), now))
        tokens = min(float(limit), tokens + (now - before) * limit / 60)
        seconds = max(0.0, (1 - tokens) * 60 / limit)
        if seconds == 0:
            tokens -= 1
        self._filled[key.id] = (tokens, now)
        return Left(limit, int(tokens), seconds, (limit - tokens) * 60 / limit)
