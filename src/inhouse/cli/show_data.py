"""Dataset versions as text for a person: what differs, and what was taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inhouse.pipeline import Diff, Undone
from inhouse.pipeline.differences import TEST_CHANGED, lines_of

# Rows and labels on the screen.
ROWS, LABELS = 20, 10


def differences(result: Diff) -> str:
    """Two versions: counts, why, and rows side by side."""
    lines = [
        f"{result.task}: version {result.before} -> version {result.after}: {result.added} rows added, "
        f"{result.removed} removed, {result.changed} changed, {result.unchanged} the same"
    ]
    for split, counts in result.splits.items():
        if any(counts.values()):
            lines.append(f"  {split}: " + ", ".join(f"{n} {what}" for what, n in counts.items() if n))
    if result.labels:
        shown = [f"{label} {more:+}" for label, more in list(result.labels.items())[:LABELS]]
        rest = f" and {len(result.labels) - LABELS} more labels" if len(result.labels) > LABELS else ""
        lines.append(f"  labels: {', '.join(shown)}{rest}")
    lines += _steps("why", result.why) + _steps("taken back", result.left)
    lines += [line for row in result.rows[:ROWS] for line in lines_of(row)]
    total = result.added + result.removed + result.changed
    if total > ROWS:
        lines.append(f"... and {total - ROWS} more rows (--json shows 1,000)")
    if result.test_changed:
        lines.append(TEST_CHANGED)
    return "\n".join([*lines, f"next: inhouse undo {result.task}   (takes the newest change back)"])


def _steps(title: str, steps: Sequence[dict[str, Any]]) -> list[str]:
    return [f"  {title}: version {step['version']}, {step['reason']}" for step in steps]


def undone(result: Undone) -> str:
    """What `undo` made, and how to undo that."""
    counts = result.counts
    lines = [
        f"{result.task}: dataset version {result.dataset} has the content of version {result.equals}: "
        f"{counts['train']} training, {counts['validation']} validation and {counts['test']} test examples",
        *(f"  taken back: {reason}" for reason in result.left),
        f"to take this back: inhouse undo {result.task} --to {result.before}",
    ]
    return "\n".join([*lines, f"next: inhouse diff {result.task}"])
