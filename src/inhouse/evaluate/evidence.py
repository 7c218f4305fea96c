"""What the training examples say by themselves of how a task can be done, before any model is asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inhouse.core import Example, Metric, Task, canonical_hash, render_input, spread
from inhouse.core.json_schema import parse_object, scalar_fields, scalar_values
from inhouse.errors import NoMetric
from inhouse.scoring import FactFinder, Judged, judge, summarise
from inhouse.scoring.mentions import mentioned
from inhouse.scoring.ocr import likeness
from inhouse.scoring.values import normal_text, same_value

# Examples that are looked at, evenly spread: more would not move a share by a point.
LOOKED_AT = 1000
# A value that stands in its input is this much like some passage of it, slips of reading apart.
ALIKE = 0.8
# A field is looked up elsewhere where more than this share of its values is found nowhere; less is slips of people.
NOWHERE = 0.5


def facts_outside(task: Task, train: Sequence[Example]) -> Metric | None:
    """The share of answers that tell what neither their input nor the answers of other examples hold.

    Each half of the examples, split by group, is judged by what the other half has taught. None for labels, where
    nothing is told, and for fewer than two groups.
    """
    looked = spread(train, LOOKED_AT)
    halves: tuple[list[Example], list[Example]] = ([], [])
    for example in looked:
        halves[int(canonical_hash(example.group), 16) % 2].append(example)
    if task.kind == "classify" or not all(halves):
        return None
    told = _texts_outside if task.kind == "generate" else _values_outside
    found = [(e, float(o)) for one, other in (halves, halves[::-1]) for e, o in told(task, one, other)]
    return _share([e for e, _ in found], [o for _, o in found])


def form_kept(task: Task, train: Sequence[Example]) -> Metric | None:
    """The share of the answers themselves that meet the schema, or pass the structure checks; None for labels."""
    looked = spread(train, LOOKED_AT)
    name = {"extract": "valid", "generate": "checks_passed"}.get(task.kind)
    judged = judge(task, looked, [e.target for e in looked])
    return _share(looked, judged.scores[name]) if name in judged.scores else None


def contradicting(task: Task, train: Sequence[Example]) -> Metric | None:
    """The share of examples whose very input, case and white space aside, has another answer elsewhere.

    None for texts, of which several can be right.
    """
    if task.kind == "generate":
        return None
    answers = defaultdict(set)
    for example in train:
        answers[example.input_key].add(example.target)
    return _share(train, [float(len(answers[e.input_key]) > 1) for e in train])


def _share(
    examples: Sequence[Example], scores: Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]
) -> Metric | None:
    targets = tuple(e.target for e in examples)
    judged = Judged(targets, {"share": np.asarray(scores, dtype=float)})
    try:
        return summarise(judged, targets, "share", [e.group for e in examples])
    except NoMetric:
        return None


def _texts_outside(_task: Task, examples: Sequence[Example], others: Sequence[Example]) -> list[tuple[Example, bool]]:
    """Whether each text tells a name, number or date that its input does not hold and that is no habit of the house."""
    finder = FactFinder.learn([render_input(e.inputs) for e in others], [e.target for e in others])
    return [(e, bool(finder.invented(render_input(e.inputs), e.target))) for e in examples]


def _values_outside(task: Task, examples: Sequence[Example], others: Sequence[Example]) -> list[tuple[Example, bool]]:
    """Whether each object has a value that is found nowhere, in a field most of whose values are found nowhere."""
    known = {(path, normal_text(str(value))) for e in others for path, value in _open_values(task, e.target)}
    strange: list[set[str]] = []
    seen: Counter[str] = Counter()
    for example in examples:
        text, nowhere = render_input(example.inputs), set[str]()
        for path, value in _open_values(task, example.target):
            seen[path] += 1
            if (path, normal_text(str(value))) not in known and not _stands_in(text, value):
                nowhere.add(path)
        strange.append(nowhere)
    counts = Counter(path for nowhere in strange for path in nowhere)
    looked_up = {path for path, count in counts.items() if count > NOWHERE * seen[path]}
    return [(e, bool(nowhere & looked_up)) for e, nowhere in zip(examples, strange, strict=True)]


def _open_values(task: Task, target: str) -> list[tuple[str, Any]]:
    """The values of an object that are no choice of the schema, with their paths."""
    fields = scalar_fields(task.json_schema)
    found = parse_object(target) or {}
    return [(p, v) for p, v in scalar_values(found) if _is_open(fields.get(p, {})) and _tells(v)]


def _is_open(field: Mapping[str, Any]) -> bool:
    return "enum" not in field and "const" not in field


def _tells(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool) and value != ""


def _stands_in(text: str, value: object) -> bool:
    """Whether an input holds a value, in whatever way dates and numbers are written there."""
    if isinstance(value, str) and likeness(value, text) >= ALIKE:
        return True
    forms = ("iso-date", "date", "amount") if isinstance(value, str) else ("number", "amount")
    return any(same_value(value, one) for form in forms for one in mentioned(text, form))  # type: ignore[arg-type, union-attr]
