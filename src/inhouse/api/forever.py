"""What a server does again and again, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

_log = logging.getLogger("inhouse")


async def forever(what: str, work: Callable[[], Awaitable[None]], seconds: float) -> NoReturn:
    """Work, then wait so many seconds, and so on. A fault is logged once, however often it comes, and it goes on.

    Args:
        what: the work, as the log calls it.
    """
    last = ""
    while True:
        try:
            await work()
            last = ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            fault = f"{type(error).__name__}: {error}".splitlines()[0]
            if fault != last:
                _log.warning("%s is tried again in %g s: %s", what, seconds, fault)
            last = fault
        await asyncio.sleep(seconds)
