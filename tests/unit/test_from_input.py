"""Fields whose values are taken from the input: what a text mentions, which fields they are, and answers held to it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import THREADS, many_intents
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.core import Example, Provenance, Silent, Task
from inhouse.core.json_schema import compact, parse_object, validate
from inhouse.core.passages import Passages
from inhouse.core.task import FromInput
from inhouse.dataset import infer_from_input, infer_schema, still_from_input
from inhouse.deploy import form_of, open_served
from inhouse.engine.answers import AnswerForm, Question, answer_all, answer_form
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import ENGINES, open_engine
from inhouse.engine.openvino_engine import OpenVinoEngine
from inhouse.engine.passage_grammar import passage_rules
from inhouse.engine.protocol import Engine, Generation
from inhouse.engine.schema_grammar import schema_grammar
from inhouse.errors import ConfigError
from inhouse.pipeline.held import better_left_free
from inhouse.pipeline.task_form import tell_not_taken
from inhouse.scoring.mentions import mentioned, mentioned_fields
from inhouse.store import Workspace, registry

# --- what a text mentions


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("DATE:  25/12/2018 8:13:39 PM", ["25/12/2018"]),
        ("CHK 28 MAR 18 18:32", ["28 MAR 18"]),
        ("02/JAN/2017 and 24-MAR-2018", ["02/JAN/2017", "24-MAR-2018"]),
        ("DATE:21/05/2018TIME: 11:12", ["21/05/2018"]),
        ("am 5. März 2026, fällig 5.4.26", ["5. März 2026", "5.4.26"]),
        ("le 3 janvier 2025", ["3 janvier 2025"]),
        ("March 5, 2026", ["March 5, 2026"]),
        ("15 / 01 / 2018", ["15 / 01 / 2018"]),
        ("2018-03-04T10:00", ["2018-03-04"]),
        ("20180304 1", ["20180304"]),
        ("no 20459913", []),
        ("28MAR2018", ["28MAR2018"]),
        ("5.\u00a0März\u00a02026", ["5. März 2026"]),
        ("20180304, due 04/04/2018", ["04/04/2018", "20180304"]),
        ("5 de março de 2024", ["5 de março de 2024"]),
        ("40/40/2018, 10 PCS 12, 1.234.567,00, 192.168.100.1, tel 03-3271 9872", []),
        ("", []),
    ],
)
def test_days_are_found_as_they_are_written(text: str, days: list[str]) -> None:
    assert list(mentioned(text, "date")) == days


def test_days_come_in_iso_form_too() -> None:
    text = "Datum: 07.01.25, Leistungsdatum 30.12.24, 7 January 2025"
    assert mentioned(text, "iso-date") == ("2025-01-07", "2024-12-30")
    assert mentioned("20250107", "iso-date") == ("2025-01-07",)
    assert mentioned("03/05/2026 and 13/05/2026", "iso-date") == ("2026-05-03", "2026-03-05", "2026-05-13")
    assert set(mentioned("05-06-2024, 1 / 2 / 2024, 3.4.2024", "iso-date")) == {
        "2024-06-05", "2024-05-06", "2024-02-01", "2024-01-02", "2024-04-03",
    }  # fmt: skip
    assert mentioned("Invoice date 20240305, due 04/04/2024", "iso-date") == ("2024-04-04", "2024-03-05")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Total RM 9.00", ["9.00", "RM 9.00"]),
        ("1.234,50 EUR", ["1.234,50"]),
        ("24  18,00  432,00", ["24", "18,00", "432,00"]),
        ("4 128,00", ["4 128,00", "4", "128,00"]),  # four thousand, or four pieces
        ("1\u00a0234,50", ["1 234,50", "1", "234,50"]),
        ("£2,608.68", ["2,608.68", "£2,608.68"]),
        ("-5,95", ["5,95", "-5,95"]),
        ("TOTAL......12.50", ["12.50"]),
        ("Rs.500 TOTAL-9.00", ["500", "9.00", "-9.00"]),
        ("Gutschrift 5,95-", ["5,95", "5,95-"]),
        ("9" * 400, []),
        ("none", []),
    ],
)
def test_amounts_are_found_as_they_are_written(text: str, wanted: list[str]) -> None:
    assert list(mentioned(text, "amount")) == wanted


def test_numbers_are_found_by_value_in_every_reading() -> None:
    assert set(mentioned("1.234,50", "number")) == {1234.5}
    assert set(mentioned("1.234", "number")) == {1.234, 1234}
    assert [compact(v) for v in mentioned("432,00", "number")] == ["432", "432.0"]
    assert set(mentioned("Gutschrift 5,95-", "number")) == {-5.95, 5.95}
    assert 123456.0 in mentioned("5 123 456,00", "number")
    assert mentioned("9" * 400 + " 1" * 400, "number") == (1, 1.0)
    assert set(mentioned("007", "number")) == {7}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Total .50, tax 1.25", 0.5),
        ("€.75", 0.75),
        ("₹ 12,34,567.00", 1234567),
        ("Rs 1,00,000", 100000),
        ("qty 03 price 4.00", 3),
        ("Credit (12.50)", -12.5),
        ("0.05 and 00.5", 0.05),
        ("0", 0),
    ],
)
def test_numbers_are_found_however_they_are_written(text: str, value: float) -> None:
    assert value in mentioned(text, "number")


def test_a_field_for_which_nothing_is_mentioned_has_no_choices() -> None:
    assert mentioned_fields({"date": "date", "total": "amount"}, "9.00") == {"total": ("9.00",)}


@pytest.mark.parametrize(
    ("passage", "stands_in"),
    [
        ("NO.5, JALAN PUTRA 1, 81200 JOHOR", True),
        ("NO.5,JALAN PUTRA 1", True),  # white space beside signs does not matter
        ("PUTRA 1, 81200", True),  # over the end of a line
        ("YONGFATT ENTERPRISE", True),
        ("(JM0517", False),  # half a word
        ("Jalan Putra", False),
        ("JALANPUTRA", False),
        ("JALAN JOHOR", False),
        ("", True),
        (5, False),
    ],
)
def test_passages_are_runs_of_words(passage: object, stands_in: bool) -> None:
    text = "YONGFATT ENTERPRISE(JM0517726-T)\n NO.5, JALAN  PUTRA 1,\n81200 JOHOR\n"
    assert (passage in Passages.of(text)) is stands_in


def test_letters_of_scripts_without_spaces_are_pieces() -> None:
    assert "京都府" in Passages.of("発送先：京都府京都市ABC店")
    assert "ABC" in Passages.of("発送先：京都府京都市ABC店")
    assert "AB" not in Passages.of("発送先：京都府京都市ABC店")
    assert "ភាសា" in Passages.of("ក្នុងភាសាខ្មែរ")
    assert "မြန်" in Passages.of("မြန်မာ")


@pytest.mark.parametrize(
    ("text", "whole", "half"),
    [
        ("cafe\u0301 x", "cafe\u0301", "cafe"),
        ("हिन्दी में", "हिन्दी", "हिन"),
        ("བོད་ཡིག", "ཡིག", "ཡ"),
        ("می\u200cخواهم", "می\u200cخواهم", "می"),
        ("ក្នុងភាសា", "ភា", "ភ"),
        ("ក្នុងភាសា", "ក្នុ", "នុ"),
        ("-\u0308 b", "-\u0308", "-"),
    ],
)
def test_words_take_the_marks_that_combine_with_their_letters(text: str, whole: str, half: str) -> None:
    assert whole in Passages.of(text)
    assert half not in Passages.of(text)
    assert "".join(Passages.of(text).pieces) == text


def test_every_combining_mark_goes_with_its_letter() -> None:
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code))[0] == "M"]
    assert [hex(ord(mark)) for mark in marks if Passages.of(f"a{mark}b").pieces != (f"a{mark}b",)] == []


# --- which fields are taken from the input


def _rows(count: int = 40) -> tuple[list[dict[str, Any]], list[str]]:
    objects, texts = [], []
    for i in range(count):
        day, price = f"{i % 28 + 1:02d}.03.2025", f"{i + 1}.234,50"
        objects.append(
            {
                "date": f"2025-03-{i % 28 + 1:02d}",
                "written": day,
                "total": (i + 1) * 1000 + 234.5,
                "as_text": price,
                "rating": 3.5 if i % 2 else 4.5,
                "paid": i % 2 == 0,
                "lines": [{"price": i + 7.25, "what": f"thing {i}"}],
            }
        )
        texts.append(f"1 Rechnung vom {day}\nDing {i + 7},25 0,00\nSumme {price} EUR")
    return objects, texts


TAKEN = {
    "date": "iso-date",
    "written": "date",
    "total": "number",
    "as_text": "amount",
    "lines.price": "number",
}


def test_fields_are_taken_from_the_input_where_their_values_stand_there() -> None:
    objects, texts = _rows()
    assert infer_from_input(infer_schema(objects), objects, texts) == TAKEN


def test_texts_that_are_copied_are_taken_from_the_input_unless_too_many_are_not() -> None:
    objects = [{"who": f"Firm {i} S/B", "land": "Malta", "note": f"7{i}.5"} for i in range(100)]
    texts = [f"FIRM\nFirm {i}\nS/B(12-T) Malta {i} 7{i}.5 end" for i in range(100)]
    assert infer_from_input(infer_schema(objects), objects, texts) == {"who": "text", "note": "amount"}
    for i in range(20):
        objects[4 * i]["who"] = f"Frim {4 * i} S/B"
    assert infer_from_input(infer_schema(objects), objects, texts) == {"who": "text", "note": "amount"}
    objects[1]["who"] = "Firm 1\nS/B"  # a passage, and never to be answered with its lines
    assert infer_from_input(infer_schema(objects), objects, texts) == {"note": "amount"}


def test_what_stands_in_most_inputs_by_chance_is_not_taken_from_them() -> None:
    objects = [{"stars": i % 5 + 1, "lines": i % 4 + 1, "seat": i + 20} for i in range(60)]
    texts = [f"Order 4 of 5, table 3, 2 persons, 1 visit. Seat {i + 20}" for i in range(60)]
    assert infer_from_input(infer_schema(objects), objects, texts) == {"seat": "number"}


class Warned(Silent):
    """What is warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_a_field_that_is_no_longer_taken_is_told_with_its_forms_own_share() -> None:
    schema = {"type": "object", "properties": {"who": {"type": "string"}, "day": {"type": "string"}}}
    before = Task(name="t", kind="extract", schema=schema, from_input={"who": "text", "day": "date"})
    told = Warned()
    tell_not_taken(before, before.model_copy(update={"from_input": {}}), told)
    assert [(line.split()[0], re.findall(r"over \d+%", line)) for line in told.warnings] == [
        ("day", ["over 2%"]),
        ("who", ["over 20%"]),
    ]


