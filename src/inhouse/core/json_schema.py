"""JSON Schemas of extract tasks: what they may hold, whether a value meets one, and JSON as the models write it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

# What a grammar can hold an answer to. Everything else would be checked too late, when the answer is written.
_OF_ALL = {
    "type",
    "enum",
    "const",
    "title",
    "description",
    "$schema",
    "$id",
    "$comment",
    "default",
    "examples",
}
_OF_TYPE: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "number": set(),
    "integer": set(),
    "boolean": set(),
    "null": set(),
}


# Of a schema that a request brings: a grammar has a rule for each item and each letter that may still come.
DEEPEST_WISHED = 16
_MOST_WISHED = {"minItems": 200, "maxItems": 200, "minLength": 1000, "maxLength": 1000}


def validate(schema: Mapping[str, Any], value: object) -> str:
    """Why `value` does not meet `schema` (Draft 2020-12), in one sentence with its path; empty where it does.

    Raises:
        jsonschema.SchemaError: if `schema` is none; see `check_schema`.
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator(compact(schema)).iter_errors(value))
    if error is None:
        return ""
    return f"{dotted(error.absolute_path) or 'the object'}: {_short(error.message)}"


def check_schema(schema: Mapping[str, Any]) -> str:
    """Why `schema` cannot be a task's `[schema]`, in one sentence; empty where it can.

    It can if it is a valid schema of an object, made of the keywords that a grammar can hold an answer to.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        compact(schema)
    except (TypeError, ValueError) as error:  # TOML has dates, and inf and nan
        return f"schema holds what is no JSON value: {error}"
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        return f"schema.{dotted(error.absolute_path)} is not valid JSON Schema: {_short(error.message)}"
    if schema.get("type") != "object":
        return f"schema.type is {schema.get('type')!r}: an extract task answers with one object, so it must be 'object'"
    if not schema.get("properties"):
        return "schema.properties is empty: there is nothing to extract"
    return next(_unsupported(schema, "schema"), "")


def check_wished(schema: Mapping[str, Any]) -> str:
    """Why an answer cannot be held to a schema that a request brings, in one sentence; empty where it can.

    As `check_schema`, and small enough to be compiled while others wait.
    """
    if _depth(schema) > DEEPEST_WISHED:
        return f"schema is nested deeper than {DEEPEST_WISHED} levels"
    return check_schema(schema) or next(_too_large(schema, "schema"), "")


def _depth(schema: Any) -> int:  # noqa: ANN401 - any JSON value
    """How many levels of objects and lists there are; counted no further than it matters."""
    level, depth = [schema], 0
    while level and depth <= 3 * DEEPEST_WISHED:
        inner = [one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list)]
        level, depth = [value for values in inner for value in values], depth + 1
    return depth // 2  # a level of the schema is one of `properties`, and one of what stands in it


def _too_large(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    for key, most in _MOST_WISHED.items():
        if schema.get(key, 0) > most:
            yield f"{place}.{key} is {schema[key]}: {most} at most"
    for name, part in schema.get("properties", {}).items():
        yield from _too_large(part, f"{place}.properties.{name}")
    if isinstance(schema.get("items"), Mapping):
        yield from _too_large(schema["items"], f"{place}.items")


def types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The types that `schema` names, `integer` dropped beside `number`; without any, those of its enum or const."""
    named = schema.get("type")
    if named is None:
        values = [schema["const"]] if "const" in schema else schema.get("enum", ())
        return tuple(dict.fromkeys(type_name(v) for v in values))
    names = (named,) if isinstance(named, str) else tuple(named)
    return tuple(n for n in names if not (n == "integer" and "number" in names))


def scalar_fields(schema: Mapping[str, Any], above: str = "") -> dict[str, Mapping[str, Any]]:
    """The parts of a schema that are no object and no list, by dotted path; those of a list's items by the list's path.

    `{"total": …, "items.price": …}`
    """
    found: dict[str, Mapping[str, Any]] = {}
    for key, part in schema.get("properties", {}).items():
        path = f"{above}{key}"
        while "array" in types_of(part):
            part = part.get("items", {})
        if "object" in types_of(part):
            found |= scalar_fields(part, f"{path}.")
        else:
            found[path] = part
    return found


