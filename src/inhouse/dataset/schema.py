"""The JSON Schema of an extract task: what the objects of its training targets have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inhouse.core.json_schema import compact, type_name, types_of
from inhouse.core.task import FromInput
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

# What the items of a list are that was always empty.
NOTHING_SEEN = {"type": "string"}

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


def widened(
    schema: Mapping[str, Any], values: Sequence[Mapping[str, Any]], groups: Sequence[str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The schema, the user's own words in it kept, with what `values` hold beyond it; and what that is, in sentences.

    A new key joins as the examples show it, a new value joins its choice, a bound moves, what lacks a required key
    makes it optional, null and texts are let in where they occur. All `values`, once `fitted` to it, meet the result.

    Raises:
        InputError: if a field holds objects or lists where the schema has another kind of value.
    """
    names = [str(i) for i in range(len(values))] if groups is None else groups
    changes: dict[str, None] = {}
    seen = [(fitted(schema, value), group) for value, group in zip(values, names, strict=True)]
    return _widened(schema, seen, (), changes), list(changes)


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


def describe_schema(schema: Mapping[str, Any], from_input: Mapping[str, FromInput] | None = None) -> list[str]:
    """The fields as lines for a person, those of nested objects and lists set in; which are taken from the input."""
    return list(_described(schema, "", from_input or {}, ""))


Seen = list[tuple[Any, str]]
Changes = dict[str, None]


def _widened(schema: Mapping[str, Any], seen: Seen, place: Place, changes: Changes) -> dict[str, Any]:
    """`schema` so that all that was seen at `place` meets it; each change is written into `changes`."""
    wide = dict(schema)
    where = ".".join(place) or "the object"
    if any(value is None for value, _ in seen) and "null" not in types_of(wide):
        wide.pop("enum", None)
        wide.pop("const", None)
        wide["type"] = [*types_of(wide), "null"]
        changes[f"{where} may be null"] = None
    given = [(value, group) for value, group in seen if value is not None]
    kinds = [name for name in types_of(wide) if name != "null"] or ["null"]
    for value, _ in given:
        if type_name(value) != kinds[0] and {type_name(value), kinds[0]} & {"object", "array"}:
            raise InputError(
                f"field {where} holds {compact(value)[:80]}, and the schema in task.toml has {kinds[0]} there",
                "mend the row, or the schema",
            )
    if kinds == ["object"]:
        _widen_object(wide, given, place, changes)
    elif kinds == ["array"]:
        items = [(item, group) for value, group in given for item in value]
        wide["items"] = _widen_items(wide["items"], items, (*place, "[]"), changes)
        _widen_bounds(wide, "minItems", "maxItems", [len(value) for value, _ in given], where, changes)
    elif given:
        _widen_scalar(wide, [value for value, _ in given], where, changes)
    return wide


def _widen_object(wide: dict[str, Any], given: Seen, place: Place, changes: Changes) -> None:
    properties = dict(wide.get("properties", {}))
    for key, part in properties.items():
        properties[key] = _widened(part, [(v[key], g) for v, g in given if key in v], (*place, key), changes)
    for key in _usual_order([value for value, _ in given]):
        if key not in properties:
            properties[key] = _value([(v[key], g) for v, g in given if key in v], (*place, key))
            changes[f"new field {'.'.join((*place, key))}"] = None
    for key in wide.get("required", []):
        if any(key not in value for value, _ in given):
            changes[f"{'.'.join((*place, key))} may be left out"] = None
    wide["properties"] = properties
    wide["required"] = [key for key in wide.get("required", []) if all(key in value for value, _ in given)]


def _widen_items(items: Mapping[str, Any], seen: Seen, place: Place, changes: Changes) -> dict[str, Any]:
    """Items of a list that was empty wherever it was seen say nothing yet: the first ones tell what they are."""
    if items == NOTHING_SEEN and any(type_name(value) in ("object", "array") for value, _ in seen):
        changes[f"what {'.'.join(place)} holds is known now"] = None
        return _value(seen, place)
    return _widened(items, seen, place, changes)


def _widen_scalar(wide: dict[str, Any], values: list[Any], where: str, changes: Changes) -> None:
    listed = [wide["const"]] if "const" in wide else wide.get("enum")
    if listed is not None:
        new = list(dict.fromkeys(v for v in values if v not in listed))
        if new:
            wide.pop("const", None)
            wide["enum"] = [*listed, *new]
            changes.update(dict.fromkeys(f"{where}: new value {value!r}" for value in new))
        return
    kinds = {type_name(value) for value in values}
    named = set(types_of(wide))
    if kinds - named - ({"integer"} if "number" in named else set()):
        numbers = kinds | (named - {"null"}) <= {"integer", "number"}
        left = ["null"] if "null" in named else []
        wide["type"] = [("number" if numbers else "string"), *left] if left else "number" if numbers else "string"
        changes[f"{where} is now a {'number' if numbers else 'text'}"] = None
    if "string" in types_of(wide):
        lengths = [len(value if isinstance(value, str) else compact(value)) for value in values]
        _widen_bounds(wide, "minLength", "maxLength", lengths, where, changes)


def _widen_bounds(wide: dict[str, Any], low: str, high: str, sizes: list[int], where: str, changes: Changes) -> None:
    if sizes and low in wide and min(sizes) < wide[low]:
        wide[low] = min(sizes)
        changes[f"{where}: {low} is now {wide[low]}"] = None
    if sizes and high in wide and max(sizes) > wide[high]:
        wide[high] = 2 * max(sizes)
        changes[f"{where}: {high} is now {wide[high]}"] = None


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
        "items": _value(items, (*place, "[]")) if items else dict(NOTHING_SEEN),
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


_TAKEN: dict[FromInput, str] = {
    "date": "a date of the input, as it stands there",
    "iso-date": "a date of the input, written 2026-12-31",
    "amount": "a number of the input, as it stands there",
    "number": "a number of the input",
    "text": "a passage of the input, word for word",
}


def _described(
    schema: Mapping[str, Any], indent: str, from_input: Mapping[str, FromInput], above: str
) -> Iterator[str]:
    required = schema.get("required", ())
    for key, part in schema.get("properties", {}).items():
        path = f"{above}{key}"
        notes = [_TAKEN[from_input[path]]] if path in from_input else []
        notes += [] if key in required else ["may be left out"]
        notes += ["may be null"] if "null" in types_of(part) and len(types_of(part)) > 1 else []
        notes += [str(part["description"])] if "description" in part else []
        yield f"{indent}{key}: {_kind(part)}" + (f" ({'; '.join(notes)})" if notes else "")
        yield from _described(part.get("items", part), f"{indent}  ", from_input, f"{path}.")


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