def test_zero_and_empty_say_that_there_is_none() -> None:
    objects, texts = _rows(100)
    for one in objects[::10]:
        one["total"], one["written"] = 0, ""
    assert infer_from_input(infer_schema(objects), objects, texts) == TAKEN
    schema = {
        "type": "object",
        "properties": {"tax": {"type": "number"}, "n": {"type": "integer"}, "day": {"type": "string"}},
        "required": ["tax", "n", "day"],
    }
    held = schema_grammar(schema, {"tax": (55.1,), "n": (4,), "day": ("1/2/2025",)})
    free = schema_grammar(schema, {"tax": (55.1, 0, 0.0), "n": (4, 0), "day": ("1/2/2025", "")})
    assert sorted(held.text) == sorted(free.text)


def test_few_examples_or_strays_take_no_field() -> None:
    objects, texts = _rows(29)
    assert infer_from_input(infer_schema(objects), objects, texts) == {}
    objects, texts = _rows(100)
    for i in range(2):
        objects[i]["total"] = 99.0
    assert "total" in infer_from_input(infer_schema(objects), objects, texts)
    objects[2]["total"] = 99.0
    assert "total" not in infer_from_input(infer_schema(objects), objects, texts)


def test_more_examples_can_only_end_it() -> None:
    objects, texts = _rows()
    schema = infer_schema(objects)
    assert still_from_input({"total": "number"}, schema, objects, texts) == {"total": "number"}
    for one in objects[:5]:
        one["total"] = 0.5
    assert still_from_input({"total": "number", "date": "iso-date"}, schema, objects, texts) == {"date": "iso-date"}