def scalar_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """What stands in a value that is no object and no list, with its path as in `scalar_fields`."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from scalar_values(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from scalar_values(item, path)
    else:
        yield path, value


def type_name(value: object) -> str:
    """The JSON Schema type of a value: `integer` for whole numbers, `number` for others."""
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (Mapping, "object")):
        if isinstance(value, kind):
            return name
    return "array"


def ordered(schema: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`value` with the keys of its objects in the schema's order, at every depth; keys that it does not know last."""
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        known = [key for key in properties if key in value]
        others = [key for key in value if key not in properties]
        return {key: ordered(properties.get(key, {}), value[key]) for key in known + others}
    if isinstance(value, list | tuple):
        items = schema.get("items", {})
        return [ordered(items if isinstance(items, Mapping) else {}, item) for item in value]
    return value


def parse_object(text: str | None) -> dict[str, Any] | None:
    """The object that `text` is, or None: nothing around it, no key twice, no NaN, no half of a surrogate pair."""
    if text is None:
        return None
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refused, parse_float=_finite_float)
        text.encode("utf-8")
        compact(value).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def compact(value: object) -> str:
    """JSON without white space between its tokens and without needless escapes: as models read and write it.

    Raises:
        ValueError: if a number in it is not finite.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dotted(path: object) -> str:
    """A path into JSON as people write it: `items[2].price`."""
    text = ""
    for part in path:  # type: ignore[attr-defined]
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _unsupported(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """What of a valid schema no grammar can hold an answer to."""
    names = types_of(schema)
    if not names:
        yield f"{place} has no type: add one"
        return
    allowed = _OF_ALL.union(*(_OF_TYPE[name] for name in names))
    for key in schema:
        if key not in allowed:
            yield f"{place}.{key} is not supported for {' or '.join(names)}: leave it out ({_listed(allowed)} are)"
    if len([n for n in names if n != "null"]) > 1:
        yield f"{place}.type names {' and '.join(names)}: take one type, and null beside it if need be"
    yield from _unsupported_values(schema, place)
    yield from _unsupported_parts(schema, names, place)


def _unsupported_values(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    if any(isinstance(v, dict | list) for v in values):
        yield f"{place} lists objects or arrays as values: only texts, numbers and booleans can be listed"
    fitting = [v for v in values if not validate(dict(schema), v)]
    if len(fitting) < len(values):
        wrong = next(v for v in values if v not in fitting)
        yield f"{place} lists {wrong!r}, which its other keywords forbid"
    if schema.get("minLength", 0) > schema.get("maxLength", math.inf):
        yield f"{place}.minLength is above maxLength"
    if schema.get("minItems", 0) > schema.get("maxItems", math.inf):
        yield f"{place}.minItems is above maxItems"


def _unsupported_parts(schema: Mapping[str, Any], names: tuple[str, ...], place: str) -> Iterator[str]:
    if "object" in names:
        if schema.get("additionalProperties", False) is not False:
            yield f"{place}.additionalProperties must be false: an answer holds the listed fields only"
        properties = schema.get("properties", {})
        for key in schema.get("required", ()):
            if key not in properties:
                yield f"{place}.required names {key!r}, which is not in {place}.properties"
        for key, part in properties.items():
            yield from _unsupported_part(part, f"{place}.properties.{key}")
    if "array" in names:
        yield from _unsupported_part(schema.get("items"), f"{place}.items")


def _unsupported_part(part: object, place: str) -> Iterator[str]:
    if isinstance(part, Mapping):
        yield from _unsupported(part, place)
    else:
        yield f"{place} is {part!r}: write what stands there as a table with a type"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(n for n in names if not n.startswith("$")))


def _short(message: str, most: int = 300) -> str:
    return message if len(message) <= most else f"{message[: most - 1]}…"


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:  # noqa: ANN401 - an untyped library's validator
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(schema))
    Draft202012Validator.check_schema(validator.schema)
    return validator


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _refused(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits} is too large")
    return value
