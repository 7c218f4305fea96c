"""Where a contender goes wrong: confused labels, and examples that another answers better."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inhouse.core import Confusion, Example, render_input

NO_ANSWER = "(no answer)"
MAX_INPUT = 280
# Labels of a matrix that can still be read on a sheet.
MAX_MATRIX = 20
# Letters of markup around an example, and around an answer.
_AROUND = 130


@dataclass(frozen=True, slots=True)
class Matrix:
    """A row per expected label with a count for each answered one, in the same order; the last column is no answer."""

    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A test example on which two contenders differ: one answers it better than the other."""

    text: str
    expected: str
    ours: str
    theirs: str
    place: str


@dataclass(frozen=True, slots=True)
class Browsed:
    """A test example with everybody's answers: each different answer, and who gave it.

    `marks`: `wrong` where ours is, `won` and `lost` where ours is better or worse than theirs, `suspect` where the
    expected answer is probably wrong itself, which `why` says, and `person` where ours is for one to look at.
    `sources`: what answers cite, by the contender's name.
    """

    text: str
    expected: str
    answers: tuple[tuple[str, tuple[str, ...]], ...]
    place: str
    marks: tuple[str, ...]
    why: str = ""
    sources: tuple[tuple[str, str], ...] = ()


def browsed(
    examples: Sequence[Example],
    predictions: Mapping[str, Sequence[str | None]],
    ours: Sequence[float],
    gain: Sequence[float],
    most: int,
    suspects: Mapping[int, str],
    to_a_person: Sequence[bool],
    sources: Mapping[str, Sequence[Sequence[str]]],
    asked: Mapping[str, Sequence[bool]],
) -> list[Browsed]:
    """The test examples in their order, as many as `most` letters have room for; those with a mark before others.

    Args:
        ours: score of our answer to each, 1 where it is right; `gain` what it is ahead of theirs, empty without one.
        suspects: by place, why the expected answer is probably wrong.
        to_a_person: of each of our answers; empty where nothing says so.
        sources: what answers cite, by the contender's name.
        asked: by the contender's name, which of the examples it was asked, where not all.
    """
    rows = []
    for i, example in enumerate(examples):
        said: dict[str, list[str]] = defaultdict(list)
        for name, answers in predictions.items():
            if name in asked and not asked[name][i]:
                continue
            said[shortened(answers[i] or NO_ANSWER)].append(name)
        marks = {
            "wrong": ours[i] < 1,
            "won": bool(gain) and gain[i] > 0,
            "lost": bool(gain) and gain[i] < 0,
            "suspect": i in suspects,
            "person": bool(to_a_person) and to_a_person[i],
        }
        rows.append(
            Browsed(
                shortened(render_input(example.inputs)),
                shortened(example.target),
                tuple((answer, tuple(names)) for answer, names in said.items()),
                str(example.provenance),
                tuple(mark for mark, holds in marks.items() if holds),
                shortened(suspects.get(i, "")),
                tuple((name, shortened(", ".join(cited[i]))) for name, cited in sources.items() if cited[i]),
            )
        )
    kept: list[int] = []
    # That a person is to look at it is no mark that sets an example apart: of many tasks all are.
    for place in sorted(range(len(rows)), key=lambda place: not set(rows[place].marks) - {"person"}):
        row = rows[place]
        said_letters = sum(len(answer) + sum(map(len, names)) + _AROUND for answer, names in row.answers)
        cited_letters = sum(len(name) + len(cited) + _AROUND for name, cited in row.sources)
        most -= len(row.text) + len(row.expected) + len(row.place) + said_letters + cited_letters + _AROUND
        if most < 0:
            break
        kept.append(place)
    return [rows[place] for place in sorted(kept)]


def matrix(counts: Sequence[Confusion]) -> Matrix | None:
    """The counts as a matrix; None where there are too many labels for one to be read."""
    labels = tuple(sorted({c.expected for c in counts} | {c.answered for c in counts if c.answered is not None}))
    if not labels or len(labels) > MAX_MATRIX:
        return None
    found = {(c.expected, c.answered): c.count for c in counts}
    columns = (*labels, None) if any(c.answered is None for c in counts) else labels
    return Matrix(labels, tuple(tuple(found.get((row, column), 0) for column in columns) for row in labels))


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