def test_a_task_keeps_it_and_refuses_what_cannot_be(tmp_path: Path) -> None:
    objects, _ = _rows()
    schema = infer_schema(objects)
    schema["properties"]["chosen"] = {"type": "string", "enum": ["1/2/2025", "none"]}
    workspace = Workspace(tmp_path)
    workspace.create()
    task = Task(name="t", kind="extract", schema=schema, from_input=TAKEN)
    workspace.save_task(task)
    assert workspace.load_task("t").from_input == TAKEN
    workspace.save_task(task.model_copy(update={"from_input": {"date": "iso-date"}}))
    assert workspace.load_task("t").from_input == {"date": "iso-date"}
    path = workspace.paths.task_file("t")
    path.write_text(path.read_text("utf-8").replace('date = "iso-date"', 'date = "iso-date"  # as we book it'), "utf-8")
    workspace.save_task(task)
    workspace.save_task(task.model_copy(update={"from_input": {"date": "iso-date"}}))
    assert "# as we book it" in path.read_text("utf-8")
    workspace.save_task(task.model_copy(update={"from_input": {}}))
    assert workspace.load_task("t").from_input == {}  # a no, where absent is not yet
    workspace.save_task(task.model_copy(update={"from_input": {"date": "iso-date"}}))
    good = path.read_text("utf-8")
    for wrong, told in (
        ('date = "day"', "from_input"),
        ('data = "iso-date"', "which is no field of the schema"),
        ('total = "iso-date"', "is for a text"),
        ('chosen = "date"', "a choice of the schema's own values"),
        ('date = "number"', "is for a number"),
    ):
        path.write_text(good.replace('date = "iso-date"', wrong), "utf-8")
        with pytest.raises(ConfigError, match=told):
            workspace.load_task("t")
    workspace.close()


