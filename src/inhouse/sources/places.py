"""Where a name points: to a column, or with a dotted path into the JSON that a column holds (`fields.company`)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from inhouse.core import Record
from inhouse.core.json_schema import compact
from inhouse.errors import SourceError
from inhouse.sources.json_rows import decode
from inhouse.sources.registry import Source

# How far the paths of a file are looked for to tell them to the user.
_ROWS_LISTED, _DEPTH_LISTED = 50, 3


class _Missing:
    """Stands for a value that a row lacks."""


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Place:
    """A column, and the keys and positions that lead on from there."""

    name: str
    column: str
    path: tuple[str, ...] = ()

    @property
    def last(self) -> str:
        """The last part: the key that the value has in an object of several targets."""
        return self.path[-1] if self.path else self.column

    def overlaps(self, other: Place) -> bool:
        """Whether one of them holds the other."""
        shared = min(len(self.path), len(other.path))
        return self.column == other.column and self.path[:shared] == other.path[:shared]


def place_of(source: Source, name: str) -> Place | None:
    """The place that a name means; None when no column begins it. A column whose own name has a dot goes first."""
    if name in source.columns:
        return Place(name, name)
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        column = ".".join(parts[:cut])
        if column in source.columns and all(parts[cut:]):
            return Place(name, column, tuple(parts[cut:]))
    return None


def check_columns(source: Source, names: Iterable[str]) -> None:
    """Check that each name is a column, or a path that at least one row has; empty names are passed over.

    Raises:
        SourceError: one is missing; the message lists what is there.
    """
    for name in names:
        if name:
            require_place(source, name)


def require_place(source: Source, name: str) -> Place:
    """The place that `name` means; raises SourceError where nothing is there."""
    place = place_of(source, name)
    if place and (not place.path or any(value_at(r, place) is not MISSING for r in source.records)):
        return place
    known = [*source.columns, *_paths(source)]
    near = {c.casefold(): c for c in reversed(known)}
    close = difflib.get_close_matches(name.casefold(), near, n=1)
    raise SourceError(
        f"column {name!r} is missing; the columns there are {listed(known)}",
        f"did you mean {near[close[0]]!r}?" if close else "name one of these, spelt as it is there",
        file=source.path,
    )


def value_at(record: Record, place: Place) -> object:
    """The JSON value there, a string where the column is plain text, or `MISSING`."""
    text = record.values.get(place.column)
    if text is None:
        return MISSING
    if not place.path:
        return json.loads(text) if place.column in record.json else text
    value: object
    try:
        value = json.loads(text) if place.column in record.json else decode(text)
    except ValueError:  # plain text, which leads nowhere
        return MISSING
    return _walk(value, place.path)


def text_at(record: Record, place: Place) -> str | None:
    """What stands there, as text; None where the row lacks it."""
    if not place.path:
        return record.values.get(place.column)
    value = value_at(record, place)
    return None if value is MISSING else as_text(value)


def as_text(value: object) -> str:
    """A JSON value as text: strings bare, null empty, all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value)


def _walk(value: object, path: Sequence[str]) -> object:
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _paths(source: Source) -> list[str]:
    """The paths into the JSON of the first rows."""
    found: dict[str, None] = {}
    for record in source.records[:_ROWS_LISTED]:
        for name, text in record.values.items():
            if text[:1] in ("{", "["):
                try:
                    value = decode(text)
                except ValueError:
                    continue
                found.update(dict.fromkeys(_below(name, value, _DEPTH_LISTED)))
    return list(found)


def _below(name: str, value: object, depth: int) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield f"{name}.{key}"
        if depth > 1:
            yield from _below(f"{name}.{key}", item, depth - 1)


def listed(names: Iterable[str], most: int = 40) -> str:
    """Names for a message: long ones cut, many of them counted."""
    shown = [n if len(n) <= 40 else f"{n[:37]}..." for n in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
