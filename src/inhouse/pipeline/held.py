"""Whether answers are better held to passages of their input than left free: what validation examples say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inhouse.core.json_schema import parse_object
from inhouse.core.task import FromInput
from inhouse.scoring.values import same_value


def better_left_free(
    from_input: Mapping[str, FromInput], targets: Sequence[str], free: Sequence[str], held: Sequence[str]
) -> list[str]:
    """The fields held to passages of which free answers have more values right than held ones.

    A model that copies with errors gains by it; one that has learned what else a field may say (a house's own name for
    a supplier) loses. Dates and numbers are not asked about: what is in no input is wrong there.

    Args:
        targets, free, held: of the same examples, as JSON objects; an answer that is none has nothing right.
    """
    paths = [path for path, form in from_input.items() if form == "text"]
    return [path for path in paths if _right(path, targets, free) > _right(path, targets, held)]


def _right(path: str, targets: Sequence[str], answers: Sequence[str]) -> int:
    """How many values of a field are right, item by item of the lists that it stands in."""
    return sum(
        same_value(wanted, given)
        for target, answer in zip(targets, answers, strict=True)
        for wanted, given in zip(_values(target, path), _values(answer, path), strict=False)
    )


def _values(text: str, path: str) -> list[Any]:
    found: list[Any] = [parse_object(text)]
    for key in path.split("."):
        found = [one.get(key) for one in found if isinstance(one, Mapping)]
        found = [part for one in found for part in (one if isinstance(one, list) else [one])]
    return found
