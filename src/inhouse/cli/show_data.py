"""Data as text for a person: what differs, what was taken back or forgotten, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inhouse.clean.findings import cut
from inhouse.core import counted
from inhouse.pipeline import Diff, Exchange, FindingsPage, Forgotten, Undone
from inhouse.pipeline.differences import TEST_CHANGED, lines_of
from inhouse.pipeline.versions import FORGOT

# Rows and labels on the screen.
ROWS, LABELS = 20, 10
# Characters of an example; `--json` has twice as many.
SHOWN = 150


def differences(result: Diff) -> str:
    """Two versions: counts, why, and rows side by side."""
    lines = [
        f"{result.task}: version {result.before} -> version {result.after}: {counted(result.added, 'row')} added, "
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
    if result.why and result.why[-1]["reason"].startswith(FORGOT):  # nothing brings back what is forgotten
        return "\n".join([*lines, f"next: inhouse clean {result.task}"])
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


def forgotten(result: Forgotten, *, again: str) -> str:
    """What was erased, or would be; what cannot be, and what to do about it.

    Args:
        again: the command that erases.
    """
    if not result.rows and not result.done:
        lines = [f"{result.task}: no row of any version is of that; --yes looks for what an earlier command left"]
        return "\n".join([*lines, *_next_to_erase(result), "next: inhouse status"])
    verb = "erased" if result.done else "would be erased"
    lines = [
        f"{result.task}: {counted(result.rows, 'row')} {verb}, of {counted(len(result.versions), 'dataset version')}"
    ]
    lines += [f"  {count} of {source}" for source, count in result.sources.items()]
    if result.places:
        lines.append(f"  at {', '.join(result.places)}{' ...' if result.rows > len(result.places) else ''}")
    if result.pooled:
        lines.append(f"  {result.pooled} of the pool of unlabelled records {verb}")
    if result.done:
        parts = {
            "kept answers": result.predictions,
            "findings": result.findings,
            "served requests": result.traces,
            "rejected rows": result.rejected,
            "lines of uploaded files": result.file_lines,
            "unfinished trainings": result.runs,
            "left-over files": result.strays,
        }
        lines += [f"  {count} {what} {verb}" for what, count in parts.items() if count]
        lines += [f"  what the file of {name} kept beside its weights is erased" for name in result.classifiers]
        lines += [f"  words that only these rows taught {name} are erased" for name in result.trimmings]
    if result.masks:
        names = ", ".join(result.masks[:LABELS]) + (" ..." if len(result.masks) > LABELS else "")
        lines.append(
            f"  of {counted(len(result.masks), 'placeholder')}, what is hidden {verb}, from the encrypted map: {names}"
        )
        lines.append("  rows in which only a placeholder stands stay; `--match` with the placeholder erases them")
    if result.reports:
        lines.append(f"  reports {verb}: {', '.join(result.reports)} (`inhouse evaluate` writes new ones)")
    if result.test_rows:
        lines.append(f"  {result.test_rows} of them are test examples. {TEST_CHANGED}")
    lines += _next_to_erase(result)
    command = again
    if result.done:
        command = f"inhouse train {result.task}" if result.new_dataset or result.models else "inhouse status"
    return "\n".join([*lines, f"next: {command}"])


def _next_to_erase(result: Forgotten) -> list[str]:
    """What `forget` cannot do, and who can."""
    lines = []
    if result.models:
        lines += [
            f"trained on what is forgotten: {', '.join(result.models)}. Weights cannot be mended: train again, promote",
            "  the new version, and delete exports of the old ones",
        ]
    if result.elsewhere:
        lines.append(f"held by other tasks too: {', '.join(result.elsewhere)} (forget it there as well)")
    lines += [f"still in {place}: not inhouse's to change, so mend it yourself" for place in result.remaining]
    lines += [f"{place} could not be read, and may hold it: look yourself" for place in result.unread]
    if result.rows:
        lines.append("your own files, backups and exports are yours to mend: adding such a file again brings rows back")
    return lines


def findings_page(result: FindingsPage) -> str:
    """Kept findings, each with its examples side by side."""
    lines = [
        f"{result.task}: {counted(result.count, 'finding')} on dataset version {result.dataset} ({result.show}), "
        f"page {result.page} of {result.pages}"
    ]
    for finding, status in result.findings:
        done = " (applied)" if status == "accepted" else ""
        lines.append(f"[{finding.severity}] {finding.id} {finding.check}{done}: {finding.reason}")
        for one in finding.evidence:
            note = f"   {one.note}" if one.note else ""
            lines.append(f"    {one.place} ({one.split})  {cut(one.input, SHOWN)} -> {cut(one.target, SHOWN)}{note}")
        if finding.count > len(finding.evidence):
            lines.append(f"    ... {finding.count} examples in all")
        lines.append(f"    apply: {finding.action}")
    safe = any(finding.safe and status == "open" for finding, status in result.findings)
    command = f"inhouse clean {result.task} --show {result.show} --page {result.page + 1}"
    if result.page == result.pages and safe:
        command = f"inhouse clean {result.task} --apply safe   (or --apply ID)"
    elif result.page == result.pages:
        command = f"inhouse train {result.task}   (or, for what is to change, inhouse clean {result.task} --apply ID)"
    return "\n".join([*lines, f"next: {command}"])


def exchanged(result: Exchange) -> str:
    """What was exchanged with a labelling tool."""
    if result.files:
        written = f"{counted(result.records, 'record')} written, {result.labelled} with answers"
        lines = [f"{result.task}: {written}: {result.files[0]}"]
        lines += [f"labelling interface: {file}" for file in result.files[1:]]
        return "\n".join([*lines, f"next: inhouse label {result.task}"])
    lines = [
        f"{result.task}: {counted(result.records, 'record')} read, {result.labelled} with an answer that can be used"
    ]
    lines += [f"people disagree, so it stays unlabelled: {one}" for one in result.disagreements[:ROWS]]
    return "\n".join([*lines, f"dataset version {result.dataset}", f"next: inhouse clean {result.task}"])
