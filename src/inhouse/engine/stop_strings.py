"""Where a growing text is cut: before the first of some strings that it comes to say."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Strings that end a text and are no part of it.

    Which one ends it does not depend on how the text is cut into tokens: the first that is whole, and of those that are
    whole with the same letter the longest.

    Args:
        strings: none of them empty.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(strings)
        self._reach = max(map(len, self._strings), default=1) - 1

    def end(self, text: str) -> int | None:
        """Where a text is cut; None where it says none of them yet."""
        found = [(start + len(one), start) for one in self._strings if (start := text.find(one)) >= 0]
        return min(found)[1] if found else None

    def certain(self, text: str) -> int:
        """How many letters of a text stay, whatever comes: behind them one of the strings may have begun."""
        for start in range(max(0, len(text) - self._reach), len(text)):
            if any(one.startswith(text[start:]) for one in self._strings):
                return start
        return len(text)


NO_STOPS = StopStrings(())
