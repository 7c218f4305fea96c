"""How every check tells what it found: an id that stays, evidence side by side, and places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from inhouse.core import SHOWN, Dataset, Evidence, Example, Finding, canonical_hash, render_input
from inhouse.core.results import Severity

TEST_STAYS = "nothing is changed: test examples are never edited"
# Characters of an input and of a target that evidence shows.
EXCERPT = 300


def finding(
    dataset: Dataset,
    check: str,
    severity: Severity,
    positions: Sequence[int],
    reason: str,
    action: str,
    *,
    about: str = "",
    notes: Mapping[int, str] | None = None,
    **rest: Any,  # noqa: ANN401 - fields of Finding
) -> Finding:
    """A finding on the examples at `positions`, which are in the order in which they are to be shown.

    Its id depends on the check, the examples, whether they are test examples, and `about`, which tells findings of one
    check on the same examples apart: it is the same at another look, wherever the examples have moved.

    Args:
        notes: by position, what to see in an example.
        rest: what else a Finding has (`cost`, `drop`, `relabel`, `mask`, `safe`, `score`).
    """
    sides = sorted(f"{dataset.examples[i].id}:{dataset.splits[i] == 'test'}" for i in positions)
    shown, notes = positions[:SHOWN], notes or {}
    return Finding(
        id=canonical_hash([check, sides, about] if about else [check, sides], 12),
        check=check,
        severity=severity,
        examples=tuple(dataset.examples[i].id for i in shown),
        count=len(positions),
        positions=tuple(positions),
        reason=reason,
        action=action,
        evidence=tuple(_evidence(dataset, i, notes.get(i, "")) for i in shown),
        **rest,
    )


def moved(finding: Finding, places: Sequence[int]) -> Finding:
    """A finding with the positions of another dataset.

    Args:
        places: by position, where the example is there; below 0 where it is not. None that the finding is about is.
    """
    shown = [
        one if one.position < 0 else one.model_copy(update={"position": places[one.position]})
        for one in finding.evidence
        if one.position < 0 or places[one.position] >= 0
    ]
    return finding.model_copy(
        update={
            "evidence": tuple(shown),
            "positions": tuple(places[i] for i in finding.positions),
            "drop": tuple(places[i] for i in finding.drop),
            "relabel": {places[i]: target for i, target in finding.relabel.items()},
            "mask": {places[i]: stretches for i, stretches in finding.mask.items()},
        }
    )


def still_open(findings: Iterable[Finding], before: Dataset, after: Dataset, gone: Collection[int]) -> list[Finding]:
    """Of findings on a version those that are as true on the next: all that they are about is there as it was.

    Args:
        gone: positions of `before` that `after` lacks; the others keep their order.
    """
    places = [-1] * len(before.examples)
    kept = (i for i in range(len(before.examples)) if i not in gone)
    for new, old in enumerate(kept):
        if before.examples[old].id == after.examples[new].id:
            places[old] = new
    return [moved(f, places) for f in findings if all(places[i] >= 0 for i in (*f.positions, *f.touched))]


def copies(dataset: Dataset, positions: Iterable[int]) -> dict[int, str]:
    """By position, what tells findings on copies of one example apart: for `about`; nothing for the first of them."""
    seen: Counter[tuple[str, bool]] = Counter()
    found = {}
    for i in sorted(positions):
        one = dataset.examples[i].id, dataset.splits[i] == "test"
        found[i] = f"copy {seen[one]}" if seen[one] else ""
        seen[one] += 1
    return found


def _evidence(dataset: Dataset, position: int, note: str) -> Evidence:
    example = dataset.examples[position]
    return Evidence(
        place=str(example.provenance),
        split=dataset.splits[position],
        input=excerpt(render_input(example.inputs)),
        target=excerpt(example.target),
        note=note,
        position=position,
    )


def excerpt(text: str) -> str:
    """As much of a text as evidence shows."""
    return text if len(text) <= EXCERPT else f"{text[: EXCERPT - 3]}..."


def places(dataset: Dataset, positions: Sequence[int], most: int = 5) -> str:
    """Where examples stand, for a sentence."""
    shown = [str(dataset.examples[i].provenance) for i in positions[:most]]
    rest = len(positions) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def count(number: int, noun: str) -> str:
    """How many, with its noun in its number."""
    return f"the {noun}" if number == 1 else f"the {number} {noun}s"


def short(example: Example) -> str:
    """An example's input, for a sentence."""
    return cut(" ".join(render_input(example.inputs).split()))


def cut(text: str, most: int = 80) -> str:
    """Text for a sentence, in quotes."""
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")


def alike(dataset: Dataset, key: Callable[[Example], str]) -> Iterator[tuple[bool, list[int]]]:
    """Positions, two or more, that share a key, with whether they are test examples; the sides are looked at apart."""
    first: tuple[dict[str, int], dict[str, int]] = ({}, {})
    more: dict[int, list[int]] = {}
    for i, (example, split) in enumerate(zip(dataset.examples, dataset.splits, strict=True)):
        if (one := first[split == "test"].setdefault(key(example), i)) != i:
            more.setdefault(one, [one]).append(i)
    for one in sorted(more):
        yield dataset.splits[one] == "test", more[one]
