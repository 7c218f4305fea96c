"""Examples that are there more than once: the same, or nearly the same with the same target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from inhouse.clean.findings import TEST_STAYS, alike, count, cut, finding, places, short
from inhouse.clean.registry import Subject, check
from inhouse.clean.twins import clusters, neighbours, twins_of
from inhouse.core import Dataset, Finding, target_key
from inhouse.scoring.twins import NEAR

# A text with a target, on one side.
_Node = tuple[int, bool, str]


@check("exact_duplicate")
def exact_duplicate(subject: Subject) -> Iterator[Finding]:
    """The same input and target again on the same side; the first is kept."""
    dataset = subject.dataset
    for in_test, same in alike(dataset, lambda e: e.id):
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


@check("near_duplicate")
def near_duplicate(subject: Subject) -> Iterator[Finding]:
    """Nearly the same input with the same target on the same side: a cluster; each that goes has a twin that stays.

    Nearly the same is what case, white space or punctuation, a filler word, the order of the words or a typing error
    tells apart (see `inhouse.scoring.twins`); other numbers make another input.
    """
    dataset, twins = subject.dataset, twins_of(subject)
    nodes = _nodes(subject)
    links: list[tuple[_Node, _Node, float]] = [
        ((i, *side), (j, *side), likeness)
        for i, j, likeness in ((twins.bare.get(i, i), twins.bare.get(j, j), score) for i, j, score in twins.links)
        if i != j
        for side in sorted(nodes.get(i, {}).keys() & nodes.get(j, {}).keys())
    ]
    linked = clusters((one, other) for one, other, _ in links)
    alone: list[list[_Node]] = [[(i, *side)] for i, sides in nodes.items() for side in sides]
    seen = {node for cluster in linked for node in cluster}
    near = neighbours(links)
    for cluster in [*linked, *(one for one in alone if one[0] not in seen)]:
        found = _finding(dataset, cluster, nodes, near)
        if found is not None:
            yield found


def _nodes(subject: Subject) -> dict[int, dict[tuple[bool, str], list[int]]]:
    """The texts that have a twin or different writings, punctuation aside, with their positions by side and target."""
    dataset, twins = subject.dataset, twins_of(subject)
    wanted = {i for link in twins.links for i in link[:2]}
    wanted |= {i for i, same in enumerate(twins.places) if len(same) > 1}
    found: defaultdict[int, defaultdict[tuple[bool, str], list[int]]] = defaultdict(lambda: defaultdict(list))
    for i in sorted(wanted):
        sides = found[twins.bare.get(i, i)]
        for position in twins.places[i]:
            target = target_key(dataset.examples[position].target, subject.kind)
            sides[dataset.splits[position] == "test", target].append(position)
    return {i: {side: sorted(rows) for side, rows in sides.items()} for i, sides in found.items()}


def _finding(
    dataset: Dataset,
    cluster: list[_Node],
    nodes: Mapping[int, Mapping[tuple[bool, str], list[int]]],
    near: Mapping[_Node, Mapping[_Node, float]],
) -> Finding | None:
    """The finding on a cluster; None where all are copies of one example, which `exact_duplicate` tells."""
    rows = {node: nodes[node[0]][node[1:]] for node in cluster}
    if len({dataset.examples[i].id for same in rows.values() for i in same}) == 1:
        return None
    kept: list[_Node] = []
    drop: dict[int, tuple[float, int]] = {}
    for node in sorted(rows, key=lambda one: rows[one][0]):
        twin = max((k for k in kept if k in near.get(node, {})), key=lambda k: near[node][k], default=None)
        first = rows[node if twin is None else twin][0]
        if twin is None:
            kept.append(node)
        likeness = 1.0 if twin is None else near[node][twin]
        drop.update((i, (likeness, first)) for i in rows[node] if dataset.examples[i].id != dataset.examples[first].id)
    stay = [rows[node][0] for node in kept]
    positions = [*stay, *sorted(drop)]
    in_test = cluster[0][1]
    least = min(likeness for likeness, _ in drop.values())
    first, other = stay[0], min(drop)
    return finding(
        dataset,
        "near_duplicate",
        "info" if in_test else "warning",
        positions,
        f"{places(dataset, positions)} are nearly the same: {short(dataset.examples[first])} and "
        f"{short(dataset.examples[other])}; likeness {least:.2f} of 1, near is {NEAR:.2f} or more",
        TEST_STAYS if in_test else f"keep {places(dataset, stay)}, drop {count(len(drop), 'other')}",
        notes={
            i: f"likeness {likeness:.2f} to {dataset.examples[to].provenance}" for i, (likeness, to) in drop.items()
        },
        score=round(least, 4),
        cost=f"what they say is {'measured' if in_test else 'learned'} {len(positions)} times",
        drop=() if in_test else tuple(sorted(drop)),
    )
