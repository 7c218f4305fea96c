"""The target of a row: a label or text as it stands, or one JSON object as compact text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inhouse.core import Record
from inhouse.core.json_schema import compact
from inhouse.sources.columns import holds_json
from inhouse.sources.inputs import no_value
from inhouse.sources.json_rows import decode, trimmed
from inhouse.sources.mapping import Mapping
from inhouse.sources.places import MISSING, Place, as_text, require_place, value_at
from inhouse.sources.registry import Source
from inhouse.sources.rejected import NO_TARGET

# A row's target, or why it has none that can be used.
TargetReader = Callable[[Record], tuple[str, str]]


def target_reader(source: Source, mapping: Mapping) -> TargetReader:
    """What reads the targets of this source's rows, without outer white space.

    Raises:
        SourceError: a target is missing.
    """
    places = [require_place(source, name) for name in mapping.targets]
    if mapping.kind != "extract":
        return _text_reader(places[0])
    cells = [_Cell(source, place) for place in places]
    if len(cells) == 1 and any(isinstance(value, dict) for value in cells[0].values(source.records)):
        return _object_reader(cells[0])
    keys = [name.rpartition(".")[2] for name in mapping.target_names] or [cell.place.last for cell in cells]
    return _keys_reader(list(zip(keys, cells, strict=True)))


def _text_reader(place: Place) -> TargetReader:
    def read(record: Record) -> tuple[str, str]:
        value = value_at(record, place)
        if value is MISSING:
            return "", no_value(place)
        if isinstance(value, dict | list):
            return "", f"a list or an object in column {place.name!r}"
        in_row = record.values[place.column] if not place.path else as_text(value)  # 1.50 stays as it is written
        text = in_row.strip()
        return text, "" if text else f"{NO_TARGET} ({place.name})"

    return read


def _object_reader(cell: _Cell) -> TargetReader:
    """One column that holds the objects."""

    def read(record: Record) -> tuple[str, str]:
        value, fault = cell.value(record)
        if fault:
            return "", fault
        if value is None or value == "":
            return "", f"{NO_TARGET} ({cell.place.name})"
        if not isinstance(value, dict):
            return "", f"the target {cell.place.name!r} is not a JSON object: {as_text(value)[:60]!r}"
        if not value:
            return "", f"the target {cell.place.name!r} is an empty object"
        return compact(value), ""

    return read


def _keys_reader(cells: list[tuple[str, _Cell]]) -> TargetReader:
    """Columns that make the keys of the object, each with its key. An empty cell is null there."""

    def read(record: Record) -> tuple[str, str]:
        target: dict[str, object] = {}
        for key, cell in cells:
            value, fault = cell.value(record)
            if fault:
                return "", fault
            target[key] = None if value == "" and not cell.place.path else value
        if all(value in (None, "", [], {}) for value in target.values()) and None in target.values():
            return "", f"{NO_TARGET} ({', '.join(cell.place.name for _, cell in cells)})"
        return compact(target), ""

    return read


class _Cell:
    """What stands at a place in each row, as a JSON value."""

    def __init__(self, source: Source, place: Place) -> None:
        self.place = place
        self._is_json = place.column not in source.nested and holds_json(_strings(source, place))

    def value(self, record: Record) -> tuple[object, str]:
        """The value, strings without outer white space, and why there is none."""
        value = value_at(record, self.place)
        if value is MISSING:
            return None, no_value(self.place)
        if self._is_json and isinstance(value, str) and value.strip():
            try:
                value = decode(value)
            except ValueError as error:
                return None, f"the target {self.place.name!r} is {error}"
        return trimmed(value), ""

    def values(self, records: Iterable[Record]) -> Iterable[object]:
        """The values of all rows."""
        return (self.value(record)[0] for record in records)


def _strings(source: Source, place: Place) -> list[str]:
    """The strings there that are not empty."""
    values = (value_at(record, place) for record in source.records)
    return [text for value in values if isinstance(value, str) and (text := value.strip())]
