"""Answers that are kept: what had the same prompt from the same model is not asked again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fields import bare_field

from inhouse.core import Example, Prediction, Provenance, Task
from inhouse.evaluate.contenders import Answers, Field
from inhouse.evaluate.contenders.recall import ask_once, content_key
from inhouse.evaluate.contenders.registry import Asked
from inhouse.pipeline.evaluating.judged import result_of
from inhouse.store.settings import RemoteSettings


def a_field(**changes) -> Field:
    rows = [Example({"text": f"order {i}"}, "ab"[i % 2], "", Provenance("f.csv", i, "s")) for i in range(4)]
    task = Task.model_validate({"name": "t", "kind": "classify", "labels": ["a", "b"]})
    form = SimpleNamespace(max_tokens=5)
    identities = {"base": "file engine", "remote:x": "https://x model"}
    made = bare_field(task, rows, rows[:2], rows[2:], form=form, identities=identities)
    return replace(made, **changes)


class Model:
    """Answers each place with its number, and counts what it was asked."""

    def __init__(self, error: str | None = None) -> None:
        self.asked: list[int] = []
        self.error = error

    def __call__(self, places: list[int]) -> list[Prediction]:
        self.asked += places
        return [
            Prediction(target=str(i), confidence=0.25, answer_tokens=3, finished=False, error=self.error)
            for i in places
        ]


PROMPTS = {i: ([1, 2, i], f"order {i}") for i in range(4)}


def test_the_second_time_nothing_is_asked_and_the_answers_are_whole():
    given, model = a_field(), Model()
    first = ask_once(given, "prompted", "base", PROMPTS, model)
    assert given.asked["prompted"].cached == 0
    second = ask_once(a_field(known=given.known), "prompted", "base", PROMPTS, model)
    assert model.asked == [0, 1, 2, 3]
    assert first == second
    assert not second[0].finished


def test_a_kept_answer_keeps_the_seconds_that_it_took():
    given = a_field()
    ask_once(given, "prompted", "base", PROMPTS, Model())
    known = {key: (text, 2.5) for key, (text, _) in given.known.items()}
    again = a_field(known=known)
    ask_once(again, "prompted", "base", PROMPTS, Model())
    asked = again.asked["prompted"]
    assert asked == Asked(list(known), [2.5] * 4, 4, 10.0)


def test_only_a_prompt_that_changed_is_asked_again():
    given, model = a_field(), Model()
    ask_once(given, "prompted", "base", PROMPTS, Model())
    found = ask_once(given, "few-shot", "base", {**PROMPTS, 2: ([9], "order 2")}, model)
    assert model.asked == [2]
    assert sorted(found) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"identities": {"base": "another file"}},
        {"form": SimpleNamespace(max_tokens=6)},
        {"task": Task.model_validate({"name": "t", "kind": "classify", "labels": ["a", "c"]})},
    ],
)
def test_another_model_or_form_of_answers_is_another_question(change):
    assert content_key(a_field(), "base", [1]) == content_key(a_field(), "base", [1])
    assert content_key(a_field(), "base", [1]) != content_key(a_field(**change), "base", [1])


def test_a_model_without_identity_and_a_remote_failure_are_asked_again():
    given, model = a_field(), Model()
    for _ in range(2):
        ask_once(given, "fine-tuned", "tuned", PROMPTS, model)
    assert len(model.asked) == 8
    failing = Model(error="503")
    for _ in range(2):
        ask_once(given, "remote:x", "remote:x", PROMPTS, failing)
    assert len(failing.asked) == 8
    assert given.asked["remote:x"].keys == [""] * 4


@pytest.mark.parametrize(
    ("name", "prices", "cost"),
    [
        ("remote:x", {"input_price": 2.0, "output_price": 10.0}, 3.0),  # 1,000 and 100 tokens: 0.002 and 0.001
        ("remote:x", {"input_price": 2.0}, None),
        ("prompted", {"input_price": 2.0, "output_price": 10.0}, None),
    ],
)
def test_what_a_thousand_requests_to_a_remote_model_cost(name, prices, cost):
    remote = RemoteSettings(base_url="https://x", model="m", **prices)
    test = [Prediction(target="a", prompt_tokens=1000, answer_tokens=100)] * 3 + [Prediction(target=None, error="503")]
    found = result_of(Answers(name, False, [], test, 1.0), {}, {}, {"x": remote}, 0.0)
    assert found.cost_per_thousand == (None if cost is None else pytest.approx(cost))
