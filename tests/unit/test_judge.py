"""Judged answers: every metric of every kind, one score per example, and no answer scores 0."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from inhouse.core import PRIMARY_METRICS, Example, Kind, Provenance, Task
from inhouse.core.json_schema import compact
from inhouse.scoring import FactFinder, judge, metric_names, right_metric, summarise
from inhouse.scoring.judge import BY_KIND

SCHEMA = {
    "type": "object",
    "properties": {
        "total": {"type": "string"},
        "supplier": {"type": "object", "properties": {"name": {"type": "string"}}},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"q": {"type": "number"}}}},
    },
    "required": ["total"],
    "additionalProperties": False,
}
TASKS: dict[Kind, Task] = {
    "classify": Task(name="t", labels=("a", "b")),
    "extract": Task.model_validate({"name": "t", "kind": "extract", "schema": SCHEMA}),
    "generate": Task.model_validate(
        {"name": "t", "kind": "generate", "outline": {"sections": ["Hello"], "words": [2, 6], "forbidden": ["ai"]}}
    ),
}
FACTS = FactFinder.learn(["we paid the bill to a shop"])
TARGETS: dict[Kind, str] = {
    "classify": "a",
    "extract": compact({"total": "9.00", "supplier": {"name": "Bolt"}, "lines": [{"q": 1}, {"q": 2}]}),
    "generate": "Hello\nwe paid 12 nails",
}


def examples(kind: Kind, count: int = 1) -> list[Example]:
    return [
        Example({"text": "they brought 12 nails"}, TARGETS[kind], f"g{i}", Provenance("f", i)) for i in range(count)
    ]


def scores(kind: Kind, answer: str | None) -> dict[str, float]:
    judged = judge(TASKS[kind], examples(kind), [answer], FACTS)
    return {name: float(values[0]) for name, values in judged.scores.items()}


@pytest.mark.parametrize("kind", ["classify", "extract", "generate"])
def test_the_right_answer_scores_1_and_no_answer_0_in_everything(kind: Kind) -> None:
    assert all(score == pytest.approx(1.0) for score in scores(kind, TARGETS[kind]).values())
    assert set(scores(kind, None).values()) == {0.0}


@pytest.mark.parametrize("kind", ["classify", "extract", "generate"])
def test_every_primary_metric_can_be_summarised(kind: Kind) -> None:
    assert set(BY_KIND) == set(TASKS)
    judged = judge(TASKS[kind], examples(kind, 3), [TARGETS[kind], None, "b"], FACTS)
    for name in PRIMARY_METRICS[kind]:
        found = summarise(judged, [TARGETS[kind]] * 3, name)
        assert 0 <= found.low <= found.value <= found.high <= 1
    assert set(judged.scores) | {"macro_f1"} >= set(metric_names(TASKS[kind], FACTS))
    assert set(np.unique(judged.scores[str(right_metric(TASKS[kind]))])) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"total": "9"}, {"valid": 1.0, "fields_exact": 1 / 3, "object_exact": 0.0, "field:total": 1.0}),
        ({"total": 9}, {"valid": 0.0, "field:total": 1.0}),
        (
            {"total": "8", "supplier": {"name": "BOLT"}, "lines": [{"q": 2}]},
            {"valid": 1.0, "field:supplier.name": 1.0, "field:lines": 2 / 3, "fields_exact": (1 + 2 / 3) / 3},
        ),
    ],
)
def test_an_object_is_scored_field_by_field(answer: dict[str, Any], expected: dict[str, float]) -> None:
    found = scores("extract", compact(answer))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("answer", ["", "nothing", "[]", '{"total":"9.00"', '{"total":"9.00","total":"9.00"}'])
def test_what_is_no_object_is_wrong_in_every_field(answer: str) -> None:
    assert set(scores("extract", answer).values()) == {0.0}


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        ("we paid 12 nails", {"check:sections", "checks_passed"}),
        ("Hello\nAI paid 12 nails", {"check:forbidden", "checks_passed"}),
        ("Hello\nwe paid 12 nails, and then some", {"check:words", "checks_passed"}),
        ("Hello\nwe paid 13 nails", {"facts_kept", "nothing_invented"}),
        ("Hello\nthey paid nails", {"facts_kept"}),
    ],
)
def test_a_text_fails_in_what_it_breaks(answer: str, failed: set[str]) -> None:
    found = scores("generate", answer)
    assert {name for name, score in found.items() if score == 0.0} == failed
    assert 0 < found["chrf"] < 1


def test_facts_that_are_not_there_cannot_be_kept() -> None:
    one = [Example({"text": "they came"}, "Hello they", "g", Provenance("f", 1))]
    assert np.isnan(judge(TASKS["generate"], one, ["Hello they"], FACTS).scores["facts_kept"][0])
    assert "facts_kept" not in judge(TASKS["generate"], one, ["Hello they"]).scores


def test_an_answer_too_few_is_an_error() -> None:
    with pytest.raises(ValueError):
        judge(TASKS["classify"], examples("classify", 2), ["a"])


def test_a_thousand_objects_are_judged_in_seconds() -> None:
    answers = [
        compact({"total": f"{i}.00", "supplier": {"name": "Bolt"}, "lines": [{"q": i % 3}] * 20}) for i in range(1000)
    ]
    begun = time.process_time()
    judge(TASKS["extract"], examples("extract", 1000), answers)
    assert time.process_time() - begun < 8