def _asked(targets: list[dict[str, Any]], groups: str = "") -> list[Example]:
    where = Provenance("test", 1)
    return [
        Example({"text": str(i)}, compact(one), group=groups[i : i + 1] or str(i), provenance=where)
        for i, one in enumerate(targets)
    ]


TAKEN_TEXTS: dict[str, FromInput] = {"who": "text", "lines.what": "text", "day": "date", "a.b": "text"}


def test_a_field_that_free_answers_have_right_more_often_is_left_free() -> None:
    lines = [{"what": "a b"}, {"what": "c"}]
    examples = _asked([{"who": f"House {i}", "day": "1/2/25", "lines": lines, "a.b": f"H {i}"} for i in range(5)])
    copied = [compact({"who": "Firm", "day": "1/2/25", "lines": lines, "a.b": "H"})] * 5
    typed = [
        compact({"who": f"House {i}", "day": "9", "lines": [{"what": "a b"}, {"what": "d"}], "a.b": f"H {i}"})
        for i in range(5)
    ]
    assert better_left_free(TAKEN_TEXTS, examples, typed, copied) == ("who", "a.b")
    assert better_left_free(TAKEN_TEXTS, examples, copied, typed) == ("lines.what",)
    assert better_left_free(TAKEN_TEXTS, examples, [None, "no object"] * 2 + [""], copied) == ()


def test_a_difference_by_chance_leaves_no_field_free() -> None:
    examples = _asked([{"who": f"House {i}"} for i in range(40)])
    wrong, right = '{"who":"Firm"}', [e.target for e in examples]
    assert better_left_free(TAKEN_TEXTS, examples, [*right[:4], *[wrong] * 36], [wrong] * 40) == ()
    assert better_left_free(TAKEN_TEXTS, examples, [*right[:5], *[wrong] * 35], [wrong] * 40) == ("who",)
    back = [*[wrong] * 30, *right[30:]]
    assert better_left_free(TAKEN_TEXTS, examples, [*right[:15], *[wrong] * 25], back) == ()
    of_one_house = _asked([{"who": f"House {i}"} for i in range(40)], "x" * 40)
    assert better_left_free(TAKEN_TEXTS, of_one_house, right, [wrong] * 40) == ()


