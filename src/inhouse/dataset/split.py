"""The split: by a stable hash of the example's group, within its label if it has one; never changed once given."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from inhouse.core import Example, Kind, Split

SHARES: Final[Mapping[Split, float]] = {"train": 0.7, "validation": 0.1, "test": 0.2}
SHARES_WITH_TEST: Final[Mapping[Split, float]] = {"train": 0.9, "validation": 0.1, "test": 0.0}
# A group with over this share of all examples, and so many times as large as the average one, is for training: of a
# test or validation split it would be a tenth or more, and what is measured there would be the luck with one supplier.
HEAVY_SHARE: Final = 0.02
HEAVY_TIMES: Final = 4


def assign_splits(
    examples: Sequence[Example],
    *,
    kind: Kind,
    previous: Mapping[str, Split],
    shares: Mapping[Split, float] | None = None,
    test_given: bool,
) -> list[Split]:
    """The split of each example; all examples of a group share one, whatever the order of `examples`.

    Groups in `previous` keep theirs. The others, ranked by the SHA-256 of the group within their label (the most
    frequent target of the group, ties by name), fill up the label's quotas of test and validation; the rest trains.
    Counted in groups: a label with three has at least one in validation and one in test, with two one in test, and
    always one in train before any other. Where there are enough others, no group that outweighs them (`HEAVY_SHARE`,
    `HEAVY_TIMES`) is tested or validated on. What is extracted or generated has no labels: all groups are as of one.

    Args:
        examples: all of the dataset, or with `test_given` its train side alone.
        kind: of the task.
        previous: split of the groups that have one.
        shares: of the groups of a label; default `SHARES`, or `SHARES_WITH_TEST`.
        test_given: the test examples are given elsewhere, so no new group becomes one.
    """
    wanted = shares or (SHARES_WITH_TEST if test_given else SHARES)
    split_of: dict[str, Split] = {}
    by_label = (
        _groups_by_label(examples) if kind == "classify" else {"": list(dict.fromkeys(e.group for e in examples))}
    )
    heavy = _heavy(examples)
    for groups in by_label.values():
        split_of.update(_split_label(groups, heavy, previous, wanted, test_given))
    return [split_of[e.group] for e in examples]


def _groups_by_label(examples: Sequence[Example]) -> dict[str, list[str]]:
    label_of: dict[str, str] = {}
    several = {e.group for e in examples if label_of.setdefault(e.group, e.target) != e.target}
    targets: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for example in examples if several else ():
        if example.group in several:
            targets[example.group][example.target] += 1
    for group, counts in targets.items():
        label_of[group] = min(counts, key=lambda target: (-counts[target], target))
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    for group, label in label_of.items():
        by_label[label].append(group)
    return by_label


def _heavy(examples: Sequence[Example]) -> set[str]:
    """The groups that would decide a figure by themselves."""
    sizes = Counter(e.group for e in examples)
    most = max(HEAVY_SHARE * len(examples), HEAVY_TIMES * len(examples) / max(1, len(sizes)))
    return {group for group, size in sizes.items() if size > most}


def _split_label(
    groups: list[str],
    heavy: set[str],
    previous: Mapping[str, Split],
    shares: Mapping[Split, float],
    test_given: bool,
) -> dict[str, Split]:
    result: dict[str, Split] = {g: previous[g] for g in groups if g in previous}
    has = Counter(result.values())
    new = sorted((g for g in groups if g not in previous), key=lambda g: (g in heavy, _rank(g), g))
    total = len(groups) - (has["test"] if test_given else 0)
    test = 0 if test_given or total < 2 else max(1, _rounded(total * shares["test"]))
    validation = 0 if total < 3 else max(1, _rounded(total * shares["validation"]))
    free = len(new) if has["train"] else max(0, len(new) - 1)
    test = min(max(0, test - has["test"]), free)
    validation = min(max(0, validation - has["validation"]), free - test)
    for position, group in enumerate(new):
        result[group] = "test" if position < test else "validation" if position < test + validation else "train"
    return result


def _rank(group: str) -> bytes:
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()


def _rounded(number: float) -> int:
    return int(number + 0.5)
