"""What the generators of customs, production and replies share: rows of values, and the faults that all three have."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import planting
from planting import Dice, Fault, misspell


@dataclass(eq=False)
class Row:
    """One row: its values by column."""

    values: dict[str, Any]

    def changed(self, **values: str) -> "Row":
        """A copy with other values."""
        return Row({**self.values, **values})


@dataclass
class Files:
    """The rows of both files, and the faults in them."""

    rows: list[Row]
    tests: list[Row]
    faults: list[Fault[Row]] = field(default_factory=list)


def untouched(dice: Dice, files: Files, fits: Callable[[Row], bool] = lambda row: True) -> Row:
    """A row that is in no fault yet."""
    used = {id(row) for fault in files.faults for row in fault.rows}
    return dice.pick([row for row in files.rows if id(row) not in used and fits(row)])


def nearly(dice: Dice, text: str, number: int, kept: Sequence[str] = ()) -> tuple[str, str]:
    """What was changed, and almost the same text; `kept` stays as it is."""
    misspelt = misspell(dice, text, kept)
    if number % 3 == 0 and misspelt != text:
        return "typing error", misspelt
    return ("punctuation", f"{text} .") if number % 3 == 1 else ("spacing", text.replace(" ", "  ", 1))


def plant_copies(dice: Dice, files: Files, count: int) -> None:
    """File a row a second time, some rows later."""
    for _ in range(count):
        row = untouched(dice, files)
        copy = row.changed()
        files.rows.insert(dice.number(files.rows.index(row) + 1, len(files.rows)), copy)
        files.faults.append(Fault([row, copy], "duplicate"))


def plant_near_copies(dice: Dice, files: Files, count: int, column: str, kept: Sequence[str] = ()) -> None:
    """File a row a second time, its text written a little differently."""
    for number in range(count):
        row = untouched(dice, files)
        change, text = nearly(dice, row.values[column], number, kept)
        copy = row.changed(**{column: text})
        files.rows.insert(dice.number(files.rows.index(row) + 1, len(files.rows)), copy)
        files.faults.append(Fault([row, copy], "near_duplicate", {"change": change}))


def plant_leaks(dice: Dice, files: Files, count: int, column: str, kept: Sequence[str] = ()) -> None:
    """Put rows that were learned from into the test too, half of them written a little differently."""
    for number in range(count):
        row = untouched(dice, files)
        text = row.values[column]
        change, text = nearly(dice, text, number // 2, kept) if number % 2 else ("none", text)
        twin = row.changed(**{column: text})
        files.tests.insert(dice.number(0, len(files.tests)), twin)
        files.faults.append(Fault([row], "leakage", {"change": change}, twin))


def plant_wrong(
    dice: Dice, files: Files, fault: str, count: int, column: str, wrong: Callable[[Dice, Row], Any | None]
) -> None:
    """Give rows another target; `wrong` gives it, or None where a row does not fit."""
    planted = 0
    while planted < count:
        row = untouched(dice, files)
        target = wrong(dice, row)
        if target is None:
            continue
        files.faults.append(Fault([row], fault, {"right": row.values[column]}))
        row.values[column] = target
        planted += 1


def fresh(make: Callable[[], Row], column: str, count: int, taken: set[str]) -> list[Row]:
    """So many rows whose text is not taken yet, also not by one that differs in case or spaces only."""
    rows: list[Row] = []
    while len(rows) < count:
        row = make()
        plain = "".join(str(row.values[column]).lower().split())
        if plain not in taken:
            taken.add(plain)
            rows.append(row)
    return rows


def number_rows(files: Files, prefix: str) -> None:
    """Give each row an id by its place."""
    for rows, name in ((files.rows, prefix), (files.tests, "test")):
        for number, row in enumerate(rows, start=1):
            row.values = {"id": f"{name}-{number:04d}", **row.values}


def jsonl_text(rows: Sequence[Row]) -> str:
    """The rows, one JSON object a line."""
    return "".join(json.dumps(row.values, ensure_ascii=False) + "\n" for row in rows)


def csv_text(rows: Sequence[Row]) -> str:
    """The rows as CSV, below their columns."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0].values), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.values for row in rows)
    return out.getvalue()


def written(files: Files, name: str, test: str) -> Mapping[str, str]:
    """Both files of rows and the key, by name; the ending says the format."""
    text, first = (csv_text, 2) if name.endswith(".csv") else (jsonl_text, 1)
    said = f"line numbers in the file, the first row is in line {first}; test_row in the test"
    head = {"file": name, "test": test, "rows": said}
    key = planting.key_text(
        head, files.faults, planting.places(files.rows, files.tests, first=first), {"near_duplicate": "copy"}
    )
    return {name: text(files.rows), test: text(files.tests), "planted_faults.json": key}
