"""The JSON Schema of an extract task: what the objects of its training targets have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inhouse.core.json_schema import compact, type_name, types_of
from inhouse.errors import InputError, TooFewExamples
from inhouse.scoring.values import date_of

# A text field is a choice of labels where its values are few, repeat, and look like labels.
MOST_LABELS = 64
LONGEST_LABEL = 40
LABELS_PER_VALUE = 0.2
# The share of values yet unseen, by Good and Turing (Good 1953): seen once over seen. A choice forbids them.
UNSEEN = 0.01
_LABEL = re.compile(r"[a-z][a-z0-9]*(?:[ /_.-][a-z0-9]+){0,4}|[A-Z][A-Z0-9_-]{0,11}|[^\W\d_]{2,20}")
_SHORTEST_BOUND = 20
_FEWEST_ITEMS_BOUND = 10
MIXED = "numbers and texts were mixed in the examples: all are texts"

Place = tuple[str, ...]


def infer_schema(values: Sequence[Mapping[str, Any]], groups: Sequence[str] | None = None) -> dict[str, Any]:
    """The closed JSON Schema that all `values` meet once `fitted` to it, with keys in their most frequent order.

    Keys that all have are required. Where texts and numbers are mixed, texts win, and the schema's `description` says
    so. Texts may be twice as long, and lists twice as many, as the longest seen. Where a text field's values are few,
    repeat and look like labels, they become its `enum`. All of it can be written as TOML.

    Args:
        values: the objects of the training targets.
        groups: of the examples, in the same order. A value that one group alone has counts as seen once: the names of
            40 suppliers with 10 invoices each are no labels.

    Raises:
        TooFewExamples: if there is no value.
        InputError: if a field holds objects in some and other values in others; names the field and both.
    """
    if not values:
        raise TooFewExamples("a schema of no examples was asked for", "add at least one example")
    names = [str(i) for i in range(len(values))] if groups is None else groups
    return _object(list(zip(values, names, strict=True)), ())


def fitted(schema: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`value` with numbers and booleans written as texts where `schema` has a text, at every depth."""
    names = types_of(schema)
    if isinstance(value, Mapping):
        return {key: fitted(schema.get("properties", {}).get(key, {}), part) for key, part in value.items()}
    if isinstance(value, list):
        return [fitted(schema.get("items", {}), part) for part in value]
    if "string" in names and isinstance(value, bool | int | float):
        return compact(value)
    return value


def describe_schema(schema: Mapping[str, Any]) -> list[str]:
    """The fields as lines for a person, those of nested objects and lists set in."""
    return list(_described(schema, ""))


Seen = list[tuple[Any, str]]


def _object(seen: Seen, place: Place) -> dict[str, Any]:
    properties, required = {}, []
    for key in _usual_order([value for value, _ in seen]):
        parts = [(value[key], group) for value, group in seen if key in value]
        properties[key] = _value(parts, (*place, key))
        if len(parts) == len(seen):
            required.append(key)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _usual_order(values: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in the order that most objects have them; what those lack goes behind the key that it followed."""
    orders = Counter(tuple(value) for value in values)
    order: list[str] = []
    for keys, _ in orders.most_common():
        after = -1
        for key in keys:
            if key in order:
                after = order.index(key)
            else:
                after += 1
                order.insert(after, key)
    return order


def _value(seen: Seen, place: Place) -> dict[str, Any]:
    given = [(value, group) for value, group in seen if value is not None]
    kinds = {"number" if k == "integer" else k for k in (type_name(value) for value, _ in given)}
    nested = kinds & {"object", "array"}
    if nested and len(kinds) > 1:
        one, other = _two_kinds(given)
        raise InputError(
            f"field {'.'.join(place)} holds {compact(one)[:80]} in one example and {compact(other)[:80]} in another",
            "give it one kind of value in all examples: an object, a list, or a single value",
        )
    if kinds == {"object"}:
        schema = _object(given, place)
    elif kinds == {"array"}:
        schema = _list(given, place)
    else:
        schema = _scalar(given, kinds)
    if len(given) < len(seen):
        schema.pop("enum", None)  # an enum would have to list null, which TOML cannot write
        schema["type"] = [schema["type"], "null"]
    return schema


def _two_kinds(given: Seen) -> tuple[Any, Any]:
    first = given[0][0]
    return first, next(value for value, _ in given if type_name(value) != type_name(first))


def _list(seen: Seen, place: Place) -> dict[str, Any]:
    items = [(item, group) for value, group in seen for item in value]
    most = max((len(value) for value, _ in seen), default=0)
    return {
        "type": "array",
        "items": _value(items, (*place, "[]")) if items else {"type": "string"},
        "maxItems": max(2 * most, _FEWEST_ITEMS_BOUND),
    }


def _scalar(seen: Seen, kinds: set[str]) -> dict[str, Any]:
    if kinds == {"boolean"}:
        return {"type": "boolean"}
    if kinds == {"number"}:
        return {"type": "integer" if all(isinstance(value, int) for value, _ in seen) else "number"}
    texts = [(value if isinstance(value, str) else compact(value), group) for value, group in seen]
    if kinds <= {"string"} and _is_choice(texts):
        return {"type": "string", "enum": [text for text, _ in Counter(t for t, _ in texts).most_common()]}
    longest = max((len(text) for text, _ in texts), default=0)
    bound = {"type": "string", "maxLength": max(_SHORTEST_BOUND, -(-2 * longest // 10) * 10)}
    return bound | ({"description": MIXED} if len(kinds) > 1 else {})


def _is_choice(texts: Sequence[tuple[str, str]]) -> bool:
    """Whether a field is a choice of labels, so that a value which was never seen must be a mistake."""
    groups_of: dict[str, set[str]] = {}
    for text, group in texts:
        groups_of.setdefault(text, set()).add(group)
    if not 2 <= len(groups_of) <= min(MOST_LABELS, LABELS_PER_VALUE * len(texts)):
        return False
    once = sum(1 for groups in groups_of.values() if len(groups) == 1)
    return once < UNSEEN * len(texts) and all(map(_looks_like_a_label, groups_of))


def _looks_like_a_label(text: str) -> bool:
    return len(text) <= LONGEST_LABEL and _LABEL.fullmatch(text) is not None and date_of(text) is None


def _described(schema: Mapping[str, Any], indent: str) -> Iterator[str]:
    required = schema.get("required", ())
    for key, part in schema.get("properties", {}).items():
        notes = [] if key in required else ["may be left out"]
        notes += ["may be null"] if "null" in types_of(part) and len(types_of(part)) > 1 else []
        notes += [str(part["description"])] if "description" in part else []
        yield f"{indent}{key}: {_kind(part)}" + (f" ({'; '.join(notes)})" if notes else "")
        yield from _described(part.get("items", part), f"{indent}  ")


def _kind(schema: Mapping[str, Any]) -> str:
    if "const" in schema or "enum" in schema:
        return "one of " + ", ".join(str(v) for v in (schema.get("enum") or [schema["const"]]))
    name = next(iter(types_of(schema)), "null")
    if name == "string":
        return f"text of up to {schema['maxLength']} characters" if "maxLength" in schema else "text"
    if name == "array":
        most = f" of up to {schema['maxItems']}" if "maxItems" in schema else ""
        return f"list{most}, each: {_kind(schema.get('items', {}))}"
    return {"integer": "whole number", "boolean": "true or false", "object": "fields"}.get(name, name)
