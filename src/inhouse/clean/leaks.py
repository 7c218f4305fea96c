"""What stands in the test and is learned from: the same input, nearly the same, the same group or document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from inhouse.clean.findings import count, cut, finding, places, short
from inhouse.clean.registry import Subject, check
from inhouse.clean.twins import Twins, bare, clusters, find_twins, neighbours, twins_of
from inhouse.core import Dataset, Finding, folded

# A field of so many characters is a document. One that more than a hundredth of all rows hold is part of a form.
_DOCUMENT = 200
_FORM_SHARE, _FORM_ROWS = 0.01, 20


@check("leakage")
def leakage(subject: Subject) -> Iterator[Finding]:
    """A train or validation example that stands in the test too: its input, with case, space and punctuation folded,
    or nearly its input, or its group, or its document.

    Only nearly the same inputs need a look: they may be asked by different people who never read each other.
    """
    return _leaks(subject.dataset, twins_of(subject))


def leaked_tests(dataset: Dataset) -> set[int]:
    """Positions of the test examples of which `leakage` finds something in the train side."""
    if "test" not in dataset.splits:
        return set()
    return {i for one in _leaks(dataset, find_twins(dataset)) for i in one.positions if _is_test(dataset, i)}


def leaking(dataset: Dataset) -> set[int]:
    """Positions of the examples of the train side that `leakage` would drop."""
    return {i for one in _leaks(dataset, find_twins(dataset)) for i in one.drop}


def _leaks(dataset: Dataset, twins: Twins) -> Iterator[Finding]:
    leaking: set[int] = set()
    for one in (*_of_inputs(dataset, twins.places, twins.bare), *_of_groups(dataset), *_of_documents(dataset)):
        leaking.update(one.drop)
        yield one
    yield from _of_near_inputs(dataset, twins, leaking)


def _of_inputs(dataset: Dataset, rows: list[list[int]], first: Mapping[int, int]) -> Iterator[Finding]:
    """Args: rows: by text, the positions that have it; first: see `Twins.bare`."""
    tests = {first.get(text, text) for text, same in enumerate(rows) if any(_is_test(dataset, i) for i in same)}
    sides: defaultdict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    if tests:
        for text, same in enumerate(rows):
            if (key := first.get(text, text)) in tests:
                for i in same:
                    sides[key][_is_test(dataset, i)].append(i)
    for same, in_test in sides.values():
        if same:
            same.sort()
            yield finding(
                dataset,
                "leakage",
                "error",
                [*same, *sorted(in_test)],
                f"{places(dataset, same)}, {short(dataset.examples[same[0]])}, "
                f"{'has' if len(same) == 1 else 'have'} the same input as the test example {places(dataset, in_test)}",
                _drop(same),
                cost=f"a model that learns from it was told what {count(len(in_test), 'test example')} asks",
                score=1.0,
                drop=tuple(same),
                safe=True,
            )


def _drop(same: list[int]) -> str:
    return f"drop {count(len(same), 'example')} from the train side; the test stays as it is"


def _is_test(dataset: Dataset, position: int) -> bool:
    return dataset.splits[position] == "test"


def _of_near_inputs(dataset: Dataset, twins: Twins, leaking: set[int]) -> Iterator[Finding]:
    """Clusters of train examples, each with a near-twin in the test, and those twins."""
    learned: dict[int, list[int]] = {}
    tested: dict[int, list[int]] = {}
    for i in {i for link in twins.links for i in link[:2]}:
        rows = twins.places[i]
        learned[i] = [p for p in rows if not _is_test(dataset, p) and p not in leaking]
        tested[i] = [p for p in rows if _is_test(dataset, p)]
    links = [
        (("train", a), ("test", b), likeness)
        for i, j, likeness in twins.links
        for a, b in ((i, j), (j, i))
        if learned[a] and tested[b]
    ]
    near = neighbours(links)
    for cluster in clusters((one, other) for one, other, _ in links):
        texts = sorted(i for side, i in cluster if side == "train")
        same = sorted(p for i in texts for p in learned[i])
        in_test = sorted(p for side, i in cluster if side == "test" for p in tested[i])
        best = {p: max(near["train", i].items(), key=lambda one: one[1]) for i in texts for p in learned[i]}
        least = min(likeness for _, likeness in best.values())
        twin = tested[best[same[0]][0][1]][0]
        yield finding(
            dataset,
            "leakage",
            "warning",
            [*same, *in_test],
            f"{places(dataset, same)}, {short(dataset.examples[same[0]])}, {'is' if len(same) == 1 else 'are'} nearly "
            f"the test example {places(dataset, in_test)}, {short(dataset.examples[twin])}; likeness {least:.2f} of 1",
            _drop(same),
            about="near",
            notes={
                p: f"likeness {likeness:.2f} to {dataset.examples[tested[node[1]][0]].provenance}"
                for p, (node, likeness) in best.items()
            },
            cost=f"a model that learns from it was nearly told what {count(len(in_test), 'test example')} asks",
            score=round(least, 4),
            drop=tuple(same),
        )


def _of_groups(dataset: Dataset) -> Iterator[Finding]:
    """Examples of the train side of a group (a document, a supplier) that test examples are of, whatever they say."""
    tests = {example.group for example, split in zip(dataset.examples, dataset.splits, strict=True) if split == "test"}
    sides: defaultdict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for i, example in enumerate(dataset.examples):
        if example.group in tests:
            sides[example.group][_is_test(dataset, i)].append(i)
    for group, (same, in_test) in sides.items():
        if same and group != dataset.examples[same[0]].input_key:
            yield finding(
                dataset,
                "leakage",
                "error",
                [*same, *in_test],
                f"{places(dataset, same)} {'is' if len(same) == 1 else 'are'} of the group {cut(group)}, as the test "
                f"example {places(dataset, in_test)} is",
                _drop(same),
                about="group",
                cost="what the group has in common is known before the test asks for it",
                drop=tuple(same),
                safe=True,
            )


def _of_documents(dataset: Dataset) -> Iterator[Finding]:
    """Examples of the train side about a document that test examples are about, where an input has more fields."""
    sides: defaultdict[tuple[str, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for i, example in enumerate(dataset.examples):
        if len(example.inputs) > 1:
            for name, text in example.inputs.items():
                if len(text) >= _DOCUMENT:
                    sides[name, bare(folded(text))][_is_test(dataset, i)].append(i)
    most = max(_FORM_ROWS, _FORM_SHARE * len(dataset.examples))
    for (name, _), (same, in_test) in sides.items():
        if same and in_test and len(same) + len(in_test) <= most:
            yield finding(
                dataset,
                "leakage",
                "error",
                [*same, *in_test],
                f"{places(dataset, same)} {'is' if len(same) == 1 else 'are'} about the same {name}, "
                f"{cut(dataset.examples[same[0]].inputs[name])}, as the test example {places(dataset, in_test)}",
                _drop(same),
                about=f"document {name}",
                cost="what the document says is known before the test asks for it",
                drop=tuple(same),
                safe=True,
            )
