"""Checks of single examples. Each finding names the places and what accepting it does."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from inhouse.clean.findings import TEST_STAYS, alike, count, finding, places, short
from inhouse.clean.registry import Subject, check
from inhouse.core import Finding, render_input


@check("empty")
def empty(subject: Subject) -> Iterator[Finding]:
    """An input of white space and punctuation alone."""
    dataset = subject.dataset
    for in_test, same in alike(dataset, lambda e: e.id):
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


@check("overlong")
def overlong(subject: Subject) -> Iterator[Finding]:
    """Input and target of more tokens than training takes; not looked at without a tokenizer."""
    dataset, most = subject.dataset, subject.max_tokens
    if subject.count_tokens is None or most is None:
        return
    # No token is shorter than a byte, so most texts need no count.
    texts = {i: f"{render_input(e.inputs)}\n{e.target}" for i, e in enumerate(dataset.examples)}
    long = {i: text for i, text in texts.items() if len(text.encode("utf-8", "surrogatepass")) > most}
    tokens = dict(zip(long, subject.count_tokens(list(long.values())), strict=True))
    for in_test, same in alike(dataset, lambda e: e.id):
        length = tokens.get(same[0], 0)
        if length <= most:
            continue
        dropped = TEST_STAYS if in_test else f"drop {count(len(same), 'example')}"
        yield finding(
            dataset,
            "overlong",
            "warning",
            same,
            f"{length} tokens, more than the {most} that are read, at {places(dataset, same)}: "
            f"{short(dataset.examples[same[0]])}",
            f"{dropped}; what stays is truncated" if in_test else f"{dropped}; if left, the input is truncated",
            drop=() if in_test else tuple(same),
        )


def _says_something(text: str) -> bool:
    """Whether a letter, digit or symbol (an emoji, say) stands in it."""
    return any(unicodedata.category(c)[0] in "LNS" for c in text)
