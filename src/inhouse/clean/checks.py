"""The checks. Each finding names the places and what accepting it does; test examples are never dropped."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from inhouse.clean.findings import TEST_STAYS, count, cut, finding, places, short
from inhouse.clean.registry import Subject, check
from inhouse.core import Dataset, Example, Finding, folded, input_key, target_key

_APOSTROPHE = re.compile("['’‘`´]")
# A sign or point right before a digit stays: -50 is not 50, and 1.5 is not 15.
_MARK = re.compile(r"[^\w\s](?!\d)|_")


@check("exact_duplicate")
def exact_duplicate(subject: Subject) -> Iterator[Finding]:
    """The same input and target again on the same side; the first is kept."""
    dataset = subject.dataset
    for in_test, same in _repeated(dataset, lambda e: e.id):
        first = dataset.examples[same[0]]
        yield finding(
            dataset,
            "exact_duplicate",
            "info" if in_test else "warning",
            same,
            f"{places(dataset, same)} are the same: {short(first)} -> {cut(first.target)}",
            TEST_STAYS if in_test else f"keep {first.provenance}, drop {count(len(same) - 1, 'other')}",
            cost=f"it is {'measured' if in_test else 'learned'} {len(same)} times as much as others",
            drop=() if in_test else tuple(same[1:]),
            safe=not in_test,
        )


@check("contradiction")
def contradiction(subject: Subject) -> Iterator[Finding]:
    """The same input with different targets; a target that two thirds of them have is kept.

    Objects differ where their values do. Texts are not compared: the same input may have several good ones.
    """
    dataset = subject.dataset
    if subject.kind == "generate":
        return
    for in_test, same in _repeated(dataset, lambda e: e.input_key):
        keys = [target_key(dataset.examples[i].target, subject.kind) for i in same]
        votes = Counter(keys)
        if len(votes) == 1:
            continue
        drop, action = _settled(same, keys)
        said = ", ".join(f"{cut(target)} ({n} times)" if n > 1 else cut(target) for target, n in votes.most_common())
        yield finding(
            dataset,
            "contradiction",
            "warning",
            same,
            f"{places(dataset, same)} have the same input, {short(dataset.examples[same[0]])}, with {said}",
            TEST_STAYS if in_test else action,
            cost=_ceiling(votes, in_test=in_test),
            drop=() if in_test else tuple(drop),
        )


def _ceiling(votes: Counter[str], *, in_test: bool) -> str:
    """What no model can do better than on inputs with several targets."""
    right, all_of_them = votes.most_common(1)[0][1], votes.total()
    what = "the test counts no model right on more than" if in_test else "of these, no answer can be right on more than"
    return f"{what} {right} of {all_of_them}"


def _settled(same: Sequence[int], keys: Sequence[str]) -> tuple[list[int], str]:
    top, votes = Counter(keys).most_common(1)[0]
    if votes >= 2 * (len(same) - votes):
        drop = [i for i, key in zip(same, keys, strict=True) if key != top]
        return drop, f"keep {cut(top)}, which most of them have, drop {count(len(drop), 'other')}"
    return list(same), f"drop all {len(same)}, as none has a clear majority; or correct the file"


@check("leakage")
def leakage(subject: Subject) -> Iterator[Finding]:
    """A train or validation example that stands in the test too: its input, with case, space and punctuation folded, or
    its group."""
    dataset = subject.dataset
    tests: defaultdict[str, list[int]] = defaultdict(list)
    others: defaultdict[str, list[int]] = defaultdict(list)
    for i, (example, split) in enumerate(zip(dataset.examples, dataset.splits, strict=True)):
        (tests if split == "test" else others)[_bare_key(example)].append(i)
    for key, same in others.items():
        if key not in tests:
            continue
        yield finding(
            dataset,
            "leakage",
            "error",
            [*same, *tests[key]],
            f"{places(dataset, same)}, {short(dataset.examples[same[0]])}, "
            f"{'has' if len(same) == 1 else 'have'} the same input as the test example {places(dataset, tests[key])}",
            f"drop {count(len(same), 'example')} from the train side; the test stays as it is",
            cost=f"a model that learns from it was told what {count(len(tests[key]), 'test example')} asks",
            drop=tuple(same),
            safe=True,
        )
    yield from _of_test_groups(dataset)


def _of_test_groups(dataset: Dataset) -> Iterator[Finding]:
    """Examples of the train side of a group (a document, a supplier) that test examples are of, whatever they say."""
    tests: defaultdict[str, list[int]] = defaultdict(list)
    others: defaultdict[str, list[int]] = defaultdict(list)
    for i, (example, split) in enumerate(zip(dataset.examples, dataset.splits, strict=True)):
        if example.group != example.input_key:
            (tests if split == "test" else others)[example.group].append(i)
    for group in others.keys() & tests.keys():
        same = others[group]
        yield finding(
            dataset,
            "leakage",
            "error",
            [*same, *tests[group]],
            f"{places(dataset, same)} {'is' if len(same) == 1 else 'are'} of the group {cut(group)}, as the test "
            f"example {places(dataset, tests[group])} is",
            f"drop {count(len(same), 'example')} from the train side; the test stays as it is",
            about="group",
            cost="what the group has in common is known before the test asks for it",
            drop=tuple(same),
            safe=True,
        )


@check("empty")
def empty(subject: Subject) -> Iterator[Finding]:
    """An input of white space and punctuation alone."""
    dataset = subject.dataset
    for in_test, same in _alike(dataset, lambda e: e.id):
        example = dataset.examples[same[0]]
        if any(_says_something(value) for value in example.inputs.values()):
            continue
        yield finding(
            dataset,
            "empty",
            "warning",
            same,
            f"no word in the input at {places(dataset, same)}: {short(example)}",
            TEST_STAYS if in_test else f"drop {count(len(same), 'example')}",
            cost="what is answered to it is made up",
            drop=() if in_test else tuple(same),
        )


def _repeated(dataset: Dataset, key: Callable[[Example], str]) -> Iterator[tuple[bool, list[int]]]:
    """What `_alike` gives, of two positions or more."""
    return ((in_test, same) for in_test, same in _alike(dataset, key) if len(same) > 1)


def _alike(dataset: Dataset, key: Callable[[Example], str]) -> Iterator[tuple[bool, list[int]]]:
    """Positions that share a key, with whether they are test examples; the two sides are looked at apart."""
    positions: defaultdict[tuple[bool, str], list[int]] = defaultdict(list)
    for i, (example, split) in enumerate(zip(dataset.examples, dataset.splits, strict=True)):
        positions[split == "test", key(example)].append(i)
    for (in_test, _), same in positions.items():
        yield in_test, same


def _bare_key(example: Example) -> str:
    bare = {name: _bare(value) for name, value in example.inputs.items()}
    return input_key(bare if any(value.strip() for value in bare.values()) else example.inputs)


def _bare(text: str) -> str:
    """Folded text without punctuation."""
    text = _APOSTROPHE.sub("", folded(text))
    return _MARK.sub(lambda mark: " " if unicodedata.category(mark[0]).startswith("P") else mark[0], text)


def _says_something(text: str) -> bool:
    """Whether a letter, digit or symbol (an emoji, say) stands in it."""
    return any(unicodedata.category(c)[0] in "LNS" for c in text)