def test_items_in_another_order_and_rightly_missing_values_are_right() -> None:
    examples = _asked([{"lines": [{"what": f"a{i}"}, {"what": "b"}]} for i in range(6)] + [{"who": ""}] * 6)
    turned = [compact({"lines": [{"what": "b"}, {"what": f"a{i}"}]}) for i in range(6)] + ["{}"] * 6
    as_is = [compact({"lines": [{"what": f"a{i}"}, {"what": "b"}]}) for i in range(6)] + ['{"who":"X"}'] * 6
    assert better_left_free(TAKEN_TEXTS, examples, turned, as_is) == ("who",)
    assert better_left_free(TAKEN_TEXTS, examples, as_is, turned) == ()
    first_only = [compact({"lines": [{"what": "b"}]})] * 6 + ["{}"] * 6
    assert better_left_free(TAKEN_TEXTS, examples, turned, first_only) == ("lines.what",)


# --- answers held to it

SCHEMA = {
    "type": "object",
    "properties": {
        "who": {"type": "string", "maxLength": 12},
        "total": {"type": ["number", "null"]},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"q": {"type": "integer"}}, "required": ["q"]},
            "minItems": 1,
        },
        "day": {"type": "string"},
    },
    "required": ["total", "lines", "day"],
    "additionalProperties": False,
}
CHOICES = {"total": (9, 9.0, -1.5), "lines.q": (4, 4.0, 17), "day": ("1/2/2025", "11/2/2025")}


@pytest.fixture(scope="module")
def template(tiny_base: Any) -> ChatTemplate:
    return ChatTemplate(tiny_base.folder)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tiny_base: Any, template: ChatTemplate) -> Iterator[Engine]:
    opened = open_engine(request.param, tiny_base.gguf, template.end_of_turn, threads=THREADS, exact=False)
    yield opened
    opened.close()


def test_every_prompt_is_held_to_its_own_choices(engine: Engine, template: ChatTemplate) -> None:
    prompts = [template.prompt_ids([{"role": "user", "content": f"ask {i}"}]) for i in range(16)]
    own = [CHOICES | {"day": (f"{i + 1}/2/2025", f"{i + 1}/12/2025")} for i in range(16)]
    schema = {**SCHEMA, "properties": {k: v for k, v in SCHEMA["properties"].items() if k != "who"}}
    grammars = [schema_grammar(schema, one) for one in own]
    answers = engine.generate(prompts, max_new_tokens=400, grammar=grammars)
    whole = 0
    for i, answer in enumerate(answers):
        if not answer.finished:
            continue
        whole += 1
        found = parse_object(template.decode(answer.ids))
        assert found is not None
        assert validate(schema, found) == ""
        assert found["day"] in (*own[i]["day"], "")
        assert found["total"] in (9, -1.5, 0, None)
        assert {line["q"] for line in found["lines"]} <= {4, 17, 0}
    assert whole >= 3


def _accepts(rules: dict[str, list[list[str]]], name: str, text: str) -> bool:
    """Whether a rule takes the whole text: each way by itself, as a grammar says it and not as an engine reads it."""

    def ends(rule: str, begin: int) -> set[int]:
        found: set[int] = set()
        for way in rules[rule]:
            places = {begin}
            for part in way:
                if part.startswith('"'):
                    plain = json.loads(part.replace("\\x", "\\u00"))
                    places = {p + len(plain) for p in places if text.startswith(plain, p)}
                else:
                    places = {end for p in places for end in ends(part, p)}
            found |= places
        return found

    return len(text) in ends(name, 0)


