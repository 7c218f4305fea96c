"""How sure a model is of each field of an object that it wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from math import exp

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")


def field_confidences(
    text: str, ids: Sequence[int], logprobs: Sequence[float], decode: Callable[[Sequence[int]], str]
) -> dict[str, float]:
    """By dotted path, the probability that the model itself gives to a field: of all tokens of its name and value.

    The name is part of it, as it says that the field is there. Fields of nested objects are told one by one, a list is
    one field, and what the object leaves out is not told.

    Args:
        text: the JSON object that the `ids` say.
        logprobs: of each id.
    """
    spans = list(_spans(text))
    sums = dict.fromkeys((path for path, _, _ in spans), 0.0)
    for start, end, logprob in _stretches(ids, logprobs, decode):
        # What ends one field and begins the next counts for the one that it ends.
        if (path := next((p for p, a, b in spans if a < max(end, start + 1) and start < b), None)) is not None:
            sums[path] += logprob
    return {path: min(1.0, exp(total)) for path, total in sums.items()}


def _stretches(
    ids: Sequence[int], logprobs: Sequence[float], decode: Callable[[Sequence[int]], str]
) -> Iterator[tuple[int, int, float]]:
    """Where each token begins and ends in the text, with its log-probability."""
    start = 0
    for place, logprob in enumerate(logprobs, 1):
        end = max(start, len(decode(ids[:place]).rstrip("\ufffd")))  # half a character comes with the next token
        yield start, end, logprob
        start = end


def _spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Each field's path and where it stands, from its name to the end of its value."""
    yield from _object(text, _after_space(text, 0), "")


def _object(text: str, at: int, above: str) -> Generator[tuple[str, int, int], None, int]:
    """The fields of the object that begins at a place; returns where it ends."""
    at = _after_space(text, at + 1)
    while text[at] != "}":
        name, end = _DECODER.raw_decode(text, at)
        value = _after_space(text, _after_space(text, end) + 1)
        if text[value] == "{":
            end = yield from _object(text, value, f"{above}{name}.")
        else:
            _, end = _DECODER.raw_decode(text, value)
            # A number ends where something else begins.
            yield f"{above}{name}", at, end if text[end - 1] in '"]}' else end + 1
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return at + 1


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
