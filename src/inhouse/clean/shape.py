"""The form of the inputs as a whole: fields that say nothing, lengths out of the ordinary, passages that many share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from inhouse.clean.findings import cut, finding, places
from inhouse.clean.registry import Subject
from inhouse.core import Dataset, Finding

# Fewer inputs than these have no form of their own.
MIN_INPUTS = 10
# Examples that are looked at for what many share: 5 % of the whole is 5 % of them too, within half a point.
_SAMPLE = 20_000
_SHARE = 0.05
_LINE, _EDGE, _LONG = 12, 60, 150
_HEAD, _FOOT = 3, 6
_LINES_TOLD = 5
# Tukey's far outliers (1977), on the logarithm, as lengths are skewed; and at least so many times the median.
_FENCES, _TIMES = 3.0, 5.0


def shape_findings(subject: Subject) -> Iterator[Finding]:
    """Empty and constant fields, outliers in length, boilerplate."""
    dataset = subject.dataset
    if len(dataset.examples) < MIN_INPUTS:
        return
    yield from _columns(dataset)
    yield from _lengths(dataset, [sum(map(len, e.inputs.values())) for e in dataset.examples], "input")
    if subject.kind == "generate":
        yield from _lengths(dataset, [len(e.target) for e in dataset.examples], "target")
    yield from _boilerplate(dataset)


def _columns(dataset: Dataset) -> Iterator[Finding]:
    """Fields that are the same, or empty, in every example, and such as are empty in nearly all."""
    examples, fields = dataset.examples, tuple(dataset.examples[0].inputs)
    if len(fields) < 2:
        return
    everywhere = range(len(examples))
    for name in fields:
        first = examples[0].inputs.get(name, "").strip()
        constant = all(e.inputs.get(name, "").strip() == first for e in examples)
        filled = [] if constant else [i for i in everywhere if examples[i].inputs.get(name, "").strip()]
        if not constant and len(filled) > 0.01 * len(examples):
            continue
        if constant:
            what = f"is {cut(first)} in every example" if first else "is empty in every example"
        else:
            what = f"is empty in all but {len(filled)} of {len(examples):,} examples, such as {places(dataset, filled)}"
        yield finding(
            dataset,
            "text",
            "info",
            list(everywhere) if constant else filled,
            f"the field {name!r} {what}",
            "nothing is changed: leave it out with --input when a task is begun anew",
            about=f"column {name}",
            cost="it takes room in every input and tells nothing apart",
        )


def _lengths(dataset: Dataset, lengths: Sequence[int], part: str) -> Iterator[Finding]:
    """Lengths far outside of the ordinary; empty ones are told elsewhere."""
    values = np.array(lengths, dtype=np.float64)
    there = values > 0
    if int(there.sum()) < MIN_INPUTS:
        return
    logs = np.log(np.where(there, values, 1.0))
    low, middle, high = np.percentile(logs[there], (25, 50, 75))
    room = _FENCES * (high - low)
    times = np.log(_TIMES)
    for about, far, order in (
        ("long", logs > max(high + room, middle + times), -values),
        ("short", logs < min(low - room, middle - times), values),
    ):
        found = np.flatnonzero(far & there)
        if not len(found):
            continue
        positions = [int(i) for i in found[np.argsort(order[found], kind="stable")]]
        number = "one example has" if len(positions) == 1 else f"{len(positions):,} examples have"
        yield finding(
            dataset,
            "text",
            "info",
            positions,
            f"{number} {'an' if part == 'input' else 'a'} {part} far {about}er than the others "
            f"({lengths[positions[0]]:,} characters, where half of them have up to {np.exp(middle):,.0f}), at "
            f"{places(dataset, positions)}",
            f"nothing is changed: look whether {'several are run together' if about == 'long' else 'a part is lost'}",
            about=f"{about} {part}",
            notes={i: f"{lengths[i]:,} characters" for i in positions[:20]},
            cost="what is learned from them holds for few requests",
        )


def _boilerplate(dataset: Dataset) -> Iterator[Finding]:
    """Lines at the head or foot of many inputs, and beginnings and ends that many inputs of one line share."""
    shared = _Shared(dataset)
    lines = shared.often()
    if not lines:
        return
    found = {line: shared.where[line] for line, _ in lines}
    positions = sorted({i for where in found.values() for i in where})
    told = "; ".join(f"{cut(line, 60)} in {share:.0%}" for line, share in lines[:_LINES_TOLD])
    share = sum(len(line) * len(where) for line, where in found.items()) / shared.characters
    looked = f" of the {shared.looked:,} looked at" if shared.looked < len(dataset.examples) else ""
    yield finding(
        dataset,
        "text",
        "info",
        positions,
        f"{len(positions):,} inputs{looked} share a header or footer with many others: {told}",
        "nothing is changed: leave it out where the texts come from, in requests as in examples",
        about="boilerplate",
        cost=f"{share:.0%} of what is read of the inputs tells none of them apart",
    )


class _Shared:
    """Passages at the edges of inputs, with the positions that have them."""

    def __init__(self, dataset: Dataset) -> None:
        step = max(1, len(dataset.examples) // _SAMPLE)
        self.where: defaultdict[str, list[int]] = defaultdict(list)
        self.looked = self.characters = 0
        seen: set[str] = set()
        edges: defaultdict[tuple[bool, str], list[tuple[int, str]]] = defaultdict(list)
        for i in range(0, len(dataset.examples), step):
            self.looked += 1
            for value in dataset.examples[i].inputs.values():
                if len(value) < _LINE or value in seen:  # what is there twice shares everything
                    continue
                seen.add(value)
                self.characters += len(value)
                lines = [line for raw in value.splitlines() if (line := raw.strip())]
                if len(lines) > 2:
                    for line in {line for line in (*lines[:_HEAD], *lines[-_FOOT:]) if len(line) >= _LINE}:
                        self.where[line].append(i)
                elif len(value) >= _LONG:
                    edges[True, value[:_EDGE]].append((i, value))
                    edges[False, value[-_EDGE:]].append((i, value))
        self.inputs = len(seen)
        for (begins, _), members in edges.items():
            if self._many(len(members)):
                texts = [text for _, text in members]
                passage = _begin(texts) if begins else _begin([t[::-1] for t in texts])[::-1]
                self.where[passage.strip()] = [i for i, _ in members]

    def _many(self, number: int) -> bool:
        return number >= max(MIN_INPUTS, _SHARE * self.inputs)

    def often(self) -> list[tuple[str, float]]:
        """The passages that many share, with their share, the most frequent first."""
        often = [(line, len(where)) for line, where in self.where.items() if line and self._many(len(where))]
        return [(line, n / self.inputs) for line, n in sorted(often, key=lambda pair: (-pair[1], pair[0]))]


def _begin(texts: Sequence[str]) -> str:
    """What all of them begin with: what the first and the last in order do."""
    first, last = min(texts), max(texts)
    same = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]
