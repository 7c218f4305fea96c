"""What a column seems to hold: labels, free text, numbers, dates, ids; rules of thumb, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from inhouse.sources.places import Place, text_at, value_at
from inhouse.sources.registry import Source

MOSTLY = 0.95
# Fewer rows than this say nothing about a column; they are refused later, for being too few.
ENOUGH_ROWS = 10
LONG_LABEL = 60

_DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ,]+\d{1,2}:\d{2}.*)?")
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d")
_WHOLE = re.compile(r"[-+]?\d{1,18}")
_ID_WORDS = {"id", "ids", "no", "nr", "nummer", "number", "key", "uuid", "guid", "ref", "reference", "index", "idx"}


@dataclass(frozen=True)
class Column:
    """One column of a source: its values without outer white space, empty ones left out, in file order."""

    name: str
    values: Sequence[str]
    nested: bool = False

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(set(self.values))

    @property
    def distinct_share(self) -> float:
        """Different values per value; 0 for an empty column."""
        return self.distinct / len(self.values) if self.values else 0.0

    @property
    def mean_length(self) -> float:
        """Characters per value; 0 for an empty column."""
        return sum(map(len, self.values)) / len(self.values) if self.values else 0.0

    def mostly(self, pattern: re.Pattern[str]) -> bool:
        """Whether nearly all values match the whole pattern."""
        allowed = len(self.values) - MOSTLY * max(1, len(self.values))
        for value in self.values:
            if pattern.fullmatch(value) is None:
                allowed -= 1
                if allowed < 0:
                    return False
        return allowed >= 0


def columns_of(source: Source) -> dict[str, Column]:
    """All columns of a source, by name, in order."""
    cells: dict[str, list[str]] = {name: [] for name in source.columns}
    for record in source.records:
        for name, value in record.values.items():
            if stripped := value.strip():
                cells[name].append(stripped)
    return {name: Column(name, values, name in source.nested) for name, values in cells.items()}


def column_at(source: Source, place: Place) -> Column:
    """What stands at a place, as a column under the place's name."""
    texts = [text.strip() for record in source.records if (text := text_at(record, place))]
    nested = not place.path and place.column in source.nested
    if place.path:
        nested = any(isinstance(value_at(record, place), dict | list) for record in source.records)
    return Column(place.name, [text for text in texts if text], nested)


def words(name: str) -> list[str]:
    """The words of a column's name, in lower case: `invoiceNo` and `invoice_no` are both invoice, no."""
    return [w.casefold() for w in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+|\d+", name)]


def looks_like_labels(column: Column) -> bool:
    """Few short values that repeat, and no dates or amounts."""
    return (
        not column.nested
        and column.distinct >= 2
        and 2 * column.distinct <= len(column.values)
        and column.mean_length <= LONG_LABEL
        and not column.mostly(_DATE)
        and not (column.mostly(_NUMBER) and column.distinct > 20)
    )


def holds_json(values: Sequence[str]) -> bool:
    """Whether nearly all values look like JSON objects or lists."""
    return bool(values) and sum(v[0] + v[-1] in ("{}", "[]") for v in values) >= MOSTLY * len(values)


def looks_like_text(column: Column) -> bool:
    """Values of several words that hardly repeat."""
    spaced = sum(" " in v for v in column.values)
    return (
        not column.nested
        and column.distinct >= 2
        and column.distinct_share > 0.5
        and 2 * spaced > len(column.values)
        and not column.mostly(_DATE)
        and not column.mostly(_NUMBER)
        and not holds_json(column.values)
    )


def not_labels(column: Column) -> str:
    """Why these values cannot be labels to choose from; empty when they can."""
    if column.nested:
        return "it holds lists or objects"
    count = len(column.values)
    if count < ENOUGH_ROWS:
        return ""
    if 2 * sum(v[0] + v[-1] in ("{}", "[]") for v in column.values) > count:
        return "its values are JSON"
    share = f"{column.distinct} of {count} values are distinct ({column.distinct_share:.0%})"
    if column.distinct_share > 0.8:
        return share
    if column.mean_length > LONG_LABEL and column.distinct_share > 0.5:
        return f"{share} and they are {column.mean_length:.0f} characters long on average"
    return ""


def useless_as_input(column: Column) -> str:
    """Why a column tells nothing about a new case; empty when it may."""
    if column.nested:
        return "it holds lists or objects"
    if not column.values:
        return "it is empty"
    if column.distinct == 1 and len(column.values) > 1:
        return "it has one value only"
    if column.mostly(_DATE):
        return "it holds dates"
    if _is_id(column):
        return "it looks like a number or code that only names the row"
    return ""


def _is_id(column: Column) -> bool:
    if any(" " in v for v in column.values):
        return False
    digits = sum(any(c.isdigit() for c in v) for v in column.values)
    named = bool(_ID_WORDS & set(words(column.name)[-1:]))
    if named and column.distinct_share > 0.2 and 2 * digits > len(column.values):
        return True
    if column.distinct < len(column.values) or len(column.values) < 2:
        return False
    if column.mostly(_NUMBER):
        return _is_sequence(column.values)
    return digits == len(column.values)


def _is_sequence(values: Sequence[str]) -> bool:
    """Whole numbers that only rise, or only fall."""
    if not all(_WHOLE.fullmatch(v) for v in values):
        return False
    steps = {int(b) > int(a) for a, b in pairwise(values)}
    return len(steps) == 1
