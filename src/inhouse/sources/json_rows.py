"""JSON as rows: scalars as they are written, lists and objects as compact JSON text; what is no JSON is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from inhouse.core import Provenance, Record
from inhouse.core.json_schema import compact
from inhouse.sources.encodings import NO_TEXT

# Deeper than any document; what later walks through the values needs no care for the depth then.
MAX_DEPTH = 50


class _Written(str):
    """A number as it is written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Fault:
    """Stands for what is no JSON. Raising at once would hide where the value ends, and with it the next row."""

    reason: str


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object] | _Fault:
    value = dict(pairs)
    if len(value) < len(pairs):
        return _Fault("a key stands twice")
    if any(not name.strip() for name in value):
        return _Fault("a key is empty")
    return value


DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=_Written,
    parse_float=_Written,
    parse_constant=lambda name: _Fault(f"{name} is not JSON"),
)


def record_of(value: object, place: Provenance) -> Record:
    """The row that a value of `DECODER` is. `null` reads as empty.

    Raises:
        ValueError: why it is none.
    """
    if isinstance(value, _Fault):
        raise ValueError(value.reason)  # noqa: TRY004 - a fault of the data, as all others here
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004
    values: dict[str, str] = {}
    not_strings = []
    for name, item in value.items():
        if item is None:
            values[name] = ""
        elif type(item) is str:
            values[name] = _text(item)
        else:
            plain = _plain(item)
            values[name] = item if isinstance(item, _Written) else compact(plain)
            not_strings.append(name)
    return Record(values, place, frozenset(not_strings))


def nested_in(record: Record) -> list[str]:
    """The names of its values that are lists or objects."""
    return [name for name in record.json if record.values[name][0] in "[{"]


def decode(text: str) -> object:
    """The JSON value that a text is.

    Raises:
        ValueError: why it is none; nested too deeply, a number that is too large, a key twice, NaN.
    """
    try:
        return _plain(DECODER.decode(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(plain_reason(error)) from None


def plain_reason(error: Exception) -> str:
    """What is wrong with a JSON text, for a person."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} at character {error.pos + 1}"
    return str(error)


def trimmed(value: object) -> object:
    """The value with its strings stripped of outer white space, at every depth."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Mapping):
        return {key: trimmed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trimmed(item) for item in value]
    return value


def _plain(value: object, depth: int = 0) -> object:
    """A decoded value with its numbers as numbers; raises ValueError for what is no JSON."""
    if isinstance(value, _Written):
        return _number(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, _Fault):
        raise ValueError(value.reason)  # noqa: TRY004 - a fault of the data, as all others here
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {_text(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    return value


def _number(written: str) -> int | float:
    if len(written) > 400:
        raise ValueError(f"a number of {len(written)} characters")
    try:
        return int(written)
    except ValueError:
        number = float(written)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {written} is too large")
    return number


def _text(value: str) -> str:
    if NO_TEXT.search(value):
        raise ValueError(f"{value[:40]!r} holds a NUL or half a surrogate pair, which is no text")
    return value
