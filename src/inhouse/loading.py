"""Loading libraries, models and examples without Python's search for reference cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Within, reference cycles are not looked for, and afterwards not among what is there by then.

    torch and transformers make half a million objects that stay, and each search goes through them: a fifth of the time
    that it takes to load them (docs/log.md).
    """
    if not gc.isenabled():  # within another one
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
