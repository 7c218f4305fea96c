"""Inputs made of attributes: which name has which value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

# As in `scoring.facts`: at most three words for a name, right before the bracket.
_ATTRIBUTE = re.compile(r"(?:^|[,;|(])[ \t]*(\w[\w-]*(?: [\w-]+){0,2})\[([^\]]*)\]", re.MULTILINE)
_PAIR = re.compile(r"\s*(\w[\w ]{0,40}?)\s*[:=]\s*(.*)")
# Share of the letters and digits that may stand beside the attributes, as in `inform(name[Aroma], food[Thai])`.
_BESIDE = 0.2


def attributes_of(inputs: Mapping[str, str]) -> dict[str, str]:
    """The values by attribute: of `name[Aroma], food[Thai]`, of `name: value` lines, of a flat JSON object, or, where
    there are several input fields, of these. Nothing of prose.
    """
    found: dict[str, str] = {}
    for field, text in inputs.items():
        inner = _bracketed(text) or _object(text) or _pairs(text)
        if inner:
            found |= inner
        elif len(inputs) > 1:
            found[field] = text.strip()
    return found


def _bracketed(text: str) -> dict[str, str]:
    found = _ATTRIBUTE.findall(text)
    beside = sum(map(str.isalnum, _ATTRIBUTE.sub(" ", text)))
    inside = sum(map(str.isalnum, text))
    return {name.strip(): value.strip() for name, value in found} if found and beside <= _BESIDE * inside else {}


def _object(text: str) -> dict[str, str]:
    if text.lstrip()[:1] != "{":
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    flat = isinstance(value, dict) and not any(isinstance(part, dict | list) for part in value.values())
    return {str(name): str(part) for name, part in value.items() if part is not None} if flat else {}


def _pairs(text: str) -> dict[str, str]:
    """Of several lines, all of them pairs."""
    lines = [_PAIR.fullmatch(line) for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not all(lines):
        return {}
    return {line[1].strip(): line[2].strip() for line in lines if line is not None}
