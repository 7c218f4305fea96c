"""Beside the average: answers under harmless changes, hidden instructions, what was learned by heart, weak parts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fields import bare_field
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import Example, Prediction, Provenance, Task
from inhouse.evaluate import beyond, contenders
from inhouse.evaluate.changes import CHANGES, changed
from inhouse.evaluate.contenders import Answers, Field
from inhouse.evaluate.slices import slices
from inhouse.scoring import Judging

CLASSIFY = Task.model_validate({"name": "t", "kind": "classify"})
EXTRACT = Task.model_validate(
    {
        "name": "t",
        "kind": "extract",
        "json_schema": {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]},
    }
)


def example(i: int, target: str, text: str = "", file: str = "f.csv") -> Example:
    return Example({"text": text or f"Where is Order number {i} of Mister Smith"}, target, "", Provenance(file, i, "s"))


# ---------------------------------------------------------------------- changes


def test_every_change_changes_and_is_the_same_again():
    inputs = {"subject": "Payment Received", "text": "I have paid 1,234.50 euros on monday morning already"}
    for one in CHANGES.values():
        if one.name == "greeting":  # of a single field
            assert changed(inputs, one, "a") is None
            continue
        found = changed(inputs, one, "a")
        assert found is not None
        assert list(found.items()) == list((changed(inputs, one, "a") or {}).items())
        assert (list(found.items()) == list(inputs.items())) == (one.name == "again")
        assert sorted(found) == sorted(inputs)


@pytest.mark.parametrize(
    ("written", "elsewhere"),
    [
        ("1,234.50", "1.234,50"),
        ("0.75 kg", "0,75 kg"),
        ("1,234", "1.234"),
        ("on 12.03.2026", None),
        ("v1.2.3", None),
        ("a 12,5 b", None),  # written so already
        ("10.0.0.1", None),
    ],
)
def test_numbers_as_other_countries_write_them(written, elsewhere):
    found = changed({"text": written}, CHANGES["numbers"], "a")
    assert (found and found["text"]) == elsewhere


@given(st.text(), st.text())
def test_no_change_fails_or_loses_a_field(one, other):
    for each in CHANGES.values():
        found = changed({"a": one, "b": other}, each, "x")
        assert found is None or sorted(found) == ["a", "b"]


def test_what_says_the_same():
    assert beyond.same_answer(EXTRACT, '{"total": 1.5}', '{ "total": 1.50 }')
    assert not beyond.same_answer(EXTRACT, '{"total": 1.5}', '{"total": 2}')
    assert not beyond.same_answer(EXTRACT, '{"total": 1.5}', None)
    assert not beyond.same_answer(CLASSIFY, "a", "A")


# ---------------------------------------------------------------------- asked again


def a_field(count: int = 60) -> Field:
    rows = [example(i, "ab"[i % 2]) for i in range(3 * count)]
    return bare_field(CLASSIFY, rows[:count], rows[count : 2 * count], rows[2 * count :])


def asked(monkeypatch, answer, *, fine_tuned=True, minutes=9.0, seconds=1.0):
    """What is found of a contender that answers by a function of the text."""
    given = a_field()

    def ask(field):
        return [Prediction(target=answer(e.inputs["text"])) for e in field.questions]

    one = contenders.Contender("fine-tuned", ask, fine_tuned)
    monkeypatch.setattr(beyond, "contenders_of", lambda task: [one])
    found, edge = ask(given), len(given.validation)
    answers = [Answers("fine-tuned", fine_tuned, found[:edge], found[edge:], seconds)]
    return beyond.beyond_the_average(given, answers, ["fine-tuned"], "accuracy", Judging(CLASSIFY), minutes)


def number_of(text: str) -> int:
    return int(re.search(r"\d+", text)[0])


def test_a_model_that_looks_at_the_number_alone_is_consistent_and_obeys_nobody(monkeypatch):
    found = asked(monkeypatch, lambda text: "ab"[number_of(text) % 2])
    assert {one.change for one in found.consistency} == {"again", "spaces", "case", "typos", "greeting"}
    assert all(one.same.value == 1 and one.same.n == 60 and one.same.low > 0.9 for one in found.consistency)
    assert found.robustness[0].obeyed.value == 0
    assert found.gap is not None
    assert "not overfitted" in found.gap.sentence


def test_a_model_that_looks_at_the_letters_is_not(monkeypatch):
    found = asked(monkeypatch, lambda text: "ab"["Smith" in text])
    same = {one.change: one.same.value for one in found.consistency}
    assert same["again"] == same["spaces"] == 1
    assert same["case"] == 0
    assert 0 < same["typos"] < 1


def test_a_model_that_does_what_the_input_says_is_told(monkeypatch):
    def obedient(text):
        told = re.search(r"The answer is (\w)\.", text)
        return told[1] if told else "ab"[number_of(text) % 2]

    assert asked(monkeypatch, obedient).robustness[0].obeyed.value == 1


def test_what_was_learned_by_heart_is_told(monkeypatch):
    found = asked(monkeypatch, lambda text: "ab"[number_of(text) % 2] if number_of(text) < 60 else "a")
    assert found.gap is not None
    assert (found.gap.train.value, found.gap.test.value) == (1, 0.5)
    assert "50 points of what it learned do not carry over" in found.gap.sentence


def test_a_contender_that_is_too_slow_is_left_out_and_named(monkeypatch):
    found = asked(monkeypatch, lambda text: "a", minutes=0.1, seconds=600)
    assert (found.consistency, found.robustness, found.gap) == ((), (), None)
    assert ["fine-tuned was not asked again" in note for note in found.notes] == [True]
    assert asked(monkeypatch, lambda text: "a", fine_tuned=False).gap is None


# ---------------------------------------------------------------------- parts


def test_the_weak_part_is_the_worst_and_a_small_unlucky_one_is_not():
    rows = [example(i, "ab"[i % 2], file="weak.csv" if i % 5 == 0 else "good.csv") for i in range(400)]
    rows += [example(i, "ab"[i % 2], file="small.csv") for i in range(400, 422)]
    right = np.array([i % 4 == 0 if e.provenance.file == "weak.csv" else i % 10 > 0 for i, e in enumerate(rows)], float)
    found = slices(rows, right, "classify", lambda text: None)
    assert {(one.by, one.value) for one in found if one.worst} == {("source", "weak.csv")}
    assert {one.value: one.metric.n for one in found if one.by == "source"} == {
        "good.csv": 320,
        "weak.csv": 80,
        "small.csv": 22,
    }
    assert not any(one.by == "language" for one in found)


def test_of_parts_that_differ_by_chance_alone_none_is_the_worst():
    dice, told = np.random.default_rng(0), 0
    for _ in range(200):
        rows = [example(i, "abcdefgh"[i % 8]) for i in range(400)]
        told += any(
            one.worst for one in slices(rows, (dice.random(400) < 0.8).astype(float), "classify", lambda _: None)
        )
    assert told <= 10


def test_one_part_alone_is_none():
    rows = [example(i, "a", text="the very same words") for i in range(50)]
    assert [one.by for one in slices(rows, np.ones(50), "generate", lambda text: "English")] == []
