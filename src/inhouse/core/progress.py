"""How long work reports where it is; the CLI shows bars, the API stays silent, tests may listen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# Of many messages of one kind so many are shown.
_SHOWN = 5


class Bar(Protocol):
    """One piece of work with a known amount."""

    def update(self, done: float, note: str = "") -> None:
        """Set how much is done so far, with a short note beside it."""
        ...


class Reporter(Protocol):
    """Where progress and messages of a command go."""

    def say(self, message: str) -> None:
        """Tell a person one line."""
        ...

    def warn(self, message: str) -> None:
        """Tell a person one line that must not be overlooked."""
        ...

    def bar(self, title: str, total: float) -> Bar:
        """Begin a bar; it ends when its total is reached or another one begins."""
        ...


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def warn_of_first(reporter: Reporter, messages: Sequence[str], in_all: str) -> None:
    """Warn of the first messages, and where there are more, of how many there are.

    Args:
        in_all: what follows the number of all of them: "rows were left out in all".
    """
    for message in messages[:_SHOWN]:
        reporter.warn(message)
    if len(messages) > _SHOWN:
        reporter.warn(f"... {len(messages):,} {in_all}")


class _SilentBar:
    def update(self, done: float, note: str = "") -> None:
        """Nothing to show."""


class Silent:
    """A reporter that shows nothing but remembers what was said and warned."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        """Keep the line."""
        self.said.append(message)

    def warn(self, message: str) -> None:
        """Keep the warning."""
        self.warned.append(message)

    def bar(self, title: str, total: float) -> Bar:
        """A bar that shows nothing."""
        return _SilentBar()
