"""Differences between dataset versions as they are shown: side by side, and never longer than a screen can bear."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from inhouse.core import Example, Reporter, Split, counted, render_input
from inhouse.dataset import Difference, parts_changed

# Characters of a text that are shown, and of them before the first that differs.
EXCERPT, LEAD = 200, 60
# Rows that `add` tells of.
TOLD = 5
TEST_CHANGED = "test changed: earlier evaluations do not compare with later ones (`inhouse evaluate` again)"


def rows_shown(difference: Difference, most: int) -> list[dict[str, Any]]:
    """The first rows that differ, those that changed first: what changed, the place, and the texts, cut."""
    return list(islice(_rows(difference), most))


def _rows(difference: Difference) -> Iterator[dict[str, Any]]:
    for (before, _), (after, split) in difference.changed:
        parts = [
            {"part": part, "before": old, "after": new}
            for part, was, now in parts_changed(before, after)
            for old, new in [_around(was, now)]
        ]
        yield {**_row("changed", after, split), "was": str(before.provenance), "parts": parts}
    for what, rows in (("added", difference.added), ("removed", difference.removed)):
        for example, split in rows:
            texts = {"input": _cut(render_input(example.inputs)), "target": _cut(example.target)}
            yield {**_row(what, example, split), **texts}


def _row(what: str, example: Example, split: Split) -> dict[str, Any]:
    return {"change": what, "place": str(example.provenance), "key": example.key, "split": split}


def _around(before: str, after: str) -> tuple[str, str]:
    """Two texts, cut to where they begin to differ."""
    shared = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(map(len, (before, after)))
    )
    start = 0 if max(len(before), len(after)) <= EXCERPT else max(0, shared - LEAD)
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int = 0) -> str:
    end = start + EXCERPT
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def lines_of(row: dict[str, Any]) -> list[str]:
    """A row of `rows_shown` for a person."""
    sign = {"changed": "~", "added": "+", "removed": "-"}[row["change"]]
    key = f", key {row['key']}" if row["key"] else ""
    moved = f", was {row['was']}" if row.get("was", row["place"]) != row["place"] else ""
    head = f"{sign} {row['place']} ({row['split']}{key}{moved})"
    if row["change"] == "changed":
        return [head, *(f"    {p['part']}: {p['before']!r} -> {p['after']!r}" for p in row["parts"])]
    return [head, f"    {row['input']!r} -> {row['target']!r}"]


def tell_replaced(difference: Difference, reporter: Reporter) -> None:
    """Say what rows of a corrected file, or of another reading of one, replaced."""
    count = len(difference.changed)
    reporter.say(f"{counted(count, 'row')} {'was' if count == 1 else 'were'} replaced:")
    for row in rows_shown(difference, min(count, TOLD)):
        for line in lines_of(row):
            reporter.say(f"  {line}")
    if count > TOLD:
        reporter.say(f"  ... and {count - TOLD} more: `inhouse diff` shows them")
    if difference.test_changed:
        reporter.warn(TEST_CHANGED)
