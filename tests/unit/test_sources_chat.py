"""Chat files as the OpenAI fine-tuning API takes them: the rules of that API, each breach with its line and key."""

from __future__ import annotations

import json

import pytest

from inhouse.core import input_key
from inhouse.errors import SourceError
from inhouse.sources import Mapping, infer_mapping, input_reader, read_source, to_examples
from inhouse.sources.mapping import infer_kind

CHAT = Mapping("generate", ("messages",), chat=True)


def system(text="Answer briefly."):
    return {"role": "system", "content": text}


def user(text="Where is my card?"):
    return {"role": "user", "content": text}


def assistant(text="On its way.", **more):
    return {"role": "assistant", "content": text, **more}


def read(tmp_path, *rows):
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(r if isinstance(r, dict) else {"messages": r}) + "\n" for r in rows))
    return read_source(path)


def only(tmp_path, *messages):
    [example], _ = to_examples(read(tmp_path, list(messages)), CHAT)
    return json.loads(example.inputs["messages"]), example.target


def test_a_file_with_messages_is_a_generate_task(tmp_path):
    source = read(tmp_path, *([user(f"Question {i}"), assistant(f"Answer {i}")] for i in range(3)))
    assert infer_kind(source) == ("generate", "messages holds conversations")
    for mapping in (
        infer_mapping(source, kind="generate"),
        infer_mapping(source, kind="generate", fields=("messages",)),
    ):
        assert mapping == CHAT
        assert mapping.target == ""
    examples, rejections = to_examples(source, CHAT)
    assert not rejections
    assert examples[1].inputs == {"messages": '[{"role":"user","content":"Question 1"}]'}
    assert examples[1].target == "Answer 1"
    assert examples[1].group == input_key(examples[1].inputs)


def test_a_target_that_is_named_makes_it_an_ordinary_task(tmp_path):
    rows = [{"messages": [user(f"Question {i}")], "label": "ab"[i % 2]} for i in range(12)]
    source = read(tmp_path, *rows)
    assert infer_kind(source, fields=("messages",), target="label")[0] == "classify"
    mapping = infer_mapping(source, fields=("messages",), target="label")
    assert mapping == Mapping("classify", ("messages",), ("label",))


@pytest.mark.parametrize("kind", ["classify", "extract"])
@pytest.mark.parametrize("more", [{}, {"id": "x"}, {"channel": "mail"}])
def test_another_kind_of_task_refuses_conversations_and_names_the_kind_that_learns_them(tmp_path, kind, more):
    source = read(tmp_path, *({"messages": [user(f"q {i}"), assistant()], **more} for i in range(12)))
    assert infer_kind(source)[0] == "generate"
    with pytest.raises(SourceError, match=f"conversations .'messages'., which a {kind} task does not learn") as caught:
        infer_mapping(source, kind=kind)
    assert "--kind generate" in caught.value.remedy
    assert "extract" not in caught.value.remedy


def test_the_answer_is_the_last_one_with_weight_1(tmp_path):
    before = [system(), user("a"), assistant("b", weight=0), user("c"), assistant("d", weight=1), user("e")]
    after = [assistant("f"), user("g"), assistant("h", weight=0)]
    messages, target = only(tmp_path, *before, *after)
    assert target == "f"
    assert messages == [system(), user("a"), assistant("b", weight=0), user("c"), assistant("d"), user("e")]


def test_developer_is_system_parts_are_joined_and_outer_space_goes(tmp_path):
    parts = [{"type": "text", "text": " one"}, {"type": "text", "text": "two "}]
    messages, target = only(
        tmp_path, {"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}, assistant(" yes\n")
    )
    assert messages == [system("Be kind."), user("one\ntwo")]
    assert target == "yes"


def test_what_says_nothing_is_passed_over(tmp_path):
    row = {
        "messages": [user(), {**assistant(), "tool_calls": None}],
        "parallel_tool_calls": True,
        "tools": [],
        "functions": None,
    }
    examples, _ = to_examples(read(tmp_path, row), CHAT)
    assert len(examples) == 1


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"messages": [user(), assistant()], "tools": [{"type": "function"}]}, "'tools': calls of tools"),
        ({"messages": [user(), assistant()], "weight": 1}, "the row has the key 'weight'"),
        ([user(), assistant(tool_calls=[{"id": "x"}])], "message 2 has the key 'tool_calls'"),
        ([user(), assistant(name="Anna")], "message 2 has the key 'name'"),
        ([user(), {"role": "tool", "content": "x"}, assistant()], "the role of message 2 is 'tool'"),
        ([{"role": "judge", "content": "x"}, assistant()], "the role of message 1 is 'judge'"),
        ([{"content": "x"}, assistant()], "the role of message 1 is None"),
        ([{"role": ["user"], "content": "x"}, assistant()], "the role of message 1 is ['user']"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, assistant()], "of type 'image_url'"),
        ([{"role": "user", "content": " "}, assistant()], "the content of message 1"),
        ([user(), {"role": "assistant", "content": None}], "the content of message 2 is empty"),
        ([user(), {"role": "assistant", "content": 7}], "the content of message 2 is not a text"),
        ([user(), assistant(weight=0)], "no answer to learn"),
        ([user(), assistant(weight=2)], "the weight of message 2 is 2"),
        ([user(), assistant(weight=True)], "the weight of message 2 is True"),
        ([{**user(), "weight": 1}, assistant()], "message 1 has a weight"),
        ([assistant()], "no message comes before the answer"),
        ([], "not a list of messages"),
        (["hello"], "message 1 is not an object"),
        ({"messages": "hello"}, "not valid JSON"),
        ({"messages": {"role": "user"}}, "not a list of messages"),
        ({"messages": None}, "no value for column 'messages'"),
        ({"prompt": "x"}, "no value for column 'messages'"),
    ],
)
def test_breaches_reject_the_row_with_line_and_key(tmp_path, row, part):
    good = [[user(f"q {i}"), assistant()] for i in range(3)]
    examples, rejections = to_examples(read(tmp_path, *good, row), CHAT)
    assert len(examples) == 3
    assert rejections[0].provenance.line == 4
    assert part in rejections[0].reason


def test_columns_beside_the_messages_are_left_out_and_told_and_can_be_the_group(tmp_path):
    rows = [{"messages": [user(f"q {i}"), assistant()], "customer": {"id": f"c{i % 2}"}} for i in range(4)]
    source = read(tmp_path, *rows)
    assert infer_kind(source, group="customer.id")[0] == "generate"
    mapping = infer_mapping(source, kind="generate", group="customer.id")
    assert [e.group for e in to_examples(source, mapping)[0]] == ["c0", "c1", "c0", "c1"]
    examples, rejections = to_examples(source, CHAT)
    assert (len(examples), rejections) == (4, [])
    assert set(examples[0].inputs) == {"messages"}
    assert source.notes == ("no part of the conversations, and left out where they are learned: customer",)


def test_rows_to_answer_may_end_with_a_question_or_an_old_answer(tmp_path):
    source = read(tmp_path, [system(), user()], {"messages": [system(), user(), assistant()], "id": 7}, [assistant()])
    answer = input_reader(source, ["messages"], chat=True)
    asked = ({"messages": json.dumps([system(), user()], separators=(",", ":"))}, "")
    assert [answer(record) for record in source.records] == [asked, asked, ({}, "no message comes before the answer")]


def test_a_later_file_without_messages_names_what_is_missing(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("text,answer\na,b\n")
    with pytest.raises(SourceError, match="column 'messages' is missing"):
        infer_mapping(read_source(path), kind="generate", fields=("messages",))
