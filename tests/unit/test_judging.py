"""Scores of objects and texts: right by value, wrong where it matters, and never a metric of nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inhouse.core import Example, Outline, Provenance, Task
from inhouse.core.json_schema import compact, ordered, parse_object, validate
from inhouse.dataset import infer_outline, infer_schema
from inhouse.errors import NoMetric
from inhouse.scoring import FactFinder, compare_scores, field_scores, judge, object_exact, paired_difference, summarise
from inhouse.scoring.outlines import outline_checks
from inhouse.scoring.texts import chrf, rouge_l
from inhouse.scoring.values import same_value

# --- values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("9.00", "9"),
        ("1.234,50", "1,234.50"),
        ("1.234,50", 1234.5),
        ("EUR 12,50", "12.50 €"),
        ("12,50 €", "12.5"),
        ("12/01/2019", "2019-01-12"),
        ("12-01-19", "12/01/2019"),
        ("3. März 2024", "2024-03-03"),
        ("25 maart 2024", "25/03/2024"),
        ("8 janvier 2024", "8 January 2024"),
        ("27,JALAN DEDAP 13", "27, Jalan  Dedap 13"),
        ("", None),
        (True, True),
    ],
)
def test_the_same_value_in_other_words(one, other):
    assert same_value(one, other)
    assert same_value(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("9.00", "90.0"),
        ("12/01/2019", "13/01/2019"),
        ("EUR 12.50", "USD 12.50"),
        ("No. 12", "No. 13"),
        ("-5", "5"),
        ("", "0"),
        (True, False),
        ("abc", None),
    ],
)
def test_another_value(one, other):
    assert not same_value(one, other)


# --- objects

SCHEMA = {
    "type": "object",
    "properties": {
        "supplier": {"type": "object", "properties": {"name": {"type": "string"}, "vat": {"type": "string"}}},
        "total": {"type": "number"},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"what": {"type": "string"}, "amount": {"type": "number"}}},
        },
    },
}
ITEMS = [{"what": "Screws", "amount": 4.0}, {"what": "Glue", "amount": 6.5}]
EXPECTED = {"supplier": {"name": "Aroma", "vat": "NL1"}, "total": 10.5, "items": ITEMS}


def test_line_items_are_a_set():
    scores = field_scores(EXPECTED, {**EXPECTED, "items": ITEMS[::-1]}, SCHEMA)
    assert scores == {"supplier.name": 1.0, "supplier.vat": 1.0, "total": 1.0, "items": 1.0}
    assert object_exact(scores) == 1.0


def test_a_missing_and_an_invented_item_cost():
    assert field_scores(EXPECTED, {**EXPECTED, "items": ITEMS[:1]}, SCHEMA)["items"] == pytest.approx(2 / 3)
    more = [*ITEMS, {"what": "Tape", "amount": 1.0}]
    assert field_scores(EXPECTED, {**EXPECTED, "items": more}, SCHEMA)["items"] == pytest.approx(4 / 5)
    assert field_scores(EXPECTED, {**EXPECTED, "items": [ITEMS[0], ITEMS[0]]}, SCHEMA)["items"] == pytest.approx(0.5)


def test_no_object_is_wrong_everywhere_and_an_absent_field_is_right_only_where_none_was_expected():
    assert set(field_scores(EXPECTED, None, SCHEMA).values()) == {0.0}
    without = {"supplier": {"name": "Aroma"}, "total": 10.5, "items": ITEMS}
    assert field_scores(without, without, SCHEMA)["supplier.vat"] == 1.0
    assert field_scores(without, EXPECTED, SCHEMA)["supplier.vat"] == 0.0


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":NaN}', "[1]", '{"a":1} ', "{", "", None, '{"a":1}x'])
def test_what_is_no_one_object_is_none(text):
    assert parse_object(text) is None or text == '{"a":1} '


def test_keys_come_in_the_order_of_the_schema_at_every_depth():
    value = {"items": [{"amount": 1.0, "what": "x"}], "total": 1.0, "supplier": {"vat": "v", "name": "n"}, "z": 0}
    assert compact(ordered(SCHEMA, value)) == (
        '{"supplier":{"name":"n","vat":"v"},"total":1.0,"items":[{"what":"x","amount":1.0}],"z":0}'
    )


# --- inferred schemas


def test_every_target_meets_the_schema_inferred_from_them():
    targets = [
        {
            "kind": ["offer", "order", "bill"][n % 3],
            "no": f"A-{n}",
            "sum": n / 4,
            "lines": [{"text": f"t{n}"}] * (n % 3),
        }
        for n in range(60)
    ] + [{"kind": "offer", "no": "A-1", "sum": 3, "lines": [], "note": None}]
    schema = infer_schema(targets)
    assert all(validate(schema, t) == "" for t in targets)
    assert sorted(schema["properties"]["kind"]["enum"]) == ["bill", "offer", "order"]
    assert "enum" not in schema["properties"]["no"]
    assert "note" not in schema["required"]
    assert validate(schema, {**targets[0], "extra": 1})
    assert validate(schema, {**targets[0], "kind": "letter"})
    json.dumps(schema)


def test_a_field_that_may_hold_new_values_is_no_choice():
    targets = [{"name": f"company {n % 40}"} for n in range(50)]
    assert "enum" not in infer_schema(targets)["properties"]["name"]


# --- outlines

TEXT = "Key points\n- one thing\n- another thing\nAvailability\nFree from March."


def test_every_target_keeps_the_outline_inferred_from_them():
    targets = [TEXT.replace("one thing", "one thing " + "and more " * (n % 5)) for n in range(40)]
    outline = infer_outline(targets)
    assert [s.rstrip(":") for s in outline.sections] == ["Key points", "Availability"]
    assert all(all(outline_checks(outline, t).values()) for t in targets)
    assert not outline_checks(outline, TEXT.replace("Availability\n", ""))["sections"]
    swapped = "Availability\nFree from March.\nKey points\n- one thing\n- another thing"
    assert not outline_checks(outline, swapped)["order"]
    assert not outline_checks(outline, TEXT + "\n- more" * 40)["bullets"]
    assert not outline_checks(outline, TEXT + " word" * 400)["words"]


def test_plain_sentences_have_no_sections():
    assert infer_outline([f"Aroma {n} is a cheap pub near the river." for n in range(30)]).sections == ()


def test_patterns_and_forbidden_phrases_are_checked():
    outline = Outline(patterns=(r"Kind regards$",), forbidden=("responsible for",))
    assert outline_checks(outline, "Hello\nKind regards") == {"patterns": True, "forbidden": True}
    assert outline_checks(outline, "Responsible  for all") == {"patterns": False, "forbidden": False}


# --- texts


def test_equal_texts_are_alike_and_strange_ones_are_not():
    assert chrf("The pub is cheap.", "The pub is cheap.") == pytest.approx(1.0)
    assert rouge_l("the pub is cheap", "The pub is cheap") == 1.0
    assert chrf("The pub is cheap.", "zzz") < 0.05
    assert rouge_l("the pub is cheap", "") == 0.0
    assert rouge_l("a b c d", "a x c") == pytest.approx(2 * 2 / 7)


INPUT = "name[The Aroma], food[Thai], area[city centre], familyFriendly[no]"


def test_facts_of_attributes_are_kept_or_missed():
    facts = FactFinder.learn([INPUT, "name[Zizzi], food[Chinese], area[riverside]"])
    answer = "The Aroma serves Thai food in the city centre."
    assert facts.kept(INPUT, answer, answer) == 1.0
    assert facts.kept(INPUT, answer, "The Aroma serves food in the city centre.") == pytest.approx(2 / 3)
    assert facts.invented(INPUT, answer) == ()


def test_a_value_of_another_input_and_a_number_from_nowhere_are_invented():
    facts = FactFinder.learn([INPUT, "name[Zizzi], food[Chinese], area[riverside]"])
    assert facts.invented(INPUT, "The Aroma is a Thai place by the riverside.")
    assert facts.invented(INPUT, "The Aroma serves Thai food for 30 pounds.")


# --- judged


def _examples(targets, inputs="x"):
    return [Example({"text": f"{inputs} {n}"}, t, f"g{n}", Provenance("f", n)) for n, t in enumerate(targets)]


def test_every_kind_has_its_scores_and_no_answer_scores_nothing():
    schema = infer_schema([{"a": "1"}, {"a": "2", "b": "x"}])
    task = Task.model_validate({"name": "t", "kind": "extract", "schema": schema})
    judged = judge(task, _examples(['{"a":"1"}', '{"a":"2","b":"x"}', '{"a":"3"}']), ['{"a":"1"}', '{"a":"2"}', None])
    assert judged.scores["fields_exact"].tolist() == [1.0, 0.5, 0.0]
    assert judged.scores["object_exact"].tolist() == [1.0, 0.0, 0.0]
    assert judged.scores["valid"].tolist() == [1.0, 1.0, 0.0]
    assert judged.scores["field:a"].tolist() == [1.0, 1.0, 0.0]
    text = Task.model_validate({"name": "t", "kind": "generate", "outline": {"words": [1, 3]}})
    judged = judge(text, _examples(["a b", "a b"]), ["a b", None], FactFinder.learn(["a"]))
    assert judged.scores["chrf"].tolist() == pytest.approx([1.0, 0.0])
    assert judged.scores["checks_passed"].tolist() == [1.0, 0.0]


# --- intervals and comparisons of scores


def test_scores_of_0_and_1_are_compared_as_mcnemar_does():
    ours, theirs = np.array([1.0] * 30 + [0.0] * 30), np.array([1.0] * 15 + [0.0] * 45)
    gain, low, high, p_value = compare_scores(ours, theirs)
    assert (gain, low, high) == paired_difference(ours == 1, theirs == 1)
    assert p_value < 0.001


def test_equal_scores_differ_by_nothing():
    scores = np.linspace(0, 1, 50)
    assert compare_scores(scores, scores) == (0.0, 0.0, 0.0, 1.0)


def test_chance_is_rarely_called_a_difference():
    rng = np.random.default_rng(1)
    found = [compare_scores(*rng.random((2, 60)), seed=n)[3] < 0.05 for n in range(200)]
    assert sum(found) <= 20


def test_a_true_difference_is_found_and_its_interval_holds_it():
    rng = np.random.default_rng(2)
    base = rng.random(200) * 0.8
    gain, low, high, p_value = compare_scores(base + 0.1 + rng.normal(0, 0.05, 200), base)
    assert low <= 0.1 <= high
    assert gain == pytest.approx(0.1, abs=0.02)
    assert p_value < 0.01


def test_examples_of_one_group_count_as_one_draw():
    rng = np.random.default_rng(3)
    by_group = rng.random(12)
    ours, groups = np.repeat(by_group, 10), np.repeat([f"g{n}" for n in range(12)], 10).tolist()
    judged = judge(Task(name="t"), _examples(["a"] * 120), ["a"] * 120)
    judged.scores["accuracy"] = ours
    wide, narrow = (summarise(judged, ["a"] * 120, "accuracy", g) for g in (groups, None))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_what_does_not_apply_is_left_out_and_a_metric_of_nothing_is_an_error():
    judged = judge(Task(name="t"), _examples(["a"] * 4), ["a"] * 4)
    judged.scores["accuracy"] = np.array([1.0, np.nan, 0.0, np.nan])
    assert summarise(judged, ["a"] * 4, "accuracy").n == 2
    judged.scores["accuracy"] = np.full(4, np.nan)
    with pytest.raises(NoMetric):
        summarise(judged, ["a"] * 4, "accuracy")
    with pytest.raises(NoMetric):
        compare_scores(np.full(4, np.nan), np.ones(4))