def _rules_of(text: str) -> dict[str, list[list[str]]]:
    part = re.compile(r'"(?:[^"\\]|\\.)*"|\w+')
    ways = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^"|])+')
    found = dict(passage_rules(Passages.of(text), "p"))
    return {name: [part.findall(way) for way in ways.findall(body)] for name, body in found.items()}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "ab", "b", "-", '"', "\\", " ", "ü", "ße", "京", "\u0301", "\x07"]),
        min_size=1,
        max_size=14,
    )
)
def test_the_grammar_of_passages_takes_every_run_and_nothing_else(parts: list[str]) -> None:
    text = " ".join("".join(parts).split())
    pieces = Passages.of(text).pieces
    if not pieces:
        return
    rules = _rules_of(text)
    runs = {
        "".join(pieces[i:j])
        for i in range(len(pieces))
        for j in range(i + 1, len(pieces) + 1)
        if pieces[i] != " " and pieces[j - 1] != " "
    }
    for run in runs:
        assert _accepts(rules, "p0", compact(run)[1:]), run
    others = {f"{run}a" for run in runs} | {run[1:] for run in runs} | {f"{run} {run}" for run in runs} | {"", " "}
    for other in others - runs:
        assert not _accepts(rules, "p0", compact(other)[1:]), other


def test_answers_are_passages_of_their_own_input(engine: Engine, template: ChatTemplate) -> None:
    texts = [f'Firma "{i}" GmbH & Co.\nStraße {i}, {i}0115 Köln\tSumme {i},00 \\ x' for i in range(16)]
    prompts = [template.prompt_ids([{"role": "user", "content": text}]) for text in texts]
    schema = {
        "type": "object",
        "properties": {"who": {"type": "string"}, "where": {"type": ["string", "null"]}},
        "required": ["who", "where"],
    }
    fields: dict[str, FromInput] = {"who": "text", "where": "text"}
    grammars = [schema_grammar(schema, mentioned_fields(fields, text)) for text in texts]
    answers = engine.generate(prompts, max_new_tokens=200, grammar=grammars)
    values = []
    for text, answer in zip(texts, answers, strict=True):
        found = parse_object(template.decode(answer.ids)) if answer.finished else None
        values += [(text, value) for value in (found or {}).values() if value]
    assert len(values) >= 8
    for text, value in values:
        assert value in Passages.of(text)
        assert value in " ".join(text.split())


def test_a_passage_that_breaks_the_schemas_bounds_goes_to_a_person(engine: Engine, template: ChatTemplate) -> None:
    schema = {
        "type": "object",
        "properties": {"who": {"type": "string", "minLength": 1, "maxLength": 20}},
        "required": ["who"],
    }
    text = "x" * 60
    question = Question(template.prompt_ids([{"role": "user", "content": text}]), text)
    form = answer_form(
        "extract", json_schema=schema, choices_of=lambda one: {"who": Passages.of(one)}, answer_tokens=150
    )
    (answer,) = answer_all(engine, [question], form, template.decode)
    found = parse_object(answer.target)
    assert found is not None, answer.error
    assert 1 <= len(found["who"]) <= 20
    assert answer.confidence == 0


