"""Preference pairs of conversations, in OpenAI's form and in TRL's, as rows with `messages` and a rejected answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from inhouse.core import Record, Rejection
from inhouse.core.json_schema import compact
from inhouse.sources.chat import MESSAGES, REJECTED, content_of
from inhouse.sources.registry import Source

CHOSEN = "chosen"
# Where the parts of a pair stand: question, the better answer, the worse one.
OPENAI = ("input", "preferred_output", "non_preferred_output")
# As an older form of it called them.
OPENAI_BEFORE = ("input", "preferred_completion", "non_preferred_completion")
TRL = ("prompt", CHOSEN, REJECTED)

_Parts = tuple[list[Any], list[Any], list[Any]]


def with_pairs(source: Source) -> Source:
    """The source with its pairs of conversations as `messages` (with the better answer) and `rejected` (the worse one).

    OpenAI's rows are `{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}`
    (formerly `preferred_completion`, `non_preferred_completion`), TRL's `{"prompt": [...], "chosen": [...],
    "rejected": [...]}`; without a prompt both of its answers are whole conversations. A row that is none is rejected
    with its reason. Other sources are given back as they are.
    """
    for names, parts_of in ((OPENAI, _openai), (OPENAI_BEFORE, _openai_before), (TRL, _trl)):
        wanted = set(names[1:]) if names is TRL else set(names)
        if wanted <= source.nested:
            return _converted(source, names, parts_of)
    return source


def rejected_answer(record: Record, column: str) -> str:
    """The text of the worse answer in a column; of a message of the assistant, or of a list of one, its content.

    Raises:
        ValueError: it holds messages, and none or several that could be the answer.
    """
    text = record.values.get(column, "").strip()
    if column not in record.json or text == "[]":
        return "" if text == "[]" else text
    value = json.loads(text)
    messages = value if isinstance(value, list) else [value]
    if not all(isinstance(item, Mapping) and "role" in item for item in messages):
        return text
    return content_of(_only(messages, "worse").get("content"), "the worse answer")


def _converted(source: Source, names: tuple[str, str, str], parts_of: Callable[[Record], _Parts]) -> Source:
    records, rejections = list[Record](), list(source.rejections)
    for record in source.records:
        try:
            messages, rejected = _pair(*parts_of(record))
        except ValueError as error:
            rejections.append(Rejection(record.provenance, str(error), compact(dict(record.values))))
            continue
        others = {name: value for name, value in record.values.items() if name not in names}
        values = {**others, MESSAGES: compact(messages), REJECTED: rejected}
        records.append(Record(values, record.provenance, (record.json - set(names)) | {MESSAGES}))
    columns = (*(name for name in source.columns if name not in names), MESSAGES, REJECTED)
    nested = (source.nested - set(names)) | {MESSAGES}
    return replace(source, columns=columns, records=records, rejections=rejections, nested=nested)


def _openai(record: Record, names: tuple[str, str, str] = OPENAI) -> _Parts:
    asked = _json(record, names[0])
    if not isinstance(asked, Mapping):
        raise ValueError(f"{names[0]!r} is not an object with messages")  # noqa: TRY004 - a fault of the data
    for key, value in asked.items():
        if key not in (MESSAGES, "parallel_tool_calls") and value not in (None, [], {}):
            raise ValueError(f"{names[0]!r} has the key {key!r}: leave it out")
    question, chosen, rejected = asked.get(MESSAGES), _json(record, names[1]), _json(record, names[2])
    return _messages(question, "input.messages"), _messages(chosen, names[1]), _messages(rejected, names[2])


def _openai_before(record: Record) -> _Parts:
    return _openai(record, OPENAI_BEFORE)


def _trl(record: Record) -> _Parts:
    chosen, rejected = (_messages(_json(record, name), name) for name in TRL[1:])
    if record.values.get(TRL[0], "").strip():
        return _messages(_json(record, TRL[0]), TRL[0]), chosen, rejected
    if len(chosen) < 2 or chosen[:-1] != rejected[:-1]:
        raise ValueError(f"{CHOSEN!r} and {REJECTED!r} are not one conversation with two last answers")
    return chosen[:-1], chosen[-1:], rejected[-1:]


def _pair(question: list[Any], chosen: list[Any], rejected: list[Any]) -> tuple[list[Any], str]:
    """The conversation with the better answer, and the worse answer's text."""
    (better, worse) = (_only(answers, name) for answers, name in ((chosen, "better"), (rejected, "worse")))
    content = content_of(worse.get("content"), "the worse answer")
    silent = [{**message, "weight": 0} if message.get("role") == "assistant" else message for message in question]
    return [*silent, better], content


def _only(answers: list[Any], name: str) -> Mapping[str, Any]:
    if len(answers) != 1 or answers[0].get("role") != "assistant":
        raise ValueError(f"the {name} answer is not one message of the assistant")
    found: Mapping[str, Any] = answers[0]
    return found


def _messages(value: object, name: str) -> list[Any]:
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        raise ValueError(f"{name!r} is not a list of messages")
    return value


def _json(record: Record, name: str) -> object:
    return json.loads(record.values[name]) if name in record.json else record.values.get(name)
