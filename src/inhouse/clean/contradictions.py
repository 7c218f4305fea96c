"""Examples whose inputs are the same, or nearly so, and whose targets differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from inhouse.clean.findings import TEST_STAYS, count, cut, finding, places, short
from inhouse.clean.registry import Subject, check
from inhouse.clean.twins import clusters, neighbours, twins_of
from inhouse.core import Finding, target_key


@check("contradiction")
def contradiction(subject: Subject) -> Iterator[Finding]:
    """The same or nearly the same input with different targets; a target that two thirds of them have is kept.

    Of nearly the same inputs without such a target none is dropped: each may be right for itself.

    Objects differ where their values do. Texts are not compared: the same input may have several good ones.
    """
    dataset = subject.dataset
    if subject.kind == "generate":
        return
    for in_test, same in _same_inputs(subject):
        keys = [target_key(dataset.examples[i].target, subject.kind) for i in same]
        votes = Counter(keys)
        if len(votes) == 1:
            continue
        drop, action = _settled(same, keys)
        yield finding(
            dataset,
            "contradiction",
            "warning",
            same,
            f"{places(dataset, same)} have the same input, {short(dataset.examples[same[0]])}, with {_votes(votes)}",
            TEST_STAYS if in_test else action,
            cost=_ceiling(votes, in_test=in_test),
            drop=() if in_test else tuple(drop),
        )
    yield from _of_near_inputs(subject)


def _same_inputs(subject: Subject) -> Iterator[tuple[bool, list[int]]]:
    """Positions, two or more, of one input on one side."""
    for same in twins_of(subject).places:
        if len(same) > 1:
            test = [i for i in same if subject.dataset.splits[i] == "test"]
            rest = [i for i in same if subject.dataset.splits[i] != "test"]
            yield from ((in_test, part) for in_test, part in ((False, rest), (True, test)) if len(part) > 1)


def _of_near_inputs(subject: Subject) -> Iterator[Finding]:
    dataset, twins = subject.dataset, twins_of(subject)
    said: dict[tuple[int, bool], frozenset[str]] = {}
    for i in {i for link in twins.links for i in link[:2]}:
        for in_test in (False, True):
            rows = [p for p in twins.places[i] if (dataset.splits[p] == "test") == in_test]
            said[i, in_test] = frozenset(target_key(dataset.examples[p].target, subject.kind) for p in rows)
    links = {
        ((i, side), (j, side)): likeness
        for i, j, likeness in twins.links
        for side in (False, True)
        if said[i, side] and said[j, side] and said[i, side] != said[j, side]
    }
    alike = neighbours((one, other, likeness) for (one, other), likeness in links.items())
    for cluster in clusters(links):
        in_test = cluster[0][1]
        same = sorted(p for i, _ in cluster for p in twins.places[i] if (dataset.splits[p] == "test") == in_test)
        keys = [target_key(dataset.examples[p].target, subject.kind) for p in same]
        drop, action = _settled(same, keys, near=True)
        least = min(likeness for node in cluster for likeness in alike[node].values())
        one, other = (dataset.examples[twins.places[node[0]][0]] for node in cluster[:2])
        yield finding(
            dataset,
            "contradiction",
            "warning",
            same,
            f"{places(dataset, same)} have nearly the same input, {short(one)} and {short(other)}, likeness "
            f"{least:.2f} of 1, with {_votes(Counter(keys))}",
            TEST_STAYS if in_test else action,
            about="near",
            score=round(least, 4),
            cost="what tells them apart is little, and a model may learn either",
            drop=() if in_test else tuple(drop),
        )


def _votes(votes: Counter[str]) -> str:
    shown = [f"{cut(target)} ({n} times)" if n > 1 else cut(target) for target, n in votes.most_common(5)]
    return ", ".join(shown) + (f" and {len(votes) - 5} more" if len(votes) > 5 else "")


def _ceiling(votes: Counter[str], *, in_test: bool) -> str:
    """What no model can do better than on inputs with several targets."""
    right, all_of_them = votes.most_common(1)[0][1], votes.total()
    what = "the test counts no model right on more than" if in_test else "of these, no answer can be right on more than"
    return f"{what} {right} of {all_of_them}"


def _settled(same: Sequence[int], keys: Sequence[str], *, near: bool = False) -> tuple[list[int], str]:
    top, votes = Counter(keys).most_common(1)[0]
    if votes >= 2 * (len(same) - votes):
        drop = [i for i, key in zip(same, keys, strict=True) if key != top]
        return drop, f"keep {cut(top)}, which most of them have, drop {count(len(drop), 'other')}"
    if near:
        return [], "look which of them are right, and correct the file"
    return list(same), f"drop all {len(same)}, as none has a clear majority; or correct the file"
