"""The checks. Each finding names the places and what accepting it does; test examples are never dropped."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from inhouse.clean.registry import Subject, check
from inhouse.core import Dataset, Example, Finding, canonical_hash, folded, input_key, render_input, target_key
from inhouse.core.results import Severity

TEST_STAYS = "nothing is dropped: test examples are never edited"

_APOSTROPHE = re.compile("['’‘`´]")
# A sign or point right before a digit stays: -50 is not 50, and 1.5 is not 15.
_MARK = re.compile(r"[^\w\s](?!\d)|_")


@check("exact_duplicate")
def exact_duplicate(subject: Subject) -> Iterator[Finding]:
    """The same input and target again on the same side; the first is kept."""
    dataset = subject.dataset
    for in_test, same in _repeated(dataset, lambda e: e.id):
        first = dataset.examples[same[0]]
        yield _finding(
            dataset,
            "exact_duplicate",
            "info" if in_test else "warning",
            same,
            f"{_places(dataset, same)} are the same: {_short(first)} -> {_cut(first.target)}",
            TEST_STAYS if in_test else f"keep {first.provenance}, drop {_count(len(same) - 1, 'other')}",
            () if in_test else same[1:],
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
        said = ", ".join(f"{_cut(target)} ({n} times)" if n > 1 else _cut(target) for target, n in votes.most_common())
        yield _finding(
            dataset,
            "contradiction",
            "warning",
            same,
            f"{_places(dataset, same)} have the same input, {_short(dataset.examples[same[0]])}, with {said}",
            TEST_STAYS if in_test else action,
            () if in_test else drop,
        )


def _settled(same: Sequence[int], keys: Sequence[str]) -> tuple[list[int], str]:
    top, votes = Counter(keys).most_common(1)[0]
    if votes >= 2 * (len(same) - votes):
        drop = [i for i, key in zip(same, keys, strict=True) if key != top]
        return drop, f"keep {_cut(top)}, which most of them have, drop {_count(len(drop), 'other')}"
    return list(same), f"drop all {len(same)}, as none has a clear majority; or correct the file"


@check("leakage")
def leakage(subject: Subject) -> Iterator[Finding]:
    """A train or validation example whose input stands in the test, when case, space and punctuation are folded."""
    dataset = subject.dataset
    tests: defaultdict[str, list[int]] = defaultdict(list)
    others: defaultdict[str, list[int]] = defaultdict(list)
    for i, (example, split) in enumerate(zip(dataset.examples, dataset.splits, strict=True)):
        (tests if split == "test" else others)[_bare_key(example)].append(i)
    for key, same in others.items():
        if key not in tests:
            continue
        yield _finding(
            dataset,
            "leakage",
            "error",
            [*same, *tests[key]],
            f"{_places(dataset, same)}, {_short(dataset.examples[same[0]])}, "
            f"{'has' if len(same) == 1 else 'have'} the same input as the test example {_places(dataset, tests[key])}",
            f"drop {_count(len(same), 'example')} from the train side; the test stays as it is",
            same,
        )


@check("empty")
def empty(subject: Subject) -> Iterator[Finding]:
    """An input of white space and punctuation alone."""
    dataset = subject.dataset
    for in_test, same in _alike(dataset, lambda e: e.id):
        example = dataset.examples[same[0]]
        if any(_says_something(value) for value in example.inputs.values()):
            continue
        yield _finding(
            dataset,
            "empty",
            "warning",
            same,
            f"no word in the input at {_places(dataset, same)}: {_short(example)}",
            TEST_STAYS if in_test else f"drop {_count(len(same), 'example')}",
            () if in_test else same,
        )


@check("overlong")
def overlong(subject: Subject) -> Iterator[Finding]:
    """Input and target of more tokens than training takes; not looked at without a tokenizer."""
    dataset, most = subject.dataset, subject.max_tokens
    if subject.count_tokens is None or most is None:
        return
    counts = subject.count_tokens([f"{render_input(e.inputs)}\n{e.target}" for e in dataset.examples])
    for in_test, same in _alike(dataset, lambda e: e.id):
        count = counts[same[0]]
        if count <= most:
            continue
        dropped = TEST_STAYS if in_test else f"drop {_count(len(same), 'example')}"
        yield _finding(
            dataset,
            "overlong",
            "warning",
            same,
            f"{count} tokens, more than the {most} that are read, at {_places(dataset, same)}: "
            f"{_short(dataset.examples[same[0]])}",
            f"{dropped}; what stays is truncated" if in_test else f"{dropped}; if left, the input is truncated",
            () if in_test else same,
        )


def _finding(
    dataset: Dataset,
    name: str,
    severity: Severity,
    positions: Sequence[int],
    reason: str,
    action: str,
    drop: Sequence[int],
) -> Finding:
    """A finding whose id depends on the check, the examples and whether they are test examples."""
    ids = [dataset.examples[i].id for i in positions]
    sides = sorted(f"{dataset.examples[i].id}:{dataset.splits[i] == 'test'}" for i in positions)
    return Finding(
        id=canonical_hash([name, sides], 12),
        check=name,
        severity=severity,
        examples=tuple(ids),
        reason=reason,
        action=action,
        drop=tuple(drop),
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


def _places(dataset: Dataset, positions: Sequence[int], most: int = 5) -> str:
    shown = [str(dataset.examples[i].provenance) for i in positions[:most]]
    rest = len(positions) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _count(number: int, noun: str) -> str:
    return f"the {noun}" if number == 1 else f"the {number} {noun}s"


def _short(example: Example) -> str:
    return _cut(" ".join(render_input(example.inputs).split()))


def _cut(text: str, most: int = 80) -> str:
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")
