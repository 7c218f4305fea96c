"""Every metric of every answer: a registered scorer per kind of task, from answers to scores between 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Example, Kind, Task, render_input
from inhouse.core.json_schema import parse_object, validate
from inhouse.scoring.facts import FactFinder
from inhouse.scoring.objects import field_paths, field_scores, fields_exact, item_paths, item_scores, object_exact
from inhouse.scoring.outlines import check_names, outline_checks
from inhouse.scoring.texts import chrf, rouge_l
from inhouse.scoring.units import some_of

Scores = dict[str, float]
Scorer = Callable[[Task, Example, str | None, FactFinder | None], Scores]


@dataclass(frozen=True)
class Judged:
    """The answers to some examples, and by metric one score each; nan where the metric does not apply.

    `asked`: which of the examples were asked at all, where not all were; the others have nan for every score.
    """

    answers: tuple[str | None, ...]
    scores: dict[str, NDArray[np.float64]]
    asked: NDArray[np.bool_] | None = None

    def with_scores(self, more: Mapping[str, NDArray[np.float64]]) -> Judged:
        """The same with further metrics."""
        if self.asked is not None:
            more = {name: np.where(self.asked, scores, nan) for name, scores in more.items()}
        return replace(self, scores={**self.scores, **more})

    def part(self, kept: NDArray[np.bool_]) -> Judged:
        """Some of the examples."""
        return Judged(
            tuple(some_of(self.answers, kept)),
            {name: scores[kept] for name, scores in self.scores.items()},
            None if self.asked is None else self.asked[kept],
        )


BY_KIND: dict[Kind, Scorer] = {}

RIGHT_METRICS: dict[Kind, str] = {"classify": "accuracy", "extract": "object_exact", "generate": "checks_passed"}


def of_kind(kind: Kind) -> Callable[[Scorer], Scorer]:
    """Register what judges one answer of a task of that kind."""

    def register(function: Scorer) -> Scorer:
        BY_KIND[kind] = function
        return function

    return register


def judge(
    task: Task, examples: Sequence[Example], answers: Sequence[str | None], facts: FactFinder | None = None
) -> Judged:
    """Judge one answer per example; None is no answer, and scores 0.

    Args:
        facts: finds facts in texts; without it, what asks for facts is left out.

    Raises:
        ValueError: if the lengths differ.
    """
    score = BY_KIND[task.kind]
    rows = [score(task, e, a, facts) for e, a in zip(examples, answers, strict=True)]
    names = [name for name in metric_names(task, facts) if name != "macro_f1"]
    return Judged(tuple(answers), {name: np.array([row[name] for row in rows], dtype=float) for name in names})


def metric_names(task: Task, facts: FactFinder | None = None) -> tuple[str, ...]:
    """The metrics of a task, the most telling first."""
    if task.kind == "classify":
        return ("accuracy", "macro_f1")
    if task.kind == "extract":
        parts = (f"field:{path}" for path in field_paths(task.json_schema))
        items = (f"item:{path}" for path in item_paths(task.json_schema))
        return ("fields_exact", "object_exact", "valid", *parts, *items)
    of_facts = () if facts is None else ("facts_kept", "nothing_invented")
    checks = [f"check:{name}" for name in check_names(task.outline)]
    return ("chrf", "rouge_l", *(["checks_passed"] if checks else []), *of_facts, *checks)


def right_metric(task: Task) -> str | None:
    """The metric, 0 or 1 for each answer, by which an answer is right or not.

    None where nothing tells: a text is right by its structure checks, and a conversation has none.
    """
    name = RIGHT_METRICS[task.kind]
    return name if name in metric_names(task) else None


@of_kind("classify")
def _label(_task: Task, example: Example, answer: str | None, _facts: FactFinder | None) -> Scores:
    return {"accuracy": float(answer == example.target)}


@of_kind("extract")
def _object(task: Task, example: Example, answer: str | None, _facts: FactFinder | None) -> Scores:
    schema = task.json_schema
    found = parse_object(answer)
    expected = parse_object(example.target) or {}
    fields = field_scores(expected, found, schema)
    return {
        "valid": float(found is not None and not validate(schema, found)),
        "fields_exact": 0.0 if found is None else fields_exact(fields),
        "object_exact": 0.0 if found is None else object_exact(fields),
        **{f"field:{path}": score for path, score in fields.items()},
        **{f"item:{path}": score for path, score in item_scores(expected, found, schema).items()},
    }


@of_kind("generate")
def _text(task: Task, example: Example, answer: str | None, facts: FactFinder | None) -> Scores:
    checks = {name: answer is not None and ok for name, ok in outline_checks(task.outline, answer or "").items()}
    scores: Scores = {
        "chrf": 0.0 if answer is None else chrf(example.target, answer),
        "rouge_l": 0.0 if answer is None else rouge_l(example.target, answer),
        **({"checks_passed": float(answer is not None and all(checks.values()))} if checks else {}),
        **{f"check:{name}": float(ok) for name, ok in checks.items()},
    }
    if facts is not None:
        text = render_input(example.inputs)
        kept = facts.kept(text, example.target, answer or "")
        scores["facts_kept"] = nan if kept is None else kept
        scores["nothing_invented"] = float(answer is not None and not facts.invented(text, answer))
    return scores
