"""The most instructive wrong answers: grouped by what is wrong, the surest first, with what training said nearby."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Example, Task, canonical_hash, render_input
from inhouse.core.json_schema import compact, parse_object
from inhouse.evaluate.report.errors import NO_ANSWER, shortened
from inhouse.scoring import Judged
from inhouse.scoring.ngrams import ngrams

# Groups that are shown, wrong answers of each, and training examples beside each of these.
GROUPS, CASES, NEAR = 8, 3, 3
# Training examples among which the nearest are looked for.
MOST_TRAIN = 20_000
_FIELDS = ("field:", "item:")
# What is wrong with a text beside failed checks, by metric.
_OF_TEXTS = {"facts_kept": "facts of the input left out", "nothing_invented": "facts that the input does not hold"}
_FURTHEST = "furthest from the expected text"


@dataclass(frozen=True, slots=True)
class Near:
    """A training example that is like a question, with its answer; `likeness` is 1 where they share all."""

    text: str
    answer: str
    place: str
    likeness: float


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """A wrong answer to a test example; of an object, what it says of the field. `suspect`: why the expected one may be
    wrong itself, empty where nothing says so."""

    text: str
    expected: str
    answered: str
    confidence: float
    place: str
    suspect: str = ""
    near: tuple[Near, ...] = ()


@dataclass(frozen=True, slots=True)
class WrongGroup:
    """Answers that are wrong in one way: how many there are, and some of them."""

    what: str
    count: int
    cases: tuple[WrongAnswer, ...]


def wrong_groups(
    task: Task,
    test: Sequence[Example],
    answers: Sequence[str | None],
    confidences: Sequence[float],
    judged: Judged,
    train: Sequence[Example],
    suspects: Mapping[int, str],
) -> list[WrongGroup]:
    """The largest groups of wrong answers, each with those that the model was surest of.

    An answer that is wrong in several ways counts in each and is shown once.

    Args:
        answers, confidences, judged: of one contender, one for each test example.
        suspects: by place in the test, why the expected answer is probably wrong.
    """
    members: dict[str, list[int]] = {}
    for what, place in _ways(task, test, answers, judged):
        members.setdefault(what, []).append(place)
    shown: set[int] = set()
    found: list[tuple[WrongGroup, list[int]]] = []
    for what, places in sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))[:GROUPS]:
        chosen = sorted((p for p in places if p not in shown), key=lambda p: -confidences[p])[:CASES]
        shown.update(chosen)
        cases = tuple(_case(what, p, test[p], answers[p], confidences[p], suspects.get(p, "")) for p in chosen)
        found.append((WrongGroup(what, len(places), cases), chosen))
    near = _nearest([test[p] for _, chosen in found for p in chosen], train)
    return [replace(group, cases=tuple(replace(case, near=next(near)) for case in group.cases)) for group, _ in found]


def _ways(
    task: Task, test: Sequence[Example], answers: Sequence[str | None], judged: Judged
) -> Iterator[tuple[str, int]]:
    """What is wrong with which answer."""
    for place, (example, answer) in enumerate(zip(test, answers, strict=True)):
        if answer is None:
            yield NO_ANSWER, place
        elif task.kind == "classify":
            if answer != example.target:
                yield f"{example.target} answered as {answer}", place
        else:
            yield from ((name, place) for name in judged.scores if ":" in name and _fails(judged, name, place))
            yield from ((told, place) for name, told in _OF_TEXTS.items() if _fails(judged, name, place))
    if task.kind == "generate" and "chrf" in judged.scores:
        yield from ((_FURTHEST, int(place)) for place in np.argsort(judged.scores["chrf"], kind="stable")[:CASES])


def _fails(judged: Judged, metric: str, place: int) -> bool:
    """Whether an answer is not all right by a metric that applies to it."""
    return metric in judged.scores and bool(judged.scores[metric][place] < 1)


def _case(what: str, place: int, example: Example, answer: str | None, confidence: float, suspect: str) -> WrongAnswer:
    expected, answered = example.target, answer or NO_ANSWER
    if what.startswith(_FIELDS):
        keys = what.partition(":")[2].split(".")
        expected, answered = (_value(parse_object(text), keys) for text in (expected, answer))
    return WrongAnswer(
        text=shortened(render_input(example.inputs)),
        expected=shortened(expected),
        answered=shortened(answered),
        confidence=confidence,
        place=str(example.provenance),
        suspect=suspect,
    )


def _value(found: Any, keys: Sequence[str]) -> str:  # noqa: ANN401 - any JSON value
    """What an object says of a field, as JSON; of a part of a list's items the whole list."""
    for key in keys:
        if isinstance(found, list):
            break
        if not isinstance(found, Mapping) or key not in found:
            return "(left out)"
        found = found[key]
    return compact(found)


def _nearest(asked: Sequence[Example], train: Sequence[Example]) -> Iterator[tuple[Near, ...]]:
    """For each question the training examples with which it shares most letters and words."""
    pool = list(train)
    if len(pool) > MOST_TRAIN:
        pool = sorted(pool, key=lambda e: canonical_hash(["near", e.id]))[:MOST_TRAIN]
    if not asked or not pool:
        return iter([()] * len(asked))
    texts = [render_input(e.inputs) for e in [*pool, *asked]]
    try:
        grams = ngrams(texts, words=True, least=1)
    except ValueError:  # no text has a word
        return iter([()] * len(asked))
    # The two kinds of n-grams have a length of 1 each.
    alike = np.asarray((grams[len(pool) :] @ grams[: len(pool)].T).todense()) / 2
    return iter([_most_alike(row, pool) for row in alike])


def _most_alike(likeness: NDArray[np.float64], pool: Sequence[Example]) -> tuple[Near, ...]:
    places = np.argsort(-likeness, kind="stable")[:NEAR]
    return tuple(
        Near(
            shortened(render_input(pool[i].inputs)),
            shortened(pool[i].target),
            str(pool[i].provenance),
            float(min(1.0, likeness[i])),
        )
        for i in places
        if likeness[i] > 0
    )
