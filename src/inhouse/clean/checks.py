"""Checks of single examples. Each finding names the places and what accepting it does."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from inhouse.clean.findings import TEST_STAYS, count, finding, places, short
from inhouse.clean.registry import Subject, check
from inhouse.core import Finding


@check("empty")
def empty(subject: Subject) -> Iterator[Finding]:
    """An input of white space and punctuation alone."""
    dataset = subject.dataset
    found: dict[tuple[bool, str], list[int]] = {}
    for i, (example, split) in enumerate(zip(dataset.examples, dataset.splits, strict=True)):
        if not any(_says_something(value) for value in example.inputs.values()):
            found.setdefault((split == "test", example.id), []).append(i)
    for (in_test, _), same in found.items():
        example = dataset.examples[same[0]]
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


def _says_something(text: str) -> bool:
    """Whether a letter, digit or symbol (an emoji, say) stands in it."""
    return text[:1].isalnum() or any(unicodedata.category(c)[0] in "LNS" for c in text)
