"""Rows that replace rows: what has a key (`--key COLUMN`) and is there already is mended, not added."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inhouse.core import Example, Split

_Row = tuple[Example, Split | None]


@dataclass(frozen=True, slots=True)
class Merged:
    """The rows of a version with what replaces some of them in its place, and the examples that are new.

    `replaced` has pairs of what stood there and what does now; `unchanged` counts examples that say what is there.
    """

    rows: list[_Row]
    train: list[Example]
    test: list[Example]
    replaced: list[tuple[Example, Example]]
    unchanged: int


def merged_by_key(old: Sequence[_Row], train: Sequence[Example], test: Sequence[Example]) -> Merged:
    """Put examples whose key is there in the place of what has it; group and split stay, on the test side too.

    An example of `train` replaces the row of its key on the train side, or else that on the test side, which was split
    off from such files; one of `test` (a given test file) a row on the test side alone. One that says the same changes
    nothing. A row that was added before there were keys gets the key of an example with its content. Of two new
    examples of the same key the later counts. Examples without a key are passed on.
    """
    places, rows = _Places(old), list(old)
    unchanged = 0
    passed: list[list[Example]] = []
    for given, is_test in ((train, False), (test, True)):
        new: list[Example] = []
        of_key: dict[str, int] = {}
        for example in given:
            place = places.of(example, is_test=is_test) if example.key else None
            if place is not None:
                (before, split) = rows[place]
                same = before.id == example.id
                unchanged += same
                after = replace(before, key=example.key) if same else replace(example, group=before.group)
                rows[place] = (after, split)
            elif example.key in of_key:
                new[of_key[example.key]] = example
            else:
                if example.key:
                    of_key[example.key] = len(new)
                new.append(example)
        passed.append(new)
    replaced = [(o, n) for (o, _), (n, _) in zip(old, rows, strict=True) if o.id != n.id]
    return Merged(rows, passed[0], passed[1], replaced, unchanged)


class _Places:
    """Where the rows of a version stand, by side and key; those without a key by their content."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._by_key: dict[tuple[bool, str], int] = {}
        self._without_key: defaultdict[tuple[bool, str], deque[int]] = defaultdict(deque)
        for place, (example, split) in enumerate(rows):
            if example.key:
                self._by_key.setdefault((split == "test", example.key), place)
            else:
                self._without_key[split == "test", example.id].append(place)

    def of(self, example: Example, *, is_test: bool) -> int | None:
        """The row that an example is a newer form of, if any."""
        sides = (True,) if is_test else (False, True)
        for side in sides:
            if (place := self._by_key.get((side, example.key))) is not None:
                return place
        for side in sides:
            if there := self._without_key.get((side, example.id)):
                return self._by_key.setdefault((side, example.key), there.popleft())
        return None