class _Scripted:
    """Not an engine of ours: answers by what the grammar lets it, so that asking again can be seen."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self.asked: list[list[bool]] = []

    def generate(self, prompts: Any, *, max_new_tokens: int, grammar: Any = None, progress: Any = None) -> Any:
        narrow = ["2/2/2025" in one.text for one in grammar]  # taken as the prompts come
        self.asked.append(narrow)
        texts = ['{"day":"' + "x" * 20 if n else '{"day":"1/1/2025"}' for n in narrow]
        return [
            Generation(self._template.answer_ids(t)[: None if t.endswith("}") else -1], -1.0, t.endswith("}"))
            for t in texts
        ]


def test_an_answer_without_an_end_is_asked_again_without_the_choices(template: ChatTemplate) -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
    form = answer_form("extract", json_schema=schema, choices_of=_day_of, answer_tokens=40)
    engine = _Scripted(template)
    questions = [Question([1, 5], "2/2/2025"), Question([1, 6], "no date")]
    answers = answer_all(engine, questions, form, template.decode)  # type: ignore[arg-type]
    assert [a.target for a in answers] == ['{"day":"1/1/2025"}'] * 2
    assert answers[0].confidence == 0
    assert answers[1].confidence > 0
    assert engine.asked == [[True, False], [False]]


def test_an_answer_that_was_free_is_not_asked_again(template: ChatTemplate) -> None:
    schema = {"type": "object", "properties": {"day": {"type": "integer"}}, "required": ["day"]}
    form = answer_form("extract", json_schema=schema, choices_of=_day_of, answer_tokens=40)
    engine = _Scripted(template)  # answers a text, which meets no schema of numbers
    (answer,) = answer_all(engine, [Question([1, 6], "no date")], form, template.decode)  # type: ignore[arg-type]
    assert answer.error
    assert engine.asked == [[False]]


def _day_of(text: str) -> dict[str, list[str]]:
    return {"day": re.findall(r"\d/\d/\d{4}", text)} if "/" in text else {}


def test_openvino_forgets_grammars_and_goes_on(
    tiny_base: Any, template: ChatTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inhouse.engine.openvino_engine.MOST_GRAMMAR", 150)
    engine = OpenVinoEngine(tiny_base.gguf, template.end_of_turn)
    first = engine._pipeline
    prompt = template.prompt_ids([{"role": "user", "content": "when"}])
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    for i in range(8):
        grammar = schema_grammar(schema, {"n": [i + 10]})
        if i % 2:
            (answer,) = engine.generate([prompt], max_new_tokens=40, grammar=grammar)
        else:
            *_, answer = engine.stream(prompt, max_new_tokens=40, grammar=grammar)
        assert json.loads(template.decode(answer.ids)) in ({"n": i + 10}, {"n": 0})
        assert engine._letters <= 150 + len(grammar.text)
    assert engine._pipeline is not first
    engine.close()


def test_a_version_holds_answers_to_its_inputs() -> None:
    class Version:
        kind, labels, outline, answer_tokens = "extract", (), None, 50
        json_schema, held_to = SCHEMA, {"day": "date", "total": "number"}

    form: AnswerForm = form_of(Version)  # type: ignore[arg-type]
    held = form.grammar_of("paid 9,00 on 1/2/2025")
    assert held is not None
    assert "1/2/2025" in held.text
    assert form.grammar_of("nothing here") is form.grammar


def _labelled(path: Path) -> Path:
    """Messages whose label, which stands in none of them, is a field of an object."""
    rows = [{"text": row["text"], "found": {"intent": row["category"]}} for row in many_intents()]
    path.write_text("".join(f"{compact(row)}\n" for row in rows), "utf-8")
    return path


def test_a_version_answers_a_field_freely_that_it_has_right_more_often_so(
    tmp_path: Path, tiny_gguf: Path, cli: Any, one_thread: None
) -> None:
    folder = tmp_path / "work"
    assert cli(folder, "init", "calls", "--kind", "extract", "--base", tiny_gguf).code == 0
    added = cli(folder, "add", "calls", _labelled(tmp_path / "calls.jsonl"), "--input", "text", "--target", "found")
    assert added.code == 0, added.err
    task = folder / "tasks" / "calls" / "task.toml"
    text = re.sub(r"enum = \[.*?\]\n", "", task.read_text("utf-8"), flags=re.DOTALL)
    text = text.replace("[train]\n", "[train]\nepochs = 30\nlearning_rate = 0.01\nbatch_size = 8\n")
    task.write_text(f'{text}\n[from_input]\nintent = "text"\n', "utf-8")
    trained = cli(folder, "train", "calls", "--json")
    assert trained.code == 0, trained.err
    assert "so left free: intent" in trained.err
    evaluated = cli(folder, "evaluate", "calls", "--json")
    assert evaluated.code == 0, evaluated.err
    assert not [w for w in evaluated.json["warnings"] if "train again" in w]
    workspace = Workspace(folder)
    version = registry.find_version(workspace, "calls", "latest")
    assert (version.from_input, version.left_free, version.held_to) == ({"intent": "text"}, ("intent",), {})
    served = open_served(workspace, version)
    (answer,) = served.answer([{"text": "where is my card now"}])
    served.close()
    assert answer.prediction.error is None
    assert json.loads(answer.prediction.target)["intent"] not in "where is my card now", "it is held to the input"
    workspace.save_task(workspace.load_task("calls").model_copy(update={"from_input": {}}))
    workspace.close()
    again = cli(folder, "evaluate", "calls", "--json")
    assert [w for w in again.json["warnings"] if "train again" in w]
