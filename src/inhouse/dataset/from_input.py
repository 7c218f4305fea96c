"""Which fields of an extract task are taken from the input: dates and amounts that always stand there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inhouse.core.json_schema import scalar_fields, types_of
from inhouse.core.task import FromInput
from inhouse.scoring.mentions import mentioned

# A field is taken from the input where at least so many values show it, and at most this share of them does not.
# An answer that is forced to another value is one that the model gives a low probability, so it goes to a person.
LEAST = 30
STRAY = 0.02
_OF_TEXTS: tuple[FromInput, ...] = ("date", "iso-date", "amount")
_OF_NUMBERS: tuple[FromInput, ...] = ("number",)

Seen = Sequence[tuple[Any, str]]


def infer_from_input(
    schema: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], texts: Sequence[str]
) -> dict[str, FromInput]:
    """The fields whose values are dates or numbers of their inputs, and in which form.

    Args:
        schema: of the objects, which have been `fitted` to it.
        objects: of the training targets.
        texts: the inputs, in the same order.
    """
    seen = _values(schema, objects, texts)
    found: dict[str, FromInput] = {}
    for path, part in scalar_fields(schema).items():
        if "enum" in part or "const" in part:
            continue
        forms = _OF_TEXTS if "string" in types_of(part) else _OF_NUMBERS
        for form in forms:
            if len(seen[path]) >= LEAST and _taken(seen[path], form):
                found[path] = form
                break
    return found


def still_from_input(
    from_input: Mapping[str, FromInput],
    schema: Mapping[str, Any],
    objects: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
) -> dict[str, FromInput]:
    """Those of `from_input` that the examples, of which there are more now, do not speak against."""
    seen, fields = _values(schema, objects, texts), scalar_fields(schema)
    return {path: form for path, form in from_input.items() if path in fields and _taken(seen[path], form)}


def _taken(seen: Seen, form: FromInput) -> bool:
    """Whether all values but a few are mentioned in their input, in that form."""
    allowed = STRAY * len(seen)
    strays = 0
    for value, text in seen:
        strays += value not in mentioned(text, form)
        if strays > allowed:
            return False
    return True


def _values(
    schema: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], texts: Sequence[str]
) -> defaultdict[str, list[tuple[Any, str]]]:
    """The values of each scalar field with the input that each belongs to."""
    found: defaultdict[str, list[tuple[Any, str]]] = defaultdict(list)
    for one, text in zip(objects, texts, strict=True):
        for path, value in _scalars(one, ""):
            found[path].append((value, text))
    return found


def _scalars(value: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _scalars(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item, path)
    elif value is not None and value != "":
        yield path, value
