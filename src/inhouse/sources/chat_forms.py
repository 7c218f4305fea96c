"""The forms in which other tools keep conversations, as rows with `messages`; and Alpaca's tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from inhouse.core import Record, Rejection
from inhouse.core.json_schema import compact
from inhouse.sources.chat import BESIDE, MESSAGES, OF_TOOLS, REJECTED
from inhouse.sources.preferences import CHOSEN, OPENAI, OPENAI_BEFORE, TRL, with_pairs
from inhouse.sources.registry import Source

CONVERSATIONS = "conversations"
COMPLETION = "completion"
INSTRUCTION, INPUT, OUTPUT, SYSTEM, HISTORY = "instruction", "input", "output", "system", "history"
# Keys whose lists belong to one row: none of them is a list of rows.
IN_CHAT_FORMS = frozenset(
    {MESSAGES, CONVERSATIONS, COMPLETION, HISTORY, "tools", "functions", *OPENAI, *OPENAI_BEFORE, *TRL}
)

_SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
_SPEAKERS_OF_TOOLS = ("function_call", "observation", "function", "tool", "tool_calls")


@dataclass(frozen=True, slots=True)
class AlpacaTable:
    """What asks in a table of Alpaca's form, and whether its instructions differ: then answers are texts to write.

    `instruction` is the one of all rows, where it is no input.
    """

    fields: tuple[str, ...]
    instructions_differ: bool
    instruction: str = ""


def with_conversations(source: Source) -> Source:
    """The source with its conversations as `messages`, and the worse answers of pairs as `rejected`.

    Known are ShareGPT's `{"conversations": [{"from": "human", "value": ...}, ...]}` (also with `role` and `content`,
    a `system`, `chosen` and `rejected`), conversational `{"prompt": [...], "completion": [...]}`, Alpaca's rows with a
    `history`, and pairs (see `preferences`). A row that is none is rejected with its reason. Other sources are given
    back as they are.
    """
    for wanted, parts, messages_of in (
        ((CONVERSATIONS,), (CONVERSATIONS, SYSTEM, CHOSEN, REJECTED), _sharegpt),
        ((TRL[0], COMPLETION), (TRL[0], COMPLETION), _prompted),
        ((HISTORY,), (INSTRUCTION, INPUT, OUTPUT, SYSTEM, HISTORY), _alpaca),
    ):
        if set(wanted) <= source.nested and (HISTORY not in wanted or {INSTRUCTION, OUTPUT} <= set(source.columns)):
            source = _converted(source, parts, messages_of)
            break
    return _told(with_pairs(source))


def alpaca_table(source: Source) -> AlpacaTable | None:
    """The part of each column where a table has Alpaca's `instruction`, `output` and mostly `input`; None of others.

    Other columns, such as the `text` that repeats all of a row, are no part of the form. An instruction that is the
    same in all rows is the task's and no input.
    """
    if not {INSTRUCTION, OUTPUT} <= set(source.columns):
        return None
    instructions = {record.values.get(INSTRUCTION, "").strip() for record in source.records}
    differ = len(instructions) > 1
    has_input = any(record.values.get(INPUT, "").strip() for record in source.records)
    fields = ((INSTRUCTION, differ or not has_input), (INPUT, has_input))
    common = "".join(instructions) if has_input and not differ else ""
    return AlpacaTable(tuple(name for name, asks in fields if asks), differ, common)


def _converted(source: Source, parts: tuple[str, ...], messages_of: Callable[[Record], dict[str, object]]) -> Source:
    """The source with what `messages_of` makes of the parts of its rows in their place."""
    records, rejections = list[Record](), list(source.rejections)
    nested, columns = set(source.nested) - set(parts), [name for name in source.columns if name not in parts]
    for record in source.records:
        try:
            made = messages_of(record)
        except ValueError as error:
            rejections.append(Rejection(record.provenance, str(error), compact(dict(record.values))))
            continue
        values = {name: value for name, value in record.values.items() if name not in parts}
        values |= {name: compact(value) for name, value in made.items()}
        columns += [name for name in made if name not in columns]
        nested |= set(made)
        records.append(Record(values, record.provenance, (record.json - set(parts)) | set(made)))
    return replace(
        source, columns=tuple(columns), records=records, rejections=rejections, nested=frozenset(nested & set(columns))
    )


def _sharegpt(record: Record) -> dict[str, object]:
    messages = [*_system(record), *_turns(_json(record, CONVERSATIONS), CONVERSATIONS)]
    answers = {name: _json(record, name) for name in (CHOSEN, REJECTED) if record.values.get(name, "").strip()}
    if len(answers) < 2:
        return {MESSAGES: messages}
    turns = {name: _turns(answer if isinstance(answer, list) else [answer], name) for name, answer in answers.items()}
    return {TRL[0]: messages, **turns}


def _prompted(record: Record) -> dict[str, object]:
    return {MESSAGES: [*_turns(_json(record, TRL[0]), TRL[0]), *_turns(_json(record, COMPLETION), COMPLETION)]}


def _alpaca(record: Record) -> dict[str, object]:
    messages = _system(record)
    for pair in _list(_json(record, HISTORY) if record.values.get(HISTORY, "").strip() else [], HISTORY):
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise ValueError(f"{HISTORY!r} is not a list of pairs of a question and an answer")
        messages += [_message("user", pair[0]), _message("assistant", pair[1])]
    asked = [text for name in (INSTRUCTION, INPUT) if (text := record.values.get(name, "").strip())]
    answer = _message("assistant", record.values.get(OUTPUT, ""))
    return {MESSAGES: [*messages, _message("user", "\n\n".join(asked)), answer]}


def _system(record: Record) -> list[dict[str, object]]:
    text = record.values.get(SYSTEM, "").strip()
    return [_message("system", text)] if text else []


def _turns(value: object, name: str) -> list[dict[str, object]]:
    """The turns of a conversation as messages; those that have a role already stay as they are."""
    turns = []
    for number, turn in enumerate(_list(value, name), start=1):
        if not isinstance(turn, dict):
            raise ValueError(f"turn {number} of {name!r} is not an object")  # noqa: TRY004 - a fault of the data
        if "role" in turn:
            turns.append(turn)
            continue
        speaker = turn.get("from")
        if not isinstance(speaker, str) or speaker not in _SPEAKERS:
            hint = "; calls of tools are not learned" if speaker in _SPEAKERS_OF_TOOLS else ""
            raise ValueError(f"turn {number} of {name!r} is from {speaker!r}, not one of {', '.join(_SPEAKERS)}{hint}")
        weight = {"weight": turn["weight"]} if turn.get("weight") is not None else {}
        turns.append({"role": _SPEAKERS[speaker], "content": turn.get("value"), **weight})
    return turns


def _message(role: str, content: str) -> dict[str, object]:
    return {"role": role, "content": content}


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{name!r} is not a list")  # noqa: TRY004 - a fault of the data
    return value


def _json(record: Record, name: str) -> object:
    return json.loads(record.values[name]) if name in record.json else record.values.get(name)


def _told(source: Source) -> Source:
    """The source with a note on the columns that are no part of its conversations."""
    others = [name for name in source.columns if name not in (MESSAGES, REJECTED, *BESIDE, *OF_TOOLS)]
    if MESSAGES not in source.nested or not others:
        return source
    note = f"no part of the conversations, and left out where they are learned: {', '.join(others)}"
    return replace(source, notes=(*source.notes, note))
