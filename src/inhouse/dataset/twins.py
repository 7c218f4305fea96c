"""Twins of test examples: what must not be trained on."""

from __future__ import annotations

from collections.abc import Iterable

from inhouse.core import Example


class TestTwins:
    """Finds the test example that shares its input or its group with another example."""

    __test__ = False  # not a test class, whatever its name begins with

    def __init__(self, test: Iterable[Example]) -> None:
        self._by_key: dict[str, Example] = {}
        self._by_group: dict[str, Example] = {}
        for example in test:
            self._by_key.setdefault(example.input_key, example)
            self._by_group.setdefault(example.group, example)

    def why(self, example: Example) -> str:
        """Why nothing may learn from `example`, with both places; empty when it may."""
        if not self._by_key:  # no test yet: a look at a million examples less
            return ""
        if twin := self._by_key.get(example.input_key):
            return f"{example.provenance} has the same input as the test example {twin.provenance}"
        if twin := self._by_group.get(example.group):
            return f"{example.provenance} is in group {example.group!r}, as the test example {twin.provenance} is"
        return ""
