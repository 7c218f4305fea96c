"""The floor: always the same answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from inhouse.core import Prediction
from inhouse.core.json_schema import compact, ordered, parse_object
from inhouse.evaluate.contenders.registry import NEEDED, Field, contender


@contender("majority", "always the most frequent answer", turn=NEEDED)
def majority(given: Field) -> list[Prediction]:
    """Always the same answer, the most frequent one: the floor. Of objects it is so field by field."""
    if given.task.kind == "extract":
        target, share = _usual_object(given)
    else:
        target, share = _most_frequent([e.target for e in given.train])
    return [Prediction(target=target, confidence=share)] * len(given.questions)


def _most_frequent(texts: Sequence[str]) -> tuple[str, float]:
    """The commonest text, the first in order among equals, and its share."""
    text, count = min(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))
    return text, count / len(texts)


def _usual_object(given: Field) -> tuple[str, float]:
    """The object of each field's commonest value, absence included, and the share of the rarest of these."""
    objects = [parse_object(e.target) or {} for e in given.train]
    usual: dict[str, Any] = {}
    shares = [1.0]
    for name in given.task.json_schema.get("properties", {}):
        text, share = _most_frequent([compact(o[name]) if name in o else "" for o in objects])
        shares.append(share)
        if text:
            usual[name] = json.loads(text)
    return compact(ordered(given.task.json_schema, usual)), min(shares)
