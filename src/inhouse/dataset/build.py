"""Dataset versions out of new examples: split, kept apart from the test examples, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from inhouse.core import Dataset, Example, Kind, Split
from inhouse.dataset.keys import merged_by_key
from inhouse.dataset.learnable import check_learnable, rare_labels
from inhouse.dataset.rereading import OtherLines, Protected, read_anew, whence
from inhouse.dataset.split import assign_splits
from inhouse.dataset.twins import TestTwins
from inhouse.errors import TooFewExamples

# An example with its split; None while it has none.
_Row = tuple[Example, Split | None]


class _Placed(NamedTuple):
    """An example with its split, why nothing may learn from it, and whether it was no test example before."""

    example: Example
    split: Split
    why: str = ""
    new_test: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """A new dataset version; the examples that it leaves out, each with the reason; what to tell the user.

    `leaks` are examples that stay and that nothing learns from (see `without_leaks`), each with the reason; `replaced`
    are rows of the version before that rows of the same key, or another reading of the file, stand in for, each with
    what stood there; `misread` are rows that another reading of the file does not have, and that are left out;
    `protected` are rows that stay as they are, whatever it says.
    """

    dataset: Dataset
    dropped: list[tuple[Example, str]] = field(default_factory=list)
    leaks: list[tuple[Example, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    replaced: list[tuple[Example, Example]] = field(default_factory=list)
    misread: list[Example] = field(default_factory=list)
    protected: list[Example] = field(default_factory=list)


def build_dataset(
    task_name: str,
    number: int,
    train: Sequence[Example],
    test: Sequence[Example] | None,
    *,
    kind: Kind,
    previous: Dataset | None,
    drop_rare: bool,
    reason: str,
    reread: OtherLines | None = None,
    protected: Protected = lambda old, new: False,
) -> Built:
    """The version that `train` and `test` make, on top of `previous` if there is one.

    Test examples go in as they are and stay test for ever. What shares input or group with one stays on the train side,
    where `clean` finds it and nothing learns from it. Everything else keeps its split; new groups get one by
    `assign_splits`, and join the test only where no test file was ever given. Rows whose place in a file `previous`
    holds add nothing. A row whose key is there replaces what stands there (see `merged_by_key`).

    Args:
        test: the examples of a given test file; None when none was given now.
        kind: of the task; labels are looked at for classify alone.
        drop_rare: set aside the examples of labels that appear once, instead of raising.
        reread: files that are read otherwise than before, with the lines of their examples (see `read_anew`).
        protected: whether a row of `previous` stays as it is, whatever another reading of its file says.

    Raises:
        TooFewExamples: see `check_learnable`; or nothing is left to validate or to test with.
    """
    anew = read_anew(_placed(previous), [*train, *(test or [])], reread or {}, protected)
    old, of_test = anew.rows, set(map(id, test or ()))
    train = [e for e in anew.new if id(e) not in of_test]
    merged = merged_by_key(old, train, [e for e in anew.new if id(e) in of_test])
    new_train = _not_in(merged.train, [e for e, _ in old])
    new_test = _not_in(merged.test, [e for e, s in old if s == "test"])
    rows: list[_Row] = [*merged.rows, *((e, None) for e in new_train), *((e, "test") for e in new_test)]
    twins = TestTwins(e for e, split in rows if split == "test")
    leaking = {i: why for i, (e, split) in enumerate(rows) if split != "test" and (why := twins.why(e))}
    apart = [row for i, row in enumerate(rows) if i not in leaking]
    test_given = test is not None or (previous is not None and test_was_given(previous))
    first = previous is None
    apart, rare = _learnable(
        apart, test_given=test_given, drop_rare=drop_rare, kind=kind, twins=len(leaking), first=first
    )
    placed = _in_order(rows, _with_splits(apart, kind=kind, test_given=test_given), leaking)
    dataset = Dataset(
        task=task_name,
        number=number,
        examples=tuple(one.example for one in placed),
        splits=tuple(one.split for one in placed),
        reason=reason,
        parent=previous.number if previous else None,
        test_given=test_given,
    )
    # What is learned from was compared with the tests of before; the tests of now are left.
    fresh = TestTwins(one.example for one in placed if one.new_test)
    whole, leaks = _without(
        dataset, [one.why or ("" if one.split == "test" else fresh.why(one.example)) for one in placed]
    )
    _check_splits(whole, kind)
    skipped = len(merged.train) + len(merged.test) - len(new_train) - len(new_test) + merged.unchanged
    again = [f"rows that are there already, which add nothing: {skipped}"] if skipped else []
    if anew.stuck:
        again.append(f"test examples that this reading of the file does not have, which stay: {len(anew.stuck)}")
    if any(e.key for e in (*train, *(test or []))) and (without := sum(not e.key for e, _ in merged.rows)):
        again.append(f"rows that came before there was a key, which no row can replace: {without}")
    replaced = [*anew.replaced, *merged.replaced]
    return Built(dataset, rare, leaks, again + label_warnings(whole, kind), replaced, anew.dropped, anew.protected)


def without_leaks(dataset: Dataset) -> tuple[Dataset, list[tuple[Example, str]]]:
    """The same version without what may not be learned from, and that, each with the reason.

    An example of the train side leaks where it has the input or the group of a test example: a model that has seen it
    is asked for what it was told. Number, fingerprint and all else stay: what is learned from is a function of them.
    """
    twins = TestTwins(dataset.of("test"))
    rows = zip(dataset.examples, dataset.splits, strict=True)
    return _without(dataset, ["" if split == "test" else twins.why(e) for e, split in rows])


def _without(dataset: Dataset, reasons: Sequence[str]) -> tuple[Dataset, list[tuple[Example, str]]]:
    """A version without the examples that there is a reason to leave out, and these, each with its reason."""
    rows = list(zip(dataset.examples, dataset.splits, strict=True))
    leaks = [(e, why) for (e, _), why in zip(rows, reasons, strict=True) if why]
    if not leaks:
        return dataset, []
    kept = [row for row, why in zip(rows, reasons, strict=True) if not why]
    return replace(dataset, examples=tuple(e for e, _ in kept), splits=tuple(s for _, s in kept)), leaks


def _in_order(rows: list[_Row], apart: list[tuple[Example, Split]], leaking: Mapping[int, str]) -> list[_Placed]:
    """The rows that were split and those that leak, in the order of `rows`; those without a split train."""
    of_row = iter(apart)
    following = next(of_row, None)
    placed: list[_Placed] = []
    for i, (example, split) in enumerate(rows):
        if i in leaking:
            placed.append(_Placed(example, split or "train", leaking[i]))
        elif following is not None and following[0] is example:  # a rare label's example is set aside
            placed.append(_Placed(*following, new_test=following[1] == "test" and split != "test"))
            following = next(of_row, None)
    return placed


def label_warnings(dataset: Dataset, kind: Kind) -> list[str]:
    """What to tell about labels that only the test has, that the test lacks, or that are learned from one example."""
    if kind != "classify":
        return []
    side = Counter(e.target for e in dataset.learned)
    test = Counter(e.target for e in dataset.of("test"))
    warnings = []
    if unknown := sorted(test.keys() - side.keys()):
        warnings.append(
            f"{_some(unknown)} only in the test examples ({sum(test[label] for label in unknown)} of "
            f"{sum(test.values())}): these can never be answered right"
        )
    if untested := sorted(side.keys() - test.keys()):
        warnings.append(f"{_some(untested)} not in the test examples: how well that is answered stays unknown")
    if once := sorted(label for label, count in side.items() if count == 1):
        warnings.append(f"{_some(once)} learned from a single example: more of it would be learned better")
    return warnings


def _some(labels: list[str]) -> str:
    names = ", ".join(map(repr, labels[:5])) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
    return f"the label {names} is" if len(labels) == 1 else f"the labels {names} are"


def _not_in(new: Iterable[Example], old: Iterable[Example]) -> list[Example]:
    """Without the rows whose place in a file is there already; examples of no file are compared by content too."""
    there = set(map(whence, old))
    return [e for e in new if whence(e) not in there] if there else list(new)


def _placed(dataset: Dataset | None) -> list[_Row]:
    return list(zip(dataset.examples, dataset.splits, strict=True)) if dataset else []


def test_was_given(dataset: Dataset) -> bool:
    """Whether a file was given as the test.

    Where that was not kept: whether some file stands in the test split alone, which a file that was split does not.
    """
    if dataset.test_given is not None:
        return dataset.test_given
    rows = _placed(dataset)
    side = {e.provenance.sha256 for e, split in rows if split != "test"}
    return bool({e.provenance.sha256 for e, split in rows if split == "test"} - side - {""})


def _learnable(
    rows: list[_Row], *, test_given: bool, drop_rare: bool, kind: Kind, twins: int, first: bool
) -> tuple[list[_Row], list[tuple[Example, str]]]:
    """The rows that pass `check_learnable`, a given test aside, and the rare examples that were set aside."""
    notes = [f"examples that stand in the test too, and are not learned from: {twins}"] if twins else []
    rare: list[tuple[Example, str]] = []
    if drop_rare and kind == "classify":
        labels = rare_labels(_judged(rows, kind, test_given=test_given))
        rare = [(e, f"set aside: {e.target!r} appears once") for e, s in rows if s != "test" and e.target in labels]
        rows = [(e, s) for e, s in rows if s == "test" or e.target not in labels]
        notes += [f"examples of rare labels set aside: {len(rare)}"] if rare else []
    judged = _judged(rows, kind, test_given=test_given)
    check_learnable(judged, kind=kind, test_given=test_given, note="; ".join(notes), first=first)
    return rows, rare


def _judged(rows: list[_Row], kind: Kind, *, test_given: bool) -> list[Example]:
    """The train side, and of a test that was split off what has a label of the train side, or all without labels."""
    known = {e.target for e, split in rows if split != "test"}
    return [e for e, split in rows if split != "test" or (not test_given and (kind != "classify" or e.target in known))]


def check_edited(dataset: Dataset, kind: Kind) -> None:
    """Check that a version which edits made can be learned from and tested, as one that files made is.

    Raises:
        TooFewExamples: see `check_learnable`.
    """
    whole = without_leaks(dataset)[0]
    rows: list[_Row] = list(zip(whole.examples, whole.splits, strict=True))
    test_given = test_was_given(dataset)
    check_learnable(_judged(rows, kind, test_given=test_given), kind=kind, test_given=test_given)


def _with_splits(rows: list[_Row], *, kind: Kind, test_given: bool) -> list[tuple[Example, Split]]:
    settled: list[Split | None] = ["test" if test_given and split == "test" else None for _, split in rows]
    previous = {e.group: split for (e, split), done in zip(rows, settled, strict=True) if split and not done}
    undecided = [e for (e, _), done in zip(rows, settled, strict=True) if not done]
    assigned = iter(assign_splits(undecided, kind=kind, previous=previous, test_given=test_given))
    return [(e, next(assigned) if done is None else done) for (e, _), done in zip(rows, settled, strict=True)]


def _check_splits(dataset: Dataset, kind: Kind) -> None:
    of_label = ", of one label at least" if kind == "classify" else ""
    for split, count in dataset.counts().items():
        if count == 0:
            raise TooFewExamples(
                f"no example is left for {split}: {len({e.group for e in dataset.examples})} groups of examples",
                f"add examples (three that differ{of_label}), or leave out the group column",
            )
