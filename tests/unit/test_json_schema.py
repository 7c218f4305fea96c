"""JSON Schemas and the grammars made of them: what the validator takes is what a grammar lets through, and back."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from conftest import THREADS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inhouse.core.json_schema import check_schema, compact, ordered, parse_object, validate
from inhouse.dataset.schema import describe_schema, fitted, infer_schema, widened
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import ENGINES, open_engine
from inhouse.engine.grammar import labels_grammar
from inhouse.engine.protocol import Engine
from inhouse.engine.schema_grammar import schema_grammar
from inhouse.errors import InputError, TooFewExamples

TYPES = ["cancel_transfer", "declined_card_payment", "cancel_card", 'fee "x" \\ y', "größe", "Straße", "日本"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": TYPES},
        "größe": {"type": "string", "maxLength": 6},
        "n": {"type": "integer"},
        "price": {"type": "number"},
        "paid": {"type": "boolean"},
        "who": {"type": ["string", "null"], "maxLength": 5},
        "code": {"type": "string", "minLength": 2, "maxLength": 4},
        "supplier": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 6}, "vat": {"type": "string", "maxLength": 6}},
            "required": [],
            "additionalProperties": False,
        },
        "lines": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"q": {"type": "number"}, "kind": {"type": "string", "enum": TYPES}},
                "required": ["q"],
                "additionalProperties": False,
            },
        },
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
        "last": {"type": "string", "maxLength": 3},
    },
    "required": ["kind", "lines"],
    "additionalProperties": False,
}


# --- what a grammar lets through, read by Python's own regular expressions


def as_regex(grammar: str) -> re.Pattern[str]:
    """The language of a grammar without recursion, every rule put in where it is named."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines())
    done: dict[str, str] = {}

    def pattern(body: str) -> str:
        token = re.compile(r'"((?:\\.|[^"\\])*)"|(\[(?:\\.|[^\]\\])*\])|([A-Za-z]\w*)|(\{\d+(?:,\d*)?\}|[*?+()|])|\s+')
        return "".join(part(m) for m in token.finditer(body))

    def part(found: re.Match[str]) -> str:
        text, letters, name, sign = found.groups()
        if text is not None:
            return f"(?:{re.escape(json.loads(chr(34) + text + chr(34)))})"
        if name is not None:
            done.setdefault(name, pattern(rules[name]))
            return f"(?:{done[name]})"
        return letters or {"(": "(?:"}.get(sign or "", sign or "")

    sys.setrecursionlimit(20_000)
    return re.compile(pattern(rules["root"]), re.DOTALL)


PATTERN = as_regex(schema_grammar(SCHEMA).text)


def texts(most: int, least: int = 0) -> st.SearchStrategy[str]:
    awkward = st.sampled_from(['"', "\\", "\n", "\x00", "\x1f", "/", "ß", "😀", "日", "\x7f", "{", ",", " "])
    letter = st.one_of(awkward, st.characters(exclude_categories=["Cs"]))
    return st.lists(letter, min_size=least, max_size=most).map("".join)


NUMBERS = st.one_of(st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False, width=32))
OBJECTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(TYPES),
        "lines": st.lists(
            st.fixed_dictionaries({"q": NUMBERS}, optional={"kind": st.sampled_from(TYPES)}), min_size=1, max_size=3
        ),
    },
    optional={
        "größe": texts(6),
        "n": st.integers(-(10**18), 10**18),
        "price": NUMBERS,
        "paid": st.booleans(),
        "who": st.one_of(st.none(), texts(5)),
        "code": texts(4, least=2),
        "supplier": st.fixed_dictionaries({}, optional={"name": texts(6), "vat": texts(6)}),
        "tags": st.lists(texts(4), max_size=2),
        "last": texts(3),
    },
)


@given(OBJECTS)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_valid_object_is_in_the_grammar(value: dict[str, Any]) -> None:
    assert validate(SCHEMA, value) == ""
    written = compact(ordered(SCHEMA, value))
    assert PATTERN.fullmatch(written), written
    assert parse_object(written) == value


MINIMAL = {"kind": "cancel_card", "lines": [{"q": 1}]}


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "cancel_card_payment"},
        {"kind": "gr\u00f6\u0dfe"},
        {"größe": "seven l"},
        {"n": 1.5},
        {"price": "1"},
        {"price": None},
        {"paid": 1},
        {"who": "sixsix"},
        {"code": "x"},
        {"code": "12345"},
        {"supplier": {"else": "x"}},
        {"supplier": []},
        {"lines": []},
        {"lines": [{"q": 1}] * 4},
        {"lines": [{"kind": "cancel_card"}]},
        {"tags": ["a", "b", "c"]},
        {"tags": "a"},
        {"more": 1},
    ],
)
def test_what_is_not_valid_is_not_in_the_grammar(changed: dict[str, Any]) -> None:
    value = MINIMAL | changed
    assert PATTERN.fullmatch(compact(ordered(SCHEMA, MINIMAL)))
    assert validate(SCHEMA, value) != ""
    assert not PATTERN.fullmatch(compact(ordered(SCHEMA, value)))


