"""A part of many that stands for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from inhouse.core.example import Example, canonical_hash

Item = TypeVar("Item")


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spread over them."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def by_chance(examples: Sequence[Example], count: int) -> list[int]:
    """Places of at most `count` examples, in their order: by chance, and always the same of the same examples.

    A smaller count gives a part of what a larger one does.
    """
    drawn = sorted(range(len(examples)), key=lambda i: canonical_hash(["by chance", examples[i].id]))
    return sorted(drawn[:count])
