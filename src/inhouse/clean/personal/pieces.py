"""The texts of an example in which something is looked for, and where each of them stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from inhouse.core import Example, Kind, Masked

# A string of JSON, and whether it is the name of a field; a number.
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|(?<![\w"])-?\d[\d.eE+-]*')
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")


class Texts(NamedTuple):
    """The texts of an example, without all that another process need not know."""

    inputs: Mapping[str, str]
    target: str
    rejected: str


# Texts column by column: lists of plain values go to another process in a fifth of the time.
Columns = tuple[list[Mapping[str, str]], list[str], list[str]]


def parts_of(examples: Sequence[Example], size: int) -> Iterator[Columns]:
    """The texts of examples, so many at a time."""
    for at in range(0, len(examples), size):
        part = examples[at : at + size]
        yield [e.inputs for e in part], [e.target for e in part], [e.rejected for e in part]


def rows_of(columns: Columns) -> list[Texts]:
    """The texts of each example."""
    return list(map(Texts, *columns))


class Piece(NamedTuple):
    """A text of an example.

    Attributes:
        field: the input field that it is in; empty for the target and the rejected answer.
        rejected: whether it is of the rejected answer.
        label: what the text is called: the field's name, or that within a JSON object.
        text: as a person reads it, without JSON's escapes.
        starts: where each character stands in the field's text, and where the last one ends; None where they stand as
            in `text`.
        number: whether it is a number of a JSON object, which a placeholder makes a string.
    """

    field: str
    rejected: bool
    label: str
    text: str
    starts: tuple[int, ...] | None = None
    number: bool = False

    def masked(self, start: int, end: int, by: str) -> Masked:
        """What puts `by` in the place of a stretch of the text."""
        if self.starts is not None:
            start, end = self.starts[start], self.starts[end]
        text = f'"{by}"' if self.number else by
        return Masked(field=self.field, start=start, end=end, text=text, rejected=self.rejected)


def pieces(row: Example | Texts, kind: Kind) -> Iterator[Piece]:
    """The inputs of an example, its target and the rejected answer. A label is a name for a class and no text."""
    for name, value in row.inputs.items():
        yield Piece(name, False, name, value)
    if kind == "classify":
        return
    for answer, rejected in ((row.target, False), (row.rejected, True)):
        if kind == "extract" or answer[:1] in ("{", "["):
            yield from _of_json(answer, rejected=rejected)
        elif answer:
            yield Piece("", rejected, "", answer)


def _of_json(text: str, *, rejected: bool) -> Iterator[Piece]:
    """The strings and numbers of a JSON text, each called as the last field's name before it."""
    label = ""
    for token in _TOKEN.finditer(text):
        inner = token[1]
        if token[2]:
            label = _decoded(inner, 0)[0]
        elif inner is None:
            starts = tuple(range(token.start(), token.end() + 1))
            yield Piece("", rejected, label, token[0], starts, number=True)
        elif inner:
            decoded, starts = _decoded(inner, token.start(1))
            yield Piece("", rejected, label, decoded, starts)


def _decoded(inner: str, offset: int) -> tuple[str, tuple[int, ...]]:
    """The inside of a JSON string without its escapes, and where each character stands."""
    if "\\" not in inner:
        return inner, tuple(range(offset, offset + len(inner) + 1))
    characters: list[str] = []
    starts: list[int] = []
    position = 0
    while position < len(inner):
        escape = _ESCAPE.match(inner, position)
        end = escape.end() if escape else position + 1
        characters.append(_unescaped(inner[position:end]))
        starts.append(offset + position)
        position = end
    return "".join(characters), (*starts, offset + len(inner))


def _unescaped(written: str) -> str:
    try:
        return str(json.loads(f'"{written}"'))
    except ValueError:  # no JSON after all: as it is written, at its place
        return written[:1]