def test_no_white_space_no_other_order_no_comma_too_many() -> None:
    for text in (
        '{"kind":"cancel_card", "lines":[{"q":1}]}',
        '{"kind":"cancel_card","lines":[{"q":1}]} ',
        '{"lines":[{"q":1}],"kind":"cancel_card"}',
        '{"kind":"cancel_card",,"lines":[{"q":1}]}',
        '{"kind":"cancel_card","lines":[{"q":1}],}',
        '{"kind":"cancel_card""lines":[{"q":1}]}',
        '{"kind":"cancel_card","lines":[{"q":01}]}',
        '{"kind":"cancel_card","lines":[{"q":1}],"last":"\\ud800"}',
        '{"kind":"cancel_card","lines":[{"q":1}],"last":"\n"}',
    ):
        assert not PATTERN.fullmatch(text), text


def test_a_text_always_ends() -> None:
    pattern = as_regex(schema_grammar({"type": "object", "properties": {"a": {"type": "string"}}}).text)
    assert pattern.fullmatch(compact({"a": "x" * 500}))
    assert not pattern.fullmatch(compact({"a": "x" * 501}))


def test_a_grammar_of_long_texts_and_lists_is_written_quickly() -> None:
    line = {"type": "object", "properties": {"t": {"type": "string", "maxLength": 900}}, "required": ["t"]}
    begun = time.process_time()
    text = schema_grammar({"type": "object", "properties": {"l": {"type": "array", "items": line}}}).text
    assert time.process_time() - begun < 1
    assert len(text) < 200_000


# --- real engines


ASKS = ['quote "this" \\ please', "ünïcödé 😀", "an invoice", "empty", "a a a a", "{", "12345", "C:\\path"]


@pytest.fixture(scope="module")
def template(tiny_base: Any) -> ChatTemplate:
    return ChatTemplate(tiny_base.folder)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tiny_base: Any, template: ChatTemplate) -> Iterator[Engine]:
    opened = open_engine(request.param, tiny_base.gguf, template.end_of_turn, threads=THREADS, exact=False)
    yield opened
    opened.close()


def test_no_engine_ever_leaves_the_schema(engine: Engine, template: ChatTemplate) -> None:
    prompts = [template.prompt_ids([{"role": "user", "content": ask}]) for ask in ASKS]
    answers = engine.generate(prompts, max_new_tokens=700, grammar=schema_grammar(SCHEMA))
    written = [template.decode(a.ids) for a in answers if a.finished]
    assert len(written) >= len(ASKS) // 2
    for text in written:
        assert PATTERN.fullmatch(text)
        assert validate(SCHEMA, parse_object(text)) == ""


@pytest.mark.parametrize("label", ["größe", "Straße 5", "ÄAb", "naïf\\xe9a", 'q"é1', "zeile\nbad", "\x7fa"])
def test_every_engine_reads_letters_before_hexadecimal_digits_rightly(
    engine: Engine, template: ChatTemplate, label: str
) -> None:
    prompt = template.prompt_ids([{"role": "user", "content": "x"}])
    (answer,) = engine.generate([prompt], max_new_tokens=60, grammar=labels_grammar([label]))
    assert template.decode(answer.ids) == label


# --- validate, order, parse


def test_a_fault_names_the_place_and_the_value() -> None:
    fault = validate(SCHEMA, MINIMAL | {"lines": [{"q": 1}, {"q": "two"}]})
    assert "lines[1].q" in fault
    assert "'two'" in fault
    assert "\n" not in fault


def test_keys_come_in_the_schemas_order_at_every_depth() -> None:
    value = {"zz": 1, "lines": [{"kind": "größe", "q": 1}], "kind": "größe"}
    assert compact(ordered(SCHEMA, value)) == '{"kind":"größe","lines":[{"q":1,"kind":"größe"}],"zz":1}'


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "1",
        '{"a":1} x',
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":1}}',
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":1e999}',
        '{"a":"\\ud800"}',
        "{'a':1}",
        '{"a":1,}',
        '{"a":' * 100_000,
        '{"a":' + "9" * 5000 + "}",
    ],
)
def test_what_is_no_plain_object_is_none(text: str | None) -> None:
    assert parse_object(text) is None


# --- a user's own schema


def test_schemas_that_infer_makes_and_this_one_can_be_used() -> None:
    assert check_schema(SCHEMA) == ""


