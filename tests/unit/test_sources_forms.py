"""Forms that other tools write: conversations of theirs, Alpaca's tables, and Parquet."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.errors import SourceError
from inhouse.sources import infer_mapping, read_source, to_examples
from inhouse.sources.mapping import infer_kind

ASKED = [{"role": "user", "content": "Where is my card?"}]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    *ASKED,
]


def said(*turns):
    """Turns as ShareGPT has them."""
    return [{"from": speaker, "value": text} for speaker, text in turns]


SHAREGPT = said(("system", "Be brief."), ("human", "Hello"), ("gpt", "Hi"), ("human", "Where is my card?"))
FORMS = {
    "ShareGPT": {"id": "x1", "conversations": [*SHAREGPT, *said(("gpt", "on its way"))]},
    "ShareGPT with a system beside it": {
        "system": "Be brief.",
        "conversations": [*SHAREGPT[1:], *said(("gpt", "on its way"))],
        "tools": "[]",
    },
    "conversations with roles": {"conversations": [*TALK, {"role": "assistant", "content": "on its way"}]},
    "OpenAI": {"messages": [*TALK, {"role": "assistant", "content": "on its way"}], "source": "mail"},
    "prompt and completion of messages": {
        "prompt": TALK,
        "completion": [{"role": "assistant", "content": "on its way"}],
    },
    "Alpaca with a history": {
        "instruction": "Where is my card?",
        "input": "",
        "output": "on its way",
        "system": "Be brief.",
        "history": [["Hello", "Hi"]],
    },
}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_conversations_in_every_form(tmp_path, form, kind):
    rows = [FORMS[form]] * 3
    path = tmp_path / f"d.{kind}"
    if kind == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif kind == "json":
        path.write_text(json.dumps({"version": 1, "data": rows}))
    else:
        write(path, rows)
    source = read_source(path)
    assert infer_kind(source) == ("generate", "messages holds conversations")
    mapping = infer_mapping(source, kind="generate")
    examples, rejections = to_examples(source, mapping)
    assert (mapping.chat, rejections) == (True, [])
    assert json.loads(examples[0].inputs["messages"]) == TALK
    assert examples[0].target == "on its way"
    assert [e.provenance.line for e in examples] == ([1, 1, 1] if kind == "json" else [1, 2, 3])
    assert ("left out where they are learned" in "".join(source.notes)) == (form in ("ShareGPT", "OpenAI"))


def test_pairs_of_sharegpt(tmp_path):
    row = {
        "conversations": SHAREGPT,
        "chosen": {"from": "gpt", "value": "on its way"},
        "rejected": {"from": "gpt", "value": "no idea"},
    }
    source = read_source(write(tmp_path / "d.jsonl", [row] * 3))
    examples, rejections = to_examples(source, infer_mapping(source, kind="generate"))
    assert rejections == []
    silent = [{**m, "weight": 0} if m["role"] == "assistant" else m for m in TALK]
    assert json.loads(examples[0].inputs["messages"]) == silent
    assert (examples[0].target, examples[0].rejected) == ("on its way", "no idea")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"conversations": said(("human", "a"), ("observation", "b"))}, "from 'observation', not one of"),
        ({"conversations": said(("human", "a"), ("function_call", "b"))}, "calls of tools are not learned"),
        ({"conversations": ["a"]}, "turn 1 of 'conversations' is not an object"),
        ({"conversations": {"from": "human"}}, "'conversations' is not a list"),
        ({"conversations": [{"value": "a"}]}, "turn 1 of 'conversations' is from None"),
        ({"conversations": said(("human", "a"))}, "no answer to learn"),
        ({"conversations": said(("human", "a"), ("gpt", " "))}, "the content of message 2 is empty"),
        (
            {"conversations": said(("human", "a"), ("gpt", "b")), "tools": '[{"name": "x"}]'},
            "the row has the key 'tools'",
        ),
    ],
)
def test_what_is_no_conversation_is_rejected_with_line_and_reason(tmp_path, change, part):
    rows = [FORMS["ShareGPT"]] * 3 + [change]
    source = read_source(write(tmp_path / "d.jsonl", rows))
    examples, rejections = to_examples(source, infer_mapping(source, kind="generate"))
    [rejection] = [*source.rejections, *rejections]
    assert (len(examples), rejection.provenance.line) == (3, 4)
    assert part in rejection.reason


def alpaca(i, **changed):
    row = {"instruction": f"Translate number {i}", "input": "" if i % 2 else f"text {i}", "output": f"the answer {i}"}
    return {**row, "text": f"Below is an instruction. {row['instruction']} ### Response: the answer {i}", **changed}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_alpaca(tmp_path, kind):
    frame = pl.DataFrame([alpaca(i) for i in range(12)])
    path = tmp_path / f"d.{kind}"
    {"jsonl": frame.write_ndjson, "csv": frame.write_csv, "parquet": frame.write_parquet}[kind](path)
    source = read_source(path)
    assert infer_kind(source) == ("generate", "the columns are Alpaca's, with different values of instruction")
    mapping = infer_mapping(source, kind="generate")
    assert (mapping.fields, mapping.targets) == (("instruction", "input"), ("output",))
    assert "left out: text" in mapping.why  # it holds the answer
    examples, rejections = to_examples(source, mapping)
    assert (len(examples), rejections) == (12, [])


def test_alpaca_with_one_instruction_is_the_tasks_own_table(tmp_path):
    rows = [alpaca(i, instruction="Name the queue.", input=f"message {i}", output="ab"[i % 2]) for i in range(12)]
    source = read_source(write(tmp_path / "d.jsonl", rows))
    assert infer_kind(source)[0] == "classify"
    mapping = infer_mapping(source, kind="classify")
    assert (mapping.fields, mapping.targets) == (("input",), ("output",))
    objects = [{**row, "output": {"total": i}} for i, row in enumerate(rows)]
    source = read_source(write(tmp_path / "e.jsonl", objects))
    assert infer_kind(source)[0] == "extract"
    named = infer_mapping(source, kind="extract", fields=["text"])
    assert (named.fields, named.targets) == (("text",), ("output",))


@pytest.mark.parametrize("order", [("prompt", "chosen", "rejected"), ("chosen", "rejected", "prompt")])
def test_the_kind_of_pairs_is_that_of_the_better_answers(tmp_path, order):
    row = {"prompt": "where is card {}", "chosen": "card {} is near", "rejected": "I lost card {}"}
    rows = [{name: row[name].format(i) for name in order} for i in range(12)]
    source = read_source(write(tmp_path / "d.jsonl", rows))
    assert infer_kind(source) == ("generate", "chosen holds texts that hardly repeat")


# --- Parquet


def test_parquet_types_become_text(tmp_path):
    frame = pl.DataFrame(
        {
            "text": ["één", None],
            "n": [1, 2],
            "x": [1.5, float("nan")],
            "whole": [3.0, None],
            "ok": [True, None],
            "day": [date(2025, 3, 4), None],
            "at": [datetime(2025, 3, 4, 13, 5), None],
            "hour": [time(13, 5), None],
            "sum": [Decimal("1.50"), None],
            "items": [[{"day": date(2025, 3, 4), "q": 1.5}], []],
            "meta": [{"a": None, "b": [1]}, None],
            "picture": [b"\x00\xff", None],
            "pictures": [[{"bytes": b"x"}], None],
        },
        schema_overrides={"picture": pl.Binary},
    ).with_columns(pl.col("x").cast(pl.Float32).alias("small"), pl.col("text").cast(pl.Categorical).alias("kind"))
    frame.write_parquet(tmp_path / "d.parquet")
    source = read_source(tmp_path / "d.parquet")
    assert [r.provenance.line for r in source.records] == [1, 2]
    assert dict(source.records[0].values) == {
        "text": "één",
        "n": "1",
        "x": "1.5",
        "whole": "3",
        "ok": "true",
        "day": "2025-03-04",
        "at": "2025-03-04 13:05:00",
        "hour": "13:05:00",
        "sum": "1.50",
        "items": '[{"day":"2025-03-04","q":1.5}]',
        "meta": '{"a":null,"b":[1]}',
        "small": "1.5",
        "kind": "één",
    }
    assert {name for name, value in source.records[1].values.items() if value} == {"n", "items"}
    for record in source.records:
        assert all(json.loads(record.values[name]) is not None for name in record.json)
    assert source.nested == {"items", "meta"}
    assert source.notes == ("left out, as they hold bytes: picture, pictures",)


@given(st.lists(st.tuples(st.text(), st.sampled_from("ab")), min_size=1, max_size=8))
def test_texts_of_parquet_are_read_back_or_rejected(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("parquet") / "d.parquet"
    rows = [("good", "a")] * len(rows) + rows
    pl.DataFrame(rows, schema=["text", "label"], orient="row").write_parquet(path)
    source = read_source(path)
    assert [tuple(r.values.values()) for r in source.records] == [row for row in rows if "\0" not in row[0]]
    assert [r.provenance.line for r in source.rejections] == [i for i, row in enumerate(rows, 1) if "\0" in row[0]]


def test_parquet_that_cannot_be_read(tmp_path, monkeypatch):
    path = tmp_path / "d.parquet"

    def fails():
        with pytest.raises(SourceError) as caught:
            read_source(path)
        assert caught.value.file == str(path)
        return caught.value.what

    pl.DataFrame({"text": ["x" * 50] * 30, "label": ["a", "b"] * 15}).write_parquet(path)
    data = path.read_bytes()
    monkeypatch.setattr("inhouse.sources.parquet_file.MAX_TABLE_CHARS", 1000)
    assert fails().startswith("the first 20 rows of the file have 1,020 characters")
    for broken in (b"", b"PAR1", data[:-30], data[: len(data) // 2], b"PAR1" + data[4:-8] + b"\xff" * 8):
        path.write_bytes(broken)
        assert "the Parquet file cannot be read" in fails()
    pl.DataFrame({"picture": [b"x"]}).write_parquet(path)
    assert "no column that holds anything but bytes" in fails()
    pl.DataFrame({"text": []}, schema={"text": pl.String}).write_parquet(path)
    assert "no rows" in fails()


def test_a_cell_beyond_all_measure_costs_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr("inhouse.sources.parquet_file.MAX_CHARS", 100)
    pl.DataFrame({"text": ["a", "x" * 101, "b"], "items": [[1], [2], [3]]}).write_parquet(tmp_path / "d.parquet")
    source = read_source(tmp_path / "d.parquet")
    assert [r.provenance.line for r in source.records] == [1, 3]
    assert (source.rejections[0].provenance.line, "a cell of more than" in source.rejections[0].reason) == (2, True)


def test_a_damaged_file_prints_nothing_by_itself(tmp_path, capfd):
    path = tmp_path / "d.parquet"
    pl.DataFrame({"text": ["a", None, "c"] * 9, "items": [[1], [], None] * 9}).write_parquet(
        path, compression="uncompressed"
    )
    data, refused = path.read_bytes(), 0
    for at in range(150, 170):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            read_source(path)
        except SourceError:
            refused += 1
    assert refused > 5
    assert capfd.readouterr() == ("", "")
