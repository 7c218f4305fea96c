"""What a launcher such as `accelerate launch` tells a process of those that it started, in environment variables."""

from __future__ import annotations

import os

from inhouse.errors import ConfigError


def process_count() -> int:
    """How many processes were started, on all machines; 1 where nothing launched this one.

    Raises:
        ConfigError: the variable holds no such number.
    """
    return _number("WORLD_SIZE", 1, least=1)


def process_rank() -> int:
    """Which of them this one is, from 0 on.

    Raises: as `process_count`.
    """
    return _number("RANK", 0, least=0)


def processes_here() -> int:
    """How many of them run on this machine.

    Raises: as `process_count`.
    """
    return _number("LOCAL_WORLD_SIZE", 1, least=1)


def _number(name: str, absent: int, *, least: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return absent
    if not text.isascii() or not text.isdecimal() or int(text) < least:
        raise ConfigError(
            f"the environment variable {name} is {text!r}, not a whole number from {least} on",
            f"unset it, or let `accelerate launch` set it: env -u {name} inhouse ...",
        )
    return int(text)
