"""Which fields of an extract task are taken from the input: dates, numbers and passages that always stand there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from inhouse.core.json_schema import scalar_fields, scalar_values, types_of
from inhouse.core.passages import Passages
from inhouse.core.task import FromInput
from inhouse.scoring.mentions import mentioned

# A field is taken from the input where the values of at least so many inputs show it, and at most this share of them
# stands elsewhere. A rating or a count stands in most inputs by chance, in another example's as often as in its own:
# of such values at most a half may.
LEAST = 30
STRAY = 0.02
# A passage is copied with the errors of people and of text recognition, which no model can know. Whether answers are
# better held to passages or left free is measured after the training (`pipeline/held.py`).
STRAY_TEXT = 0.2
CHANCE = 0.5
_OF_TEXTS: tuple[FromInput, ...] = ("date", "iso-date", "amount", "text")

Forms = Mapping[str, Sequence[FromInput]]


def infer_from_input(
    schema: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], texts: Sequence[str]
) -> dict[str, FromInput]:
    """The fields whose values are dates or numbers of their inputs, and in which form.

    Args:
        schema: of the objects, which have been `fitted` to it.
        objects: of the training targets.
        texts: the inputs, in the same order.
    """
    possible = {path: _forms_of(part) for path, part in scalar_fields(schema).items()}
    inputs = Counter(path for one in objects for path in {path for path, _ in _scalars(one)})
    possible = {path: forms for path, forms in possible.items() if inputs[path] >= LEAST}
    half = len(objects) // 2  # neighbours may be of one supplier, day or order
    others = [*objects[half:], *objects[:half]]
    return {path: forms[0] for path, forms in _not_refuted(possible, objects, texts, others).items()}


def still_from_input(
    from_input: Mapping[str, FromInput],
    schema: Mapping[str, Any],
    objects: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
) -> dict[str, FromInput]:
    """Those of `from_input` that the examples, of which there are more now, do not speak against."""
    fields = scalar_fields(schema)
    named = {path: [form] for path, form in from_input.items() if path in fields and form in _forms_of(fields[path])}
    left = _not_refuted(named, objects, texts)
    return {path: form for path, form in from_input.items() if path in left}


def stray_share(form: FromInput) -> float:
    """The most of a field's values, 0 to 1, that may stand elsewhere than in their input."""
    return STRAY_TEXT if form == "text" else STRAY


def _forms_of(part: Mapping[str, Any]) -> Sequence[FromInput]:
    """How a field could be taken from an input, by its type; a choice or a constant is not."""
    if "enum" in part or "const" in part:
        return ()
    if "string" in types_of(part):
        return _OF_TEXTS
    return ("number",) if {"number", "integer"} & set(types_of(part)) else ()


def _not_refuted(
    possible: Forms,
    objects: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    others: Sequence[Mapping[str, Any]] = (),
) -> dict[str, list[FromInput]]:
    """The forms in which all values of a field but a few are mentioned in their input; one pass over the texts.

    With `others`, an object of another example for each text: and most values of these are not mentioned there.
    """
    total = Counter(path for one in objects for path, _ in _scalars(one))
    left = {path: list(forms) for path, forms in possible.items() if forms}
    strays: Counter[tuple[str, FromInput]] = Counter()
    by_chance: Counter[tuple[str, FromInput]] = Counter()
    for i, (one, text) in enumerate(zip(objects, texts, strict=True)):
        mentions: defaultdict[FromInput, Container[Any]] = defaultdict(tuple)
        for form in {form for forms in left.values() for form in forms}:
            found = mentioned(text, form)
            mentions[form] = found if isinstance(found, Passages) else frozenset(found)
        for path, value in _scalars(one):
            for form in list(left.get(path, ())):
                strays[path, form] += not _stands_in(value, form, mentions[form])
                if strays[path, form] > stray_share(form) * total[path]:
                    left[path].remove(form)
        for path, value in _scalars(others[i]) if others else ():
            for form in left.get(path, ()):
                by_chance[path, form] += _stands_in(value, form, mentions[form])
    shown = {path: [f for f in forms if by_chance[path, f] <= CHANCE * total[path]] for path, forms in left.items()}
    return {path: forms for path, forms in shown.items() if forms}


def _stands_in(value: Any, form: FromInput, mentions: Container[Any]) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a value is mentioned, and in that form can be answered again as it is.

    A text of digits alone is a date or a number and no passage, and no passage has lines.
    """
    if form == "text" and (len(str(value).split("\n")) > 1 or not any(map(str.isalpha, str(value)))):
        return False
    return value in mentions


def _scalars(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON value
    """The values by path, less those that say that there is none: null, an empty text, 0."""
    return ((path, one) for path, one in scalar_values(value) if one is not None and one not in ("", 0))
