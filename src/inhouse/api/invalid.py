"""A body that does not fit, told in OpenAI's words: which field, what was expected, what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from inhouse.api.errors import ApiError, error_response

Fault = dict[str, Any]

_EXPECTED = {
    "string": "a string",
    "int": "an integer",
    "float": "a decimal number",
    "bool": "a boolean",
    "list": "an array",
    "dict": "an object",
    "model": "an object",
}
_OF_TYPE = ("_type", "_parsing", "_from_float")
# By what pydantic calls a fault: its bound, and what OpenAI says of one that is broken.
_BOUNDS = {
    "greater_than_equal": ("ge", ">=", "below minimum value", "below_min_value"),
    "greater_than": ("gt", ">", "below minimum value", "below_min_value"),
    "less_than_equal": ("le", "<=", "above maximum value", "above_max_value"),
    "less_than": ("lt", "<", "above maximum value", "above_max_value"),
}
_LENGTHS = {
    "too_short": ("array", "min_length"),
    "string_too_short": ("string", "min_length"),
    "too_long": ("array", "max_length"),
    "string_too_long": ("string", "max_length"),
}
# Letters of a wrong value that are repeated.
_LONGEST = 100


def invalid(error: RequestValidationError) -> ApiError:
    """What is wrong with the first field at fault.

    Of a field with several forms it is told of the one that was meant: whose types fit, else that which fits furthest.
    """
    faults = error.errors()
    if isinstance(error.body, bytes) and _top(faults[0])[0] == "body":  # it was not read as JSON
        told = "send the body as JSON, with the header content-type: application/json"
        return ApiError(400, told, code="invalid_content_type")
    found = [(_path(fault, error.body), fault) for fault in faults if _top(fault) == _top(faults[0])]
    path, fault = max(found, key=lambda one: (not one[1]["type"].endswith(_OF_TYPE), len(one[0])))
    alike = [fault for other, fault in found if other == path]
    message, code = _told(_written(path), fault, alike)
    return ApiError(400, message, code=code, param=_written(path) or None)


async def on_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    """Handler of a body that does not fit."""
    assert isinstance(error, RequestValidationError)
    told = invalid(error)
    return error_response(400, told.message, code=told.code, param=told.param)


def _top(fault: Fault) -> tuple[Any, ...]:
    return tuple(fault["loc"][:2])


def _path(fault: Fault, body: Any) -> tuple[str | int, ...]:  # noqa: ANN401 - whatever JSON holds
    """Where the fault is, without the forms that pydantic tried there, which it names in between."""
    first, *loc = fault["loc"]
    if first != "body":
        return tuple(loc)
    found: list[str | int] = []
    for place, part in enumerate(loc):
        missing = fault["type"] == "missing" and place == len(loc) - 1
        if isinstance(body, dict) and (part in body or missing):
            body = body.get(part)
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        else:
            continue
        found.append(part)
    return tuple(found)


def _written(path: Sequence[str | int]) -> str:
    """`messages[0].content`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _told(name: str, fault: Fault, alike: Sequence[Fault]) -> tuple[str, str]:
    """The message and its code; `alike` are those of the other forms at the same place."""
    kind, value = fault["type"], fault["input"]
    expected = list(dict.fromkeys(_EXPECTED[word] for f in alike if (word := f["type"].split("_")[0]) in _EXPECTED))
    if kind == "missing":
        return f"Missing required parameter: '{name or 'body'}'.", "missing_required_parameter"
    if kind in _BOUNDS:
        return _of_bound(name, value, kind, fault["ctx"])
    if kind in _LENGTHS:
        return _of_length(name, value, *_LENGTHS[kind], fault["ctx"])
    if kind == "literal_error":
        known = " or ".join([fault["ctx"]["expected"], *expected])
        return f"Invalid value for '{name}': {_brief(value)}. Supported values are: {known}.", "invalid_value"
    if kind == "extra_forbidden":
        return f"Unrecognized request argument: {name}", "unknown_parameter"
    if expected and kind.endswith(_OF_TYPE):
        told = f"expected {' or '.join(expected)}, but got {_got(value)} instead"
        return f"Invalid type for '{name or 'body'}': {told}.", "invalid_type"
    return f"{name or 'body'}: {fault['msg']}", "invalid_value"


def _of_bound(name: str, value: object, kind: str, about: Fault) -> tuple[str, str]:
    key, sign, what, code = _BOUNDS[kind]
    number, bound = ("integer", about[key]) if isinstance(about[key], int) else ("decimal", f"{about[key]:g}")
    expected = f"Expected a value {sign} {bound}, but got {_brief(value)} instead."
    return f"Invalid '{name}': {number} {what}. {expected}", f"{number}_{code}"


def _of_length(name: str, value: Any, of: str, bound: str, about: Fault) -> tuple[str, str]:  # noqa: ANN401
    if bound == "min_length":
        expected = f"with minimum length {about[bound]}, but got an empty {of} instead."
        return f"Invalid '{name}': empty {of}. Expected {_a(of)} {expected}", f"empty_{of}"
    expected = f"with maximum length {about[bound]}, but got one of length {len(value)} instead."
    return f"Invalid '{name}': {of} too long. Expected {_a(of)} {expected}", f"{of}_above_max_length"


def _a(word: str) -> str:
    return f"an {word}" if word == "array" else f"a {word}"


def _brief(value: object) -> str:
    return repr(value)[:_LONGEST]


def _got(value: object) -> str:
    if value is None:
        return "null"
    kinds = ((bool, "bool"), (int, "int"), (float, "float"), (str, "string"), (list, "list"))
    return next((_EXPECTED[word] for kind, word in kinds if isinstance(value, kind)), "an object")
