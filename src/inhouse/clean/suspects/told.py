"""How a fault of a target is told: one finding an example, with all that was seen in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from inhouse.clean.findings import TEST_STAYS, copies, count, finding, short
from inhouse.clean.registry import Subject
from inhouse.core import Example, Finding


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one example's target.

    Attributes:
        says: what was seen, as a clause that can follow the place.
        score: how sure, from 0 to 1.
        broken: whether the target is wrong by what stands in its example alone, whatever others look like.
        mended: the target as it should be, where only one thing can be meant.
    """

    position: int
    says: str
    score: float
    broken: bool
    mended: str = ""


def told(subject: Subject, check: str, faults: Iterable[Fault], note: str) -> Iterator[Finding]:
    """One finding for each example with faults, the surest first.

    Args:
        note: what the faults were judged by, for the end of each reason.
    """
    dataset = subject.dataset
    by_example: dict[int, list[Fault]] = {}
    for fault in faults:
        by_example.setdefault(fault.position, []).append(fault)
    about = copies(dataset, by_example)
    learned = max(1, sum(split != "test" for split in dataset.splits))
    for position, seen in sorted(by_example.items(), key=lambda item: (-_score(item[1]), item[0])):
        example, in_test = dataset.examples[position], dataset.splits[position] == "test"
        mended = next((fault.mended for fault in seen if fault.mended), "")
        says = "; ".join(dict.fromkeys(fault.says for fault in seen))
        yield finding(
            dataset,
            check,
            "error" if check == "broken_target" else "warning",
            [position],
            f"{example.provenance}, {short(example)}: {says} ({note})",
            TEST_STAYS if in_test else _action(mended),
            about=about[position],
            notes={position: says},
            score=round(_score(seen), 4),
            cost=_cost(example, in_test=in_test, learned=learned),
            drop=() if in_test or mended else (position,),
            relabel={position: mended} if mended and not in_test else {},
        )


def _score(seen: list[Fault]) -> float:
    """The chance that at least one of the faults is one."""
    right = 1.0
    for fault in seen:
        right *= 1.0 - fault.score
    return 1.0 - right


def _action(mended: str) -> str:
    return f"give it the target {mended}" if mended else f"drop {count(1, 'example')}, or correct the file"


def _cost(example: Example, *, in_test: bool, learned: int) -> str:
    if in_test:
        return "a right answer to it counts as wrong in every evaluation"
    return f"one in {learned} examples teaches an answer that its input does not bear out"
