"""Whether answers are better held to passages of their input than left free: what validation examples say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan

import numpy as np

from inhouse.core import Example
from inhouse.core.json_schema import parse_object, scalar_values
from inhouse.core.task import FromInput
from inhouse.scoring import items_f1, mcnemar_exact
from inhouse.scoring.values import absent

# One-sided: five examples to none are no chance, one to none is.
CHANCE = 0.05


def held_to_passages(from_input: Mapping[str, FromInput]) -> tuple[str, ...]:
    """The fields whose answers are held to passages of their input."""
    return tuple(path for path, form in from_input.items() if form == "text")


def better_left_free(
    from_input: Mapping[str, FromInput],
    examples: Sequence[Example],
    free: Sequence[str | None],
    held: Sequence[str | None],
) -> tuple[str, ...]:
    """The fields held to passages that free answers have right in more examples than held ones, beyond chance.

    A model that copies with errors gains by being held; one that has learned what else a field may say (a house's own
    name for a supplier) loses. Dates and numbers are not asked about: what is in no input is wrong there. Where the
    two differ by chance alone, a field stays held: what it answers then is at least in the input.

    Args:
        examples: with their targets and groups, each of which counts as one.
        free, held: the same model's answers to them, as JSON objects; None, or what is none, has nothing right.
    """
    return tuple(path for path in held_to_passages(from_input) if _gains(path, examples, free, held))


def _gains(path: str, examples: Sequence[Example], free: Sequence[str | None], held: Sequence[str | None]) -> bool:
    """The paired sign test of the field's scores, one-sided."""
    free_scores, held_scores = (
        np.array([_score(path, e.target, answer) for e, answer in zip(examples, side, strict=True)])
        for side in (free, held)
    )
    better, worse = free_scores > held_scores, held_scores > free_scores
    p = mcnemar_exact(better, worse, groups=[e.group for e in examples])
    return bool(better.sum() > worse.sum()) and p / 2 <= CHANCE


def _score(path: str, target: str, answer: str | None) -> float:
    """How right a field is, 0 to 1; in a list's items, whatever their order."""
    if (given := parse_object(answer)) is None:
        return 0.0
    score = items_f1(list(_values(parse_object(target), path)), list(_values(given, path)), {})
    return 1.0 if isnan(score) else score  # rightly left out


def _values(value: object, path: str) -> Iterator[object]:
    return (one for where, one in scalar_values(value) if where == path and not absent(one))
