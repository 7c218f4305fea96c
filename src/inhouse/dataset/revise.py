"""Dataset versions out of older ones: without what findings drop, or with the corrections of people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from inhouse.core import Dataset, Example, Finding, Kind, Masked, Split, target_key
from inhouse.core.json_schema import compact, ordered, parse_object
from inhouse.dataset.build import Built, label_warnings
from inhouse.dataset.schema import fitted
from inhouse.dataset.split import assign_splits
from inhouse.dataset.twins import TestTwins
from inhouse.errors import Refused, UsageError


def apply_findings(dataset: Dataset, findings: Sequence[Finding], number: int, reason: str) -> Dataset:
    """The version with what the findings drop, relabel and mask; every example keeps its split and group.

    Test examples are masked like all others, as what must not be read must not be read there either; nothing else is
    done to them.

    Raises:
        Refused: a finding would drop or relabel a test example, or two give an example different targets.
        UsageError: a finding is of another dataset version.
    """
    gone: set[int] = set()
    relabel: dict[int, str] = {}
    mask: defaultdict[int, set[Masked]] = defaultdict(set)
    for finding in findings:
        _require_applicable(dataset, finding)
        gone.update(finding.drop)
        for position, target in finding.relabel.items():
            if relabel.setdefault(position, target) != target:
                raise Refused(
                    f"{dataset.examples[position].provenance} would be both {relabel[position]!r} and {target!r}",
                    "accept one of the findings on it",
                )
        for position, stretches in finding.mask.items():
            mask[position].update(stretches)
    kept = [i for i in range(len(dataset.examples)) if i not in gone]
    return replace(
        dataset,
        number=number,
        examples=tuple(_edited(dataset.examples[i], relabel.get(i), mask.get(i, ())) for i in kept),
        splits=tuple(dataset.splits[i] for i in kept),
        reason=reason,
        parent=dataset.number,
        fingerprint="",
    )


def _require_applicable(dataset: Dataset, finding: Finding) -> None:
    for position in finding.touched:
        if not 0 <= position < len(dataset.examples):
            raise UsageError(
                f"finding {finding.id} is not of dataset version {dataset.number}, which has no row {position}",
                f"look again: `inhouse clean {dataset.task}`",
            )
    for position in (*finding.drop, *finding.relabel):
        if dataset.splits[position] == "test":
            raise Refused(
                f"finding {finding.id} would change the test example {dataset.examples[position].provenance}",
                "test examples are never edited; correct the file and begin a new task with it",
            )


def _edited(example: Example, target: str | None, stretches: Collection[Masked]) -> Example:
    if target is None and not stretches:
        return example
    values = {name: _masked(text, [m for m in stretches if m.field == name]) for name, text in example.inputs.items()}
    # A mask is of the target that was there; a relabelled one is as clean as the labels are.
    answer = _masked(example.target, [m for m in stretches if not m.field]) if target is None else target
    return replace(example, inputs=values, target=answer, id="")


def _masked(text: str, stretches: Sequence[Masked]) -> str:
    """Text with stretches replaced, from the end on; of two that overlap the longer one counts."""
    free = len(text)
    for one in sorted(stretches, key=lambda m: (-m.end, m.start)):
        if one.end <= free:
            text, free = text[: one.start] + one.text + text[one.end :], one.start
    return text


def next_version(dataset: Dataset, corrections: Sequence[Example], number: int, reason: str, *, kind: Kind) -> Built:
    """The version with corrections on its train side; the test split stays as it is.

    A correction of a test example's input is dropped. One whose input is there with another target replaces it,
    and takes its group and split; an object is another where its values are. One that says the same replaces it where
    it alone knows a rejected answer. Of two corrections of the same input the later counts. All of it is listed.
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
            dropped.append((correction, f"dropped: {why}"))
            continue
        right = target_key(correction.target, kind)
        same = there.get(key, [])
        agreeing = [i for i in same if target_key(dataset.examples[i].target, kind) == right]
        said = [i for i in agreeing if dataset.examples[i].rejected or not correction.rejected]
        for i in (i for i in same if not (said and i in agreeing)):
            gone.add(i)
            dropped.append((dataset.examples[i], _replaced(dataset.examples[i], correction, again=i in agreeing)))
        if not said:
            added.append(replace(correction, group=dataset.examples[same[0]].group) if same else correction)
        elif len(agreeing) == len(same):
            dropped.append((correction, f"dropped: {dataset.examples[said[0]].provenance} says the same"))
    revised = _with(dataset, gone, added, number, reason, kind)
    return Built(revised, dropped, warnings=label_warnings(revised, kind))


def _replaced(example: Example, correction: Example, *, again: bool) -> str:
    if again:
        return f"replaced: {correction.provenance} says the same, and what was answered wrongly"
    return f"replaced: {_short(example.target)} is {_short(correction.target)} by {correction.provenance}"


def _short(target: str, most: int = 60) -> str:
    return repr(target if len(target) <= most else f"{target[: most - 3]}...")


def _newest(corrections: Sequence[Example]) -> tuple[dict[str, Example], list[tuple[Example, str]]]:
    newest: dict[str, Example] = {}
    older: list[tuple[Example, str]] = []
    for correction in corrections:
        key = correction.input_key
        if key in newest:
            older.append((newest[key], f"dropped: {correction.provenance} corrects the same input later"))
        newest[key] = correction
    return newest, older


def _with(dataset: Dataset, gone: set[int], added: list[Example], number: int, reason: str, kind: Kind) -> Dataset:
    pairs = list(zip(dataset.examples, dataset.splits, strict=True))
    known: dict[str, Split] = {e.group: split for e, split in pairs if split != "test"}
    kept = [pair for i, pair in enumerate(pairs) if i not in gone]
    side = [e for e, split in kept if split != "test"]
    splits = assign_splits([*side, *added], kind=kind, previous=known, test_given=True)
    kept += zip(added, splits[len(side) :], strict=True)
    return replace(
        dataset,
        number=number,
        examples=tuple(e for e, _ in kept),
        splits=tuple(s for _, s in kept),
        reason=reason,
        parent=dataset.number,
        fingerprint="",
    )


def in_schema_order(dataset: Dataset, schema: Mapping[str, Any]) -> Dataset:
    """The dataset with the train side's objects as answers are written: in the schema's key order, of its types."""
    examples = [
        e
        if split == "test" or (found := parse_object(e.target)) is None
        else replace(e, target=compact(ordered(schema, fitted(schema, found))), id="")
        for e, split in zip(dataset.examples, dataset.splits, strict=True)
    ]
    return replace(dataset, examples=tuple(examples), fingerprint="")
