"""Scores of objects: every field on its own, items as sets."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.scoring import field_paths, field_scores, fields_exact, item_paths, item_scores, object_exact

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "company": {"type": "string"},
        "supplier": {
            "type": ["object", "null"],
            "properties": {"name": {"type": "string"}, "vat.id": {"type": "string"}},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "what": {"type": "string"},
                    "price": {"type": "number"},
                    "codes": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
        "paid": {"type": "boolean"},
    },
}
LINES = [{"what": "nails", "price": 2.5}, {"what": "nails", "price": 2.5}, {"what": "glue", "price": 4.0}]
RIGHT: dict[str, Any] = {
    "company": "Acme",
    "supplier": {"name": "Bolt & Co", "vat.id": "X1"},
    "tags": ["a", "b"],
    "lines": LINES,
    "paid": True,
}


def scores(**changed: Any) -> dict[str, float]:
    return field_scores(RIGHT, RIGHT | changed, SCHEMA)


def wrong(**changed: Any) -> set[str]:
    return {path for path, score in scores(**changed).items() if score < 1}


def test_every_example_reports_the_same_fields_in_the_schemas_order() -> None:
    paths = ("company", "supplier.name", "supplier.vat.id", "tags", "lines", "paid")
    assert field_paths(SCHEMA) == paths
    for answered in (RIGHT, {}, None, {"else": 1}):
        assert tuple(field_scores(RIGHT, answered, SCHEMA)) == paths
    assert tuple(field_scores({}, {}, SCHEMA)) == paths


def test_the_right_object_is_exact_and_one_slip_is_not() -> None:
    assert object_exact(scores()) == 1.0
    assert wrong(company="acme ") == set()
    assert wrong(paid=False) == {"paid"}
    assert object_exact(scores(paid=False)) == 0.0
    assert wrong(supplier={"name": "Bolt & Co"}) == {"supplier.vat.id"}


def test_no_answer_is_wrong_in_all_that_was_expected() -> None:
    assert {path for path, score in field_scores(RIGHT, None, SCHEMA).items() if score == 0.0} == set(
        field_paths(SCHEMA)
    )


def test_what_the_schema_has_no_place_for_cannot_be_right() -> None:
    expected = RIGHT | {"due": "May", "supplier": {"name": "Bolt & Co", "vat.id": "X1", "city": "Ghent"}, "note": ""}
    found = field_scores(expected, expected, SCHEMA)
    assert {path for path, score in found.items() if score == 0.0} == {"due", "supplier.city"}
    assert object_exact(found) == 0.0
    assert fields_exact(found) == pytest.approx(6 / 8)
    items = {"lines": [{"what": "nails", "price": 2.5, "colour": "red"}]}
    assert field_scores(items, items, SCHEMA)["lines"] == 0.0


def test_absent_on_both_sides_does_not_count_and_on_one_is_wrong() -> None:
    assert isnan(field_scores({"supplier": None}, {"supplier": {"name": ""}}, SCHEMA)["supplier.name"])
    assert field_scores({}, {"company": "Acme"}, SCHEMA)["company"] == 0.0
    assert isnan(field_scores({"tags": []}, {}, SCHEMA)["tags"])
    assert field_scores({"tags": []}, {"tags": ["a"]}, SCHEMA)["tags"] == 0.0
    assert field_scores({"tags": ["a"]}, {}, SCHEMA)["tags"] == 0.0


def test_what_neither_side_holds_makes_an_object_neither_better_nor_worse() -> None:
    found = field_scores({"company": "Acme", "paid": True}, {"company": "Acme", "paid": False}, SCHEMA)
    assert (fields_exact(found), object_exact(found)) == (0.5, 0.0)
    nothing = field_scores({}, {}, SCHEMA)
    assert (fields_exact(nothing), object_exact(nothing)) == (1.0, 1.0)


@pytest.mark.parametrize("shape", ["Bolt & Co", ["Bolt & Co"], 3, True])
def test_an_object_that_is_something_else_is_wrong_in_all_its_fields(shape: Any) -> None:
    assert wrong(supplier=shape) == {"supplier.name", "supplier.vat.id"}


@pytest.mark.parametrize("shape", ["a", {"a": "b"}, 1])
def test_a_list_that_is_something_else_is_wrong(shape: Any) -> None:
    assert scores(tags=shape)["tags"] == 0.0


def test_items_count_once_and_in_any_order() -> None:
    assert scores(lines=LINES[::-1])["lines"] == 1.0
    assert scores(lines=LINES[1:])["lines"] == pytest.approx(2 * 2 / 5)
    assert scores(lines=[LINES[0]] * 3)["lines"] == pytest.approx(2 * 2 / 6)
    assert scores(lines=[*LINES, LINES[2]])["lines"] == pytest.approx(2 * 3 / 7)
    assert scores(lines=[])["lines"] == 0.0


def test_an_item_is_right_as_a_whole_or_not_at_all() -> None:
    slip = [{"what": "nails", "price": 2.51}, *LINES[1:]]
    assert scores(lines=slip)["lines"] == pytest.approx(2 / 3)
    assert scores(lines=[{**LINES[0], "colour": "red"}, *LINES[1:]])["lines"] == pytest.approx(2 / 3)
    assert scores(lines=[{**LINES[0], "codes": []}, *LINES[1:]])["lines"] == 1.0


def test_lists_within_items_are_sets_too() -> None:
    one = {"lines": [{"what": "x", "codes": ["a", "b"]}]}
    assert field_scores(one, {"lines": [{"what": "x", "codes": ["b", "a"]}]}, SCHEMA)["lines"] == 1.0
    assert field_scores(one, {"lines": [{"what": "x", "codes": ["b", "b"]}]}, SCHEMA)["lines"] == 0.0


def test_the_largest_pairing_is_found_where_the_first_that_fits_would_block_it() -> None:
    # "5" is both "5 EUR" and "5 USD"; taken by the first, it leaves nothing for the second.
    expected = {"tags": ["5", "5 EUR"]}
    assert field_scores(expected, {"tags": ["5 EUR", "5 USD"]}, SCHEMA)["tags"] == 1.0


def parts(answered: Any, expected: Any = LINES) -> dict[str, float]:
    found = item_scores({"lines": expected}, {"lines": answered}, SCHEMA)
    assert tuple(found) == item_paths(SCHEMA) == ("lines.what", "lines.price", "lines.codes")
    return {path.removeprefix("lines."): score for path, score in found.items() if not isnan(score)}


def test_the_part_of_a_line_that_is_wrong_is_told() -> None:
    assert parts(LINES[::-1]) == {"what": 1.0, "price": 1.0}
    assert parts([{**line, "price": 9.0} for line in LINES]) == {"what": 1.0, "price": 0.0}
    assert parts([{"what": "nails", "price": 2.5}, {"what": "nails", "price": 3}, {"what": "gleu", "price": 4}]) == {
        "what": pytest.approx(2 / 3),
        "price": pytest.approx(2 / 3),
    }
    assert parts([{**LINES[0], "codes": ["x"]}, *LINES[1:]]) == {"what": 1.0, "price": 1.0, "codes": 0.0}


def test_parts_are_told_of_the_items_that_belong_together_alone() -> None:
    assert parts([*LINES, {"what": "saw", "price": 7}]) == {"what": 1.0, "price": 1.0}
    assert parts(LINES[:1]) == {"what": 1.0, "price": 1.0}
    assert parts([{"what": "saw", "price": 7}]) == {}, "that is another line, and no slip in one"
    for nothing in ([], None, "nails", ["nails"]):
        assert parts(nothing) == {}
    assert set(item_scores({}, None, SCHEMA)) == set(item_paths(SCHEMA))


def test_a_wholly_right_item_is_not_parted_to_make_two_that_are_half_right() -> None:
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": {
        "type": "object", "properties": {k: {"type": "string"} for k in "abc"}}}}}  # fmt: skip

    def row(text: str) -> dict[str, str]:
        return dict(zip("abc", text, strict=True))

    expected, answered = [row("xyz"), row("pqr")], [row("xyz"), row("xqr")]
    found = item_scores({"rows": expected}, {"rows": answered}, schema)
    assert found == {"rows.a": 0.5, "rows.b": 1.0, "rows.c": 1.0}


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_scalars_in_lists_are_multisets(expected: list[str], answered: list[str]) -> None:
    found = field_scores({"tags": expected}, {"tags": answered}, SCHEMA)["tags"]
    common = sum(min(expected.count(c), answered.count(c)) for c in "abc")
    total = len(expected) + len(answered)
    assert found == pytest.approx(2 * common / total if total else nan, nan_ok=True)
