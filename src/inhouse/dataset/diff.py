"""What differs between two dataset versions, row by row."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from inhouse.core import SPLITS, Dataset, Example, Split

Row = tuple[Example, Split]


@dataclass(frozen=True, slots=True)
class Difference:
    """The rows that only one of two versions has, those that changed (before, after), and how many stayed."""

    added: list[Row]
    removed: list[Row]
    changed: list[tuple[Row, Row]]
    unchanged: int

    def by_split(self) -> dict[str, dict[str, int]]:
        """How many rows were added, removed and changed, by split (of a changed row: the later one)."""
        found = {
            "added": Counter(split for _, split in self.added),
            "removed": Counter(split for _, split in self.removed),
            "changed": Counter(split for _, (_, split) in self.changed),
        }
        return {split: {what: counts[split] for what, counts in found.items()} for split in SPLITS}

    def by_target(self) -> dict[str, int]:
        """By target, how many rows more (or less) the later version has of it; those that differ, the most first."""
        more: Counter[str] = Counter(e.target for e, _ in self.added)
        more.update(after.target for _, (after, _) in self.changed)
        more.subtract(e.target for e, _ in self.removed)
        more.subtract(before.target for (before, _), _ in self.changed)
        return {t: n for t, n in sorted(more.items(), key=lambda pair: (-abs(pair[1]), pair[0])) if n}

    @property
    def test_changed(self) -> bool:
        """Whether models that were tested on one version were not tested on the same examples as on the other."""
        sides = [s for _, s in (*self.added, *self.removed)] + [s for pair in self.changed for _, s in pair]
        return "test" in sides


def difference(before: Dataset, after: Dataset) -> Difference:
    """Compare two versions.

    Equal content in the same split is the same row, wherever it stands. Of the rest, a row and its later form share
    their key, or else their place in a source, their content or their input, in this order.
    """
    left, right = _rows(before), _rows(after)
    total = len(right)
    _, left, right = _paired(left, right, lambda row: (row[0].id, row[1]))
    unchanged = total - len(right)
    changed: list[tuple[Row, Row]] = []
    for shared in (_key, _place, lambda row: row[0].id, lambda row: row[0].input_key):
        pairs, left, right = _paired(left, right, shared)
        changed += pairs
    return Difference(right, left, changed, unchanged)


def _rows(dataset: Dataset) -> list[Row]:
    return list(zip(dataset.examples, dataset.splits, strict=True))


def _key(row: Row) -> Hashable:
    return row[0].key or None


def _place(row: Row) -> Hashable:
    where = row[0].provenance
    return (where.file, where.part, where.line, where.sha256)


def _paired(
    left: Iterable[Row], right: Iterable[Row], shared: Callable[[Row], Hashable]
) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
    """Pairs of rows that share something, each row in one pair at most, and what is left of either side, in order.

    Args:
        shared: what; None where a row has no such thing.
    """
    left = list(left)
    waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for place, row in enumerate(left):
        if (what := shared(row)) is not None:
            waiting[what].append(place)
    pairs: list[tuple[Row, Row]] = []
    taken: set[int] = set()
    rest: list[Row] = []
    for row in right:
        what = shared(row)
        if what is not None and (places := waiting.get(what)):
            place = places.popleft()
            taken.add(place)
            pairs.append((left[place], row))
        else:
            rest.append(row)
    return pairs, [row for place, row in enumerate(left) if place not in taken], rest


def parts_changed(before: Example, after: Example) -> Iterator[tuple[str, str, str]]:
    """The parts of an example that differ: each input field by name, `target` and `rejected`, before and after.

    An input field that is called like one of the others is told apart by `input.` before its name.
    """
    for name in dict.fromkeys((*before.inputs, *after.inputs)):
        old, new = before.inputs.get(name, ""), after.inputs.get(name, "")
        if old != new:
            yield (f"input.{name}" if name in ("target", "rejected") else name), old, new
    if before.target != after.target:
        yield "target", before.target, after.target
    if before.rejected != after.rejected:
        yield "rejected", before.rejected, after.rejected