def but(path: str, value: Any) -> dict[str, Any]:
    """SCHEMA with one thing changed."""
    changed = json.loads(json.dumps(SCHEMA))
    *above, last = path.split("/")
    place = changed
    for key in above:
        place = place[key]
    place[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("type", "array", "object"),
        ("properties", {}, "empty"),
        ("properties/n/type", "int", "schema.properties.n"),
        ("properties/n", {"$ref": "#/x"}, "type"),
        ("properties/n", {"anyOf": [{"type": "string"}, {"type": "number"}]}, "type"),
        ("properties/n/minimum", 3, "schema.properties.n.minimum"),
        ("properties/last/pattern", "a+", "schema.properties.last.pattern"),
        ("properties/lines/items/properties/q/multipleOf", 2, "schema.properties.lines.items.properties.q.multipleOf"),
        ("properties/n/type", ["string", "number"], "string and number"),
        ("properties/tags", {"type": "array"}, "schema.properties.tags.items"),
        ("additionalProperties", True, "additionalProperties"),
        ("required", ["kind", "gone"], "'gone'"),
        ("properties/kind/enum", ["a", 3], "3"),
        ("properties/who/enum", [{"a": 1}], "objects"),
        ("properties/code/minLength", 9, "minLength"),
        ("properties/lines/minItems", 9, "minItems"),
        ("properties/n", True, "True"),
        ("properties/code/format", "date", "format"),
        ("properties/code/default", datetime.date(2026, 1, 5), "no JSON value"),
    ],
)
def test_a_schema_that_no_grammar_can_hold_to_is_refused_with_its_place(path: str, value: Any, told: str) -> None:
    assert told in check_schema(but(path, value))


# --- inferring


def rows(*values: dict[str, Any], times: int = 30) -> list[dict[str, Any]]:
    return list(values) * times


def test_types_order_and_what_may_be_left_out() -> None:
    seen = [
        {"no": "A1", "net": 1, "paid": True, "by": None},
        {"no": "A2", "when": "1.1.24", "net": 1.5, "paid": False, "by": "Ann"},
        {"no": "A3", "when": "1.2.24", "net": 2, "paid": False, "by": "Bo"},
    ]
    schema = infer_schema(seen)
    kinds = {key: part["type"] for key, part in schema["properties"].items()}
    assert kinds == {"no": "string", "when": "string", "net": "number", "paid": "boolean", "by": ["string", "null"]}
    assert list(kinds) == ["no", "when", "net", "paid", "by"]
    assert schema["required"] == ["no", "net", "paid", "by"]


def test_line_items_and_nested_objects() -> None:
    seen = [
        {"from": {"name": "A"}, "lines": []},
        {"from": {"name": "B", "vat": "1"}, "lines": [{"q": 1}, {"q": 2, "note": "x"}]},
    ]
    schema = infer_schema(seen)
    item = schema["properties"]["lines"]["items"]
    assert item["required"] == ["q"]
    assert item["properties"]["q"] == {"type": "integer"}
    assert schema["properties"]["from"]["required"] == ["name"]
    assert infer_schema([{"lines": []}])["properties"]["lines"]["items"] == {"type": "string"}


def test_labels_become_a_choice_and_names_dates_and_amounts_do_not() -> None:
    seen = rows(
        {"cur": "EUR", "day": "2024-01-05", "sum": "12.50", "from": "Bolt & Co", "kind": "card/lost", "m": "x"},
        {"cur": "CHF", "day": "2024-01-06", "sum": "9.00", "from": "Acme GmbH", "kind": "pin", "m": None},
    )
    schema = infer_schema(seen)
    assert [k for k, p in schema["properties"].items() if "enum" in p] == ["cur", "kind"]


def test_a_value_that_few_have_means_that_others_are_yet_to_come() -> None:
    seen = [{"kind": "lost"}] * 50 + [{"kind": "pin"}] * 48 + [{"kind": "rare"}]
    assert "enum" not in infer_schema(seen)["properties"]["kind"]
    assert "enum" in infer_schema(seen[:98])["properties"]["kind"]


