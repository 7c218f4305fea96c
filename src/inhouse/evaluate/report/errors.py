"""Where a contender goes wrong: confused labels, weak ones, and examples that another answers better."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from inhouse.core import Example, Metric, render_input
from inhouse.scoring import wilson

NO_ANSWER = "(no answer)"
MAX_INPUT = 280


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often the model answered one label where another was expected; `n` examples expected that one."""

    expected: str
    answered: str
    count: int
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A test example on which two contenders differ: one answers it better than the other."""

    text: str
    expected: str
    ours: str
    theirs: str
    place: str


def confusions(examples: Sequence[Example], answers: Sequence[str | None]) -> list[Confusion]:
    """Pairs of expected and answered label, the most frequent first. Empty if there are no answers."""
    pairs = Counter((e.target, a or NO_ANSWER) for e, a in zip(examples, answers, strict=False) if e.target != a)
    sizes = Counter(e.target for e in examples)
    return [Confusion(*pair, count, sizes[pair[0]]) for pair, count in sorted(pairs.items(), key=lambda p: -p[1])]


def weakest_labels(examples: Sequence[Example], answers: Sequence[str | None]) -> list[tuple[str, Metric]]:
    """Labels with at least one wrong answer and their accuracy, the least first."""
    right: dict[str, list[bool]] = defaultdict(list)
    for example, answer in zip(examples, answers, strict=False):
        right[example.target].append(example.target == answer)
    rows = [(label, wilson(sum(hits), len(hits))) for label, hits in right.items() if not all(hits)]
    return sorted(rows, key=lambda row: (row[1].value, -row[1].n, row[0]))


def differences(
    examples: Sequence[Example], better: Sequence[str | None], worse: Sequence[str | None], gain: Sequence[float]
) -> list[Difference]:
    """Test examples with a `gain` above 0 of the one answer over the other, spread over the expected answers.

    The first of each label comes first, then the second of each, so that a cut list is not all of one kind; among
    equals the larger gain.
    """
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, float, Difference]] = []
    for example, good, bad, ahead in zip(examples, better, worse, gain, strict=False):
        if ahead > 0:
            seen[example.target] += 1
            place = str(example.provenance)
            text, target = shortened(render_input(example.inputs)), shortened(example.target)
            row = Difference(text, target, shortened(good or NO_ANSWER), shortened(bad or NO_ANSWER), place)
            ranked.append((seen[example.target], -ahead, row))
    return [difference for *_, difference in sorted(ranked, key=lambda r: r[:2])]


def shortened(text: str, limit: int = MAX_INPUT) -> str:
    """The text on one line, cut at a word before `limit` characters."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    head = line[:limit].rsplit(" ", 1)[0]
    return f"{head if len(head) > limit // 2 else line[:limit]} …"
