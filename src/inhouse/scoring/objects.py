"""Scores of an extracted object: each field by value, line items as sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
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
    """The score of each of `field_paths`, 0 to 1; nan where both sides lack the field, which is no achievement.

    A field is 1 where the values are the same (see `values.same_value`). A list is the F1 of its items, whatever their
    order: an item counts where all of it is right, and once. No answer is 0 in all that was expected. What is expected
    and has no place in the schema follows, 0 each: no answer can say it.
    """
    given = answered or {}
    scores = {".".join(keys): _score(_at(expected, keys), _at(given, keys), part) for keys, part in _leaves(schema)}
    return scores | dict.fromkeys(_beyond(expected, schema), 0.0)


def item_paths(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of the items of an object's lists, where these are objects of several parts: `items.price`."""
    return tuple(f"{'.'.join(keys)}.{'.'.join(inner)}" for keys, part in _lists(schema) for inner, _ in _leaves(part))


def item_scores(
    expected: Mapping[str, Any], answered: Mapping[str, Any] | None, schema: Mapping[str, Any]
) -> dict[str, float]:
    """Of each of `item_paths` the share of right ones among the items that belong together, 0 to 1.

    Items are paired once: first as many as are wholly right, then so that most parts are right; a pair without a right
    part is none. nan where no pair has the part on either side. Items without a partner count in the list's own score.
    """
    found: dict[str, float] = {}
    for keys, part in _lists(schema):
        ours, theirs = (
            [i for i in v if isinstance(i, Mapping)] if isinstance(v, list) else []
            for v in (_at(expected, keys), _at(answered or {}, keys))
        )
        leaves = _leaves(part)
        pairs = [[_score(_at(e, k), _at(a, k), p) for k, p in leaves] for e, a in _paired(ours, theirs, leaves)]
        for place, (inner, _) in enumerate(leaves):
            told = [float(pair[place] == 1.0) for pair in pairs if not isnan(pair[place])]
            found[f"{'.'.join(keys)}.{'.'.join(inner)}"] = sum(told) / len(told) if told else nan
    return found


def _lists(schema: Mapping[str, Any]) -> list[tuple[Keys, Mapping[str, Any]]]:
    """The lists of objects of several parts, with the schema of an item."""
    found = [(keys, part.get("items", {})) for keys, part in _leaves(schema) if "array" in types_of(part)]
    return [(keys, items) for keys, items in found if "object" in types_of(items) and len(_leaves(items)) > 1]


def _paired(
    expected: Sequence[Mapping[str, Any]], answered: Sequence[Mapping[str, Any]], leaves: Sequence[tuple[Keys, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The items that belong together; those that are the very same first, as comparing each with each takes time."""
    left, pairs, strange = list(answered), [], []
    for one in expected:
        if one in left:
            pairs.append((one, left.pop(left.index(one))))
        else:
            strange.append(one)
    right = np.zeros((len(strange), len(left)))
    for i, ours in enumerate(strange):
        for j, theirs in enumerate(left):
            told = [s for keys, part in leaves if not isnan(s := _score(_at(ours, keys), _at(theirs, keys), part))]
            alike = told.count(1.0)
            right[i, j] = alike + (len(leaves) * len(strange) if alike == len(told) else 0)
    rows, columns = linear_sum_assignment(right, maximize=True)
    return [*pairs, *((strange[i], left[j]) for i, j in zip(rows, columns, strict=True) if right[i, j] > 0)]


def items_f1(expected: Sequence[object], answered: Sequence[object], schema: Mapping[str, Any]) -> float:
    """The F1 of a list's items, whatever their order: an item counts where all of it is right, and once.

    Args:
        schema: of an item; empty for values that are compared as they are.

    Returns:
        0 to 1; nan where both lists are empty.
    """
    if not expected and not answered:
        return nan
    if not expected or not answered:
        return 0.0
    return 2 * _matched(expected, answered, schema) / (len(expected) + len(answered))


def object_exact(scores: Mapping[str, float]) -> float:
    """1 where every field is wholly right or rightly left out, else 0."""
    return float(all(score == 1.0 or isnan(score) for score in scores.values()))


def fields_exact(scores: Mapping[str, float]) -> float:
    """The mean over the fields that either side holds; 1 where neither holds any.

    Fields that both lack are left out: with forty optional fields, two of which occur, nearly every answer would
    otherwise be nearly right.
    """
    held = [score for score in scores.values() if not isnan(score)]
    return sum(held) / len(held) if held else 1.0


def _leaves(schema: Mapping[str, Any], above: Keys = ()) -> list[tuple[Keys, Mapping[str, Any]]]:
    """Every field that gets a score, with its part of the schema; an object without properties is one field."""
    found: list[tuple[Keys, Mapping[str, Any]]] = []
    for key, part in schema.get("properties", {}).items():
        inner = _leaves(part, (*above, key)) if "object" in types_of(part) else []
        found += inner or [((*above, key), part)]
    return found


def _beyond(value: Mapping[str, Any], schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The fields that hold something and that the schema does not know."""
    properties = schema.get("properties", {})
    for key, part in value.items():
        if key not in properties:
            if not absent(part):
                yield f"{above}{key}"
        elif isinstance(part, Mapping) and "object" in types_of(properties[key]):
            yield from _beyond(part, properties[key], f"{above}{key}.")


def _at(value: object, keys: Keys) -> object:
    """The value of a field; where something else stands in place of an object, what equals no field's value."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None if absent(value) else {"": value}
        value = value.get(key)
    return value


def _score(expected: object, answered: object, schema: Mapping[str, Any]) -> float:
    if absent(expected) and absent(answered):
        return nan
    if "array" not in types_of(schema):
        return float(same_value(expected, answered))
    if not isinstance(expected, list) or not isinstance(answered, list):
        return 0.0
    return items_f1(expected, answered, schema.get("items", {}))


def _matched(expected: Sequence[object], answered: Sequence[object], schema: Mapping[str, Any]) -> int:
    """How many items can be paired, each once: at most, as sameness is not transitive ("5 EUR", "5", "5 CAD")."""
    same = np.array([[_same_item(e, a, schema) for a in answered] for e in expected], dtype=np.int8)
    return int((maximum_bipartite_matching(csr_array(same), perm_type="column") >= 0).sum())


def _same_item(expected: object, answered: object, schema: Mapping[str, Any]) -> bool:
    """Whether two items are the same in all their fields, lists within them again whatever their order."""
    if "object" not in types_of(schema):
        return _right(expected, answered, schema)
    if not isinstance(expected, Mapping) or not isinstance(answered, Mapping):
        return absent(expected) and absent(answered)
    if any(_beyond(expected, schema)) or any(_beyond(answered, schema)):
        return False
    return all(_right(_at(expected, keys), _at(answered, keys), part) for keys, part in _leaves(schema))


def _right(expected: object, answered: object, schema: Mapping[str, Any]) -> bool:
    score = _score(expected, answered, schema)
    return score == 1.0 or isnan(score)
