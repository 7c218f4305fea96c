"""Scores of an extracted object: each field by value, line items as sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from inhouse.core.json_schema import types_of
from inhouse.scoring.values import absent, same_value

Keys = tuple[str, ...]


def field_paths(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of a schema's object that get a score, in its order: `company`, `supplier.name`, `items`.

    Those of nested objects one by one; a list is one field.
    """
    return tuple(".".join(keys) for keys, _ in _leaves(schema))


def field_scores(
    expected: Mapping[str, Any], answered: Mapping[str, Any] | None, schema: Mapping[str, Any]
) -> dict[str, float]:
    """The score of each of `field_paths`, 0 to 1.

    A field is 1 where the values are the same (see `values.same_value`), also where both lack it. A list is the F1 of
    its items, whatever their order: an item counts where all of it is right, and once. No answer is 0 everywhere.
    """
    if answered is None:
        return dict.fromkeys(field_paths(schema), 0.0)
    return {".".join(keys): _score(_at(expected, keys), _at(answered, keys), part) for keys, part in _leaves(schema)}


def object_exact(scores: Mapping[str, float]) -> float:
    """1 where every field is wholly right, else 0."""
    return float(all(score == 1.0 for score in scores.values()))


def _leaves(schema: Mapping[str, Any], above: Keys = ()) -> list[tuple[Keys, Mapping[str, Any]]]:
    """Every field that gets a score, with its part of the schema; an object without properties is one field."""
    found: list[tuple[Keys, Mapping[str, Any]]] = []
    for key, part in schema.get("properties", {}).items():
        inner = _leaves(part, (*above, key)) if "object" in types_of(part) else []
        found += inner or [((*above, key), part)]
    return found


def _at(value: object, keys: Keys) -> object:
    """The value of a field; where something else stands in place of an object, what equals no field's value."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None if absent(value) else {"": value}
        value = value.get(key)
    return value


def _score(expected: object, answered: object, schema: Mapping[str, Any]) -> float:
    if "array" not in types_of(schema):
        return float(same_value(expected, answered))
    if absent(expected) and absent(answered):
        return 1.0
    if not isinstance(expected, list) or not isinstance(answered, list):
        return 0.0
    if not expected or not answered:
        return 0.0
    return 2 * _matched(expected, answered, schema.get("items", {})) / (len(expected) + len(answered))


def _matched(expected: Sequence[object], answered: Sequence[object], schema: Mapping[str, Any]) -> int:
    """How many items can be paired, each once: at most, as sameness is not transitive ("5 EUR", "5", "5 CAD")."""
    same = np.array([[_same_item(e, a, schema) for a in answered] for e in expected], dtype=np.int8)
    return int((maximum_bipartite_matching(csr_array(same), perm_type="column") >= 0).sum())


def _same_item(expected: object, answered: object, schema: Mapping[str, Any]) -> bool:
    """Whether two items are the same in all their fields, lists within them again whatever their order."""
    if "object" not in types_of(schema):
        return _score(expected, answered, schema) == 1.0
    if not isinstance(expected, Mapping) or not isinstance(answered, Mapping):
        return absent(expected) and absent(answered)
    if any(not absent(value) for key, value in answered.items() if key not in schema.get("properties", {})):
        return False
    return all(_score(_at(expected, keys), _at(answered, keys), part) == 1.0 for keys, part in _leaves(schema))
