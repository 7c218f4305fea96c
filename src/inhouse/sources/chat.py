"""Rows with `messages`, as the OpenAI fine-tuning API takes them: the conversation so far, and the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping as AbcMapping

from inhouse.core import Record
from inhouse.core.json_schema import compact
from inhouse.sources.json_rows import decode

MESSAGES = "messages"
# A worse answer than the one in the messages: see `sources.preferences`.
REJECTED = "rejected"

_Message = dict[str, object]

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
# Says nothing where there are no tools.
BESIDE = ("parallel_tool_calls",)
OF_TOOLS = ("tools", "functions", "tool_calls", "function_call", "tool_call_id")
# A column that would change what is learned of the row.
_REFUSED = (*OF_TOOLS, "weight")
_NOTHING = ("", "[]", "{}")


def example_of(record: Record) -> tuple[str, str]:
    """The messages before the last assistant message with weight 1, as compact JSON, and that message's content.

    Other columns are no part of the conversation, such as an id; but for those of tools, and a weight.

    Raises:
        ValueError: why the row cannot be used.
    """
    for key in _REFUSED:
        if record.values.get(key, "") not in _NOTHING:
            raise ValueError(_extra(key, "the row"))
    messages = _messages(record)
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if message["role"] == "assistant" and message.get("weight") != 0:
            return _before(messages, position), str(message["content"])
    raise ValueError("no message is an assistant's with weight 1: there is no answer to learn")


def question_of(record: Record) -> str:
    """The messages to answer, as compact JSON; an assistant message at the end is the answer that is asked for.

    Raises:
        ValueError: why the row cannot be answered.
    """
    messages = _messages(record)
    return _before(messages, len(messages) - (messages[-1]["role"] == "assistant"))


def _before(messages: list[_Message], position: int) -> str:
    if position == 0:
        raise ValueError("no message comes before the answer")
    return compact(messages[:position])


def _messages(record: Record) -> list[_Message]:
    text = record.values.get(MESSAGES, "")
    if not text.strip():
        raise ValueError(f"no value for column {MESSAGES!r}")
    value: object = json.loads(text) if MESSAGES in record.json else decode(text)
    if not isinstance(value, list) or not value:
        raise ValueError(f"{MESSAGES!r} is not a list of messages")
    return [_message(item, f"message {number}") for number, item in enumerate(value, start=1)]


def _message(item: object, place: str) -> _Message:
    if not isinstance(item, dict):
        raise ValueError(f"{place} is not an object")  # noqa: TRY004 - a fault of the data, as all others here
    given = {key: value for key, value in item.items() if value is not None}
    for key in given:
        if key not in ("role", "content", "weight"):
            raise ValueError(_extra(key, place))
    role = given.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        hint = "; calls of tools are not learned" if role in ("tool", "function") else ""
        raise ValueError(f"the role of {place} is {role!r}, not one of {', '.join(_ROLES)}{hint}")
    message: _Message = {"role": _ROLES[role], "content": content_of(given.get("content"), place)}
    if "weight" in given:
        message |= _weight(given["weight"], role, place)
    return message


def content_of(value: object, place: str) -> str:
    """The text of a message's content, whose parts are joined.

    Raises:
        ValueError: it has none.
    """
    if isinstance(value, list):
        value = "\n".join(_part(part, place) for part in value)
    if not isinstance(value, str) or not value.strip():
        blank = value is None or isinstance(value, str)
        raise ValueError(f"the content of {place} is {'empty' if blank else 'not a text'}")
    return value.strip()


def _part(part: object, place: str) -> str:
    if not isinstance(part, AbcMapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        kind = part.get("type") if isinstance(part, AbcMapping) else part
        raise ValueError(f"{place} has a content part of type {kind!r}; only text is learned")
    return str(part["text"])


def _weight(weight: object, role: str, place: str) -> _Message:
    if role != "assistant":
        raise ValueError(f"{place} has a weight, which only an assistant message may have")
    if isinstance(weight, bool) or weight not in (0, 1):
        raise ValueError(f"the weight of {place} is {weight!r}, not 0 or 1")
    return {} if weight else {"weight": 0}


def _extra(key: str, place: str) -> str:
    why = "calls of tools are not learned" if key in OF_TOOLS else "leave it out"
    return f"{place} has the key {key!r}: {why}"