def test_what_each_group_has_of_its_own_is_no_choice() -> None:
    seen = [{"from": f"{'abcd'[i % 4]}corp", "cur": ("EUR", "USD")[i // 4 % 2]} for i in range(80)]
    groups = [row["from"] for row in seen]
    properties = infer_schema(seen, groups)["properties"]
    assert "enum" not in properties["from"]
    assert "enum" in properties["cur"]


def test_mixed_numbers_and_texts_are_texts_and_it_is_told() -> None:
    seen = [{"a": 1, "b": [1, "x"]}, {"a": "1/2", "b": [True]}]
    schema = infer_schema(seen)
    assert schema["properties"]["a"]["type"] == "string"
    assert any("mixed" in line for line in describe_schema(schema))
    assert fitted(schema, seen[0]) == {"a": "1", "b": ["1", "x"]}
    assert all(validate(schema, fitted(schema, value)) == "" for value in seen)


@pytest.mark.parametrize(
    "seen", [[{"a": {"b": 1}}, {"a": "text"}], [{"a": []}, {"a": 1}], [{"x": {"a": [1]}}, {"x": {"a": {"b": 2}}}]]
)
def test_one_field_of_two_shapes_is_refused_by_name(seen: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match=r"field (x\.)?a holds"):
        infer_schema(seen)


def test_no_schema_of_nothing() -> None:
    with pytest.raises(TooFewExamples):
        infer_schema([])


# --- widening


def test_widening_keeps_the_users_words_and_tells_what_it_changed() -> None:
    mine = infer_schema(rows({"cur": "EUR", "no": "A1", "lines": [{"q": 1}]}, {"cur": "CHF", "no": "A2", "lines": []}))
    mine["properties"]["no"] = {"type": "string", "description": "as printed", "maxLength": 4}
    mine["properties"]["cur"]["enum"] = ["USD", *mine["properties"]["cur"]["enum"]]
    wide, changes = widened(mine, [{"cur": "GBP", "no": "A-12345", "lines": [{"q": 1.5, "u": "kg"}], "by": "Ann"}])
    assert wide["properties"]["cur"]["enum"] == ["USD", *infer_schema_enum(mine), "GBP"]
    assert wide["properties"]["no"] == {"type": "string", "description": "as printed", "maxLength": 14}
    assert wide["properties"]["lines"]["items"]["properties"]["q"] == {"type": "number"}
    assert list(wide["properties"]) == ["cur", "no", "lines", "by"]
    assert "by" not in wide["required"]
    assert changes == [
        "cur: new value 'GBP'",
        "no: maxLength is now 14",
        "lines.[].q is now a number",
        "new field lines.[].u",
        "new field by",
    ]


def infer_schema_enum(schema: dict[str, Any]) -> list[str]:
    return [value for value in schema["properties"]["cur"]["enum"] if value != "USD"]


def test_what_already_fits_widens_nothing_and_texts_stay_texts() -> None:
    mine = {"type": "object", "properties": {"no": {"type": "string", "maxLength": 9}}, "required": ["no"]}
    assert widened(mine, [{"no": 12}, {"no": True}]) == (mine, [])


def test_another_kind_of_value_is_refused_by_name() -> None:
    mine = infer_schema([{"a": {"b": 1}, "l": [1]}])
    for value, name in (
        ({"a": "x", "l": []}, "a"),
        ({"a": {"b": 1}, "l": 3}, "l"),
        ({"a": {"b": [1]}, "l": []}, "a.b"),
    ):
        with pytest.raises(InputError, match=rf"field {re.escape(name)} holds"):
            widened(mine, [value])


SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, texts(8), st.sampled_from(["EUR", "USD"]))
SHAPES = st.fixed_dictionaries(
    {"a": SCALARS, "o": st.fixed_dictionaries({}, optional={"x": SCALARS, "y": st.lists(SCALARS, max_size=3)})},
    optional={"b": SCALARS, "l": st.lists(st.fixed_dictionaries({"q": SCALARS}), max_size=3)},
)


@given(st.lists(SHAPES, min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
def test_an_inferred_schema_fits_its_own_examples_a_grammar_and_a_toml_file(seen: list[dict[str, Any]]) -> None:
    schema = infer_schema(seen)
    assert check_schema(schema) == ""
    assert tomllib.loads(tomlkit.dumps({"schema": schema})) == {"schema": schema}
    for value in seen:
        assert validate(schema, fitted(schema, value)) == ""
    if '"array"' in compact(schema):  # twenty letters of ten items make a pattern that takes a second to read
        return
    pattern = as_regex(schema_grammar(schema).text)
    for value in seen:
        assert pattern.fullmatch(compact(ordered(schema, fitted(schema, value))))


def test_importing_it_imports_no_validator() -> None:
    code = "import sys, inhouse.core.json_schema, inhouse.scoring; print({'jsonschema','sacrebleu','dateparser'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@given(st.lists(SHAPES, min_size=1, max_size=6), st.lists(SHAPES, min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
def test_a_widened_schema_fits_the_old_examples_and_the_new(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    schema, _ = widened(infer_schema(old), new)
    assert check_schema(schema) == ""
    assert tomllib.loads(tomlkit.dumps({"schema": schema})) == {"schema": schema}
    for value in (*old, *new):
        assert validate(schema, fitted(schema, value)) == ""
    assert widened(schema, [*old, *new]) == (schema, [])
