"""Write the example of production: ``reports.jsonl``, ``test_reports.jsonl`` and the key of the faults in both.

Run ``python examples/production/generate.py`` from anywhere. The same seed gives the same bytes on every Python from
3.11 on: all chance comes from ``random.Random(seed).random()`` and plain arithmetic.
"""

import copy
import sys
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import vocabulary as v

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import planting
from planting import Dice
from rows import Files, Row, fresh, number_rows, plant_copies, plant_leaks, plant_near_copies, plant_wrong, written

SEED = 20260803
ROWS, TESTS, LEAKS = 480, 120, 20
COPIES = NEAR_COPIES = 12
WRONG_EACH = 8  # reports with scrap and good parts swapped, with a stop that was left out, and with another code of it
FIRST_DAY = date(2026, 1, 5)


def report(dice: Dice, number: int) -> dict[str, Any]:
    """What happened in a shift, by the factory's own names."""
    line = dice.pick(tuple(v.LINES))
    stops = [
        {"Masch": dice.pick(v.LINES[line]), "GrdCode": dice.pick(tuple(v.CAUSES)), "DauerMin": dice.number(1, 18) * 5}
        for _ in range(dice.weighted([(0, 2), (1, 4), (2, 3), (3, 1)]))
    ]
    return {
        "Lnr": line,
        "SchDat": (FIRST_DAY + timedelta(days=number // 3)).isoformat(),
        "SchKz": dice.pick(tuple(v.SHIFTS["de"])),
        "AuftrNr": dice.digits("7#####"),
        "GutTlg": dice.number(180, 2_400),
        "AusschussTlg": 0 if dice.chance(0.15) else int(dice.skewed(1, 90)),
        "Stoer": stops,
        "UebgOffen": dice.chance(0.3),
    }


def told(dice: Dice, fields: Mapping[str, Any], language: str) -> str:
    """A shift leader's report: its sentences in one of several orders, each said in one of several ways."""
    day = date.fromisoformat(fields["SchDat"])
    words = {
        **fields,
        "day": dice.pick(v.DAY_FORMS[language]).format(d=day.day, m=day.month, y=day.year),
        "shift": dice.pick(v.SHIFTS[language][fields["SchKz"]]),
        "good": grouped(dice, fields["GutTlg"], language),
    }
    ways = v.SENTENCES[language]
    scrap = "scrap" if fields["AusschussTlg"] else "no scrap"
    middle = [dice.pick(ways[part]).format(**words) for part in ("order", "good", scrap)]
    stops = [
        dice.pick(ways["stop"]).format(
            machine=stop["Masch"], minutes=stop["DauerMin"], cause=dice.pick(v.CAUSES[stop["GrdCode"]][language])
        )
        for stop in fields["Stoer"]
    ] or [dice.pick(ways["no stop"])]
    if dice.chance(0.4):
        middle = [middle[1], middle[2], middle[0]]
    opening = dice.pick(ways["opening"]).format(**words)
    closing = dice.pick(ways["open" if fields["UebgOffen"] else "done"])
    return dice.pick((" ", "\n")).join([opening, *middle, *stops, closing])


def grouped(dice: Dice, number: int, language: str) -> str:
    """A number, some with the sign that the language puts between thousands."""
    sign = "," if language == "en" else "."
    return f"{number:,}".replace(",", sign) if dice.chance(0.4) else str(number)


def swapped(dice: Dice, row: Row) -> dict[str, Any]:
    """Good parts and scrap under one another's names."""
    fields = row.values["fields"]
    return {**fields, "GutTlg": fields["AusschussTlg"], "AusschussTlg": fields["GutTlg"]}


def left_out(dice: Dice, row: Row) -> dict[str, Any] | None:
    """One stop fewer than the report tells."""
    fields = row.values["fields"]
    return {**fields, "Stoer": fields["Stoer"][:-1]} if fields["Stoer"] else None


def miscoded(dice: Dice, row: Row) -> dict[str, Any] | None:
    """The first stop with the code of another cause."""
    fields = copy.deepcopy(row.values["fields"])
    if not fields["Stoer"]:
        return None
    stop = fields["Stoer"][0]
    stop["GrdCode"] = dice.pick([code for code in v.CAUSES if code != stop["GrdCode"]])
    return fields


def build(seed: int) -> Files:
    """All rows in order with their ids, and the faults in them."""
    dice = Dice(seed)
    count = 0

    def new_row() -> Row:
        nonlocal count
        count += 1
        fields = report(dice, count)
        language = dice.weighted([("de", 5), ("nl", 3), ("en", 2)])
        return Row({"report": told(dice, fields, language), "fields": fields})

    taken: set[str] = set()
    files = Files(fresh(new_row, "report", ROWS, taken), fresh(new_row, "report", TESTS, taken))
    plant_copies(dice, files, COPIES)
    plant_near_copies(dice, files, NEAR_COPIES, "report", v.KEPT)
    plant_wrong(dice, files, "swapped_counts", WRONG_EACH, "fields", swapped)
    plant_wrong(dice, files, "missing_stop", WRONG_EACH, "fields", left_out)
    plant_wrong(dice, files, "wrong_code", WRONG_EACH, "fields", miscoded)
    plant_leaks(dice, files, LEAKS, "report", v.KEPT)
    number_rows(files, "report")
    return files


def make(seed: int, out: Path) -> dict[str, str]:
    """The rows and the key."""
    return dict(written(build(seed), "reports.jsonl", "test_reports.jsonl"))


if __name__ == "__main__":
    planting.write(__doc__, SEED, Path(__file__).resolve().parent, make)
