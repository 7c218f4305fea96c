"""Dataset versions out of older ones: without what findings drop, or with the corrections of people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from inhouse.core import Dataset, Example, Finding, Split
from inhouse.dataset.build import Built, label_warnings
from inhouse.dataset.split import assign_splits
from inhouse.dataset.twins import TestTwins
from inhouse.errors import Refused, UsageError


def apply_findings(dataset: Dataset, findings: Sequence[Finding], number: int, reason: str) -> Dataset:
    """The version without the examples that the findings drop; every other keeps its split.

    Raises:
        Refused: a finding would drop a test example.
        UsageError: a finding is of another dataset version.
    """
    gone: set[int] = set()
    for finding in findings:
        for position in finding.drop:
            if not 0 <= position < len(dataset.examples):
                raise UsageError(
                    f"finding {finding.id} is not of dataset version {dataset.number}, which has no row {position}",
                    f"look again: `inhouse clean {dataset.task}`",
                )
            if dataset.splits[position] == "test":
                raise Refused(
                    f"finding {finding.id} would drop the test example {dataset.examples[position].provenance}",
                    "test examples are never edited; correct the file and begin a new task with it",
                )
        gone.update(finding.drop)
    kept = [i for i in range(len(dataset.examples)) if i not in gone]
    return replace(
        dataset,
        number=number,
        examples=tuple(dataset.examples[i] for i in kept),
        splits=tuple(dataset.splits[i] for i in kept),
        reason=reason,
        parent=dataset.number,
    )


def next_version(dataset: Dataset, corrections: Sequence[Example], number: int, reason: str) -> Built:
    """The version with corrections on its train side; the test split stays as it is.

    A correction of a test example's input is dropped. One whose input is there with another target replaces it,
    and takes its group and split. Of two corrections of the same input the later counts. All of it is listed.
    """
    twins = TestTwins(dataset.of("test"))
    newest, dropped = _newest(corrections)
    there: defaultdict[str, list[int]] = defaultdict(list)
    for i, (example, split) in enumerate(zip(dataset.examples, dataset.splits, strict=True)):
        if split != "test":
            there[example.input_key].append(i)
    gone: set[int] = set()
    added: list[Example] = []
    for key, correction in newest.items():
        if why := twins.why(correction):
            dropped.append((correction, why))
            continue
        same = [dataset.examples[i] for i in there.get(key, [])]
        wrong = [e for e in same if e.target != correction.target]
        gone.update(i for i in there.get(key, []) if dataset.examples[i].target != correction.target)
        dropped += [(e, f"replaced: {e.target!r} is {correction.target!r} by {correction.provenance}") for e in wrong]
        if len(wrong) == len(same):
            added.append(replace(correction, group=same[0].group) if same else correction)
        elif not wrong:
            dropped.append((correction, f"dropped: {same[0].provenance} says the same"))
    revised = _with(dataset, gone, added, number, reason)
    return Built(revised, dropped, label_warnings(revised))


def _newest(corrections: Sequence[Example]) -> tuple[dict[str, Example], list[tuple[Example, str]]]:
    newest: dict[str, Example] = {}
    older: list[tuple[Example, str]] = []
    for correction in corrections:
        key = correction.input_key
        if key in newest:
            older.append((newest[key], f"dropped: {correction.provenance} corrects the same input later"))
        newest[key] = correction
    return newest, older


def _with(dataset: Dataset, gone: set[int], added: list[Example], number: int, reason: str) -> Dataset:
    pairs = list(zip(dataset.examples, dataset.splits, strict=True))
    known: dict[str, Split] = {e.group: split for e, split in pairs if split != "test"}
    kept = [pair for i, pair in enumerate(pairs) if i not in gone]
    side = [e for e, split in kept if split != "test"]
    splits = assign_splits([*side, *added], previous=known, test_given=True)
    kept += zip(added, splits[len(side) :], strict=True)
    return replace(
        dataset,
        number=number,
        examples=tuple(e for e, _ in kept),
        splits=tuple(s for _, s in kept),
        reason=reason,
        parent=dataset.number,
    )
