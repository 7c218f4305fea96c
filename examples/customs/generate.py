"""Write the example of customs: ``goods.csv``, ``test_goods.csv``, ``documents/*.txt`` and the key of the faults.

Run ``python examples/customs/generate.py`` from anywhere. The same seed gives the same bytes on every Python from 3.11
on: all chance comes from ``random.Random(seed).random()`` and plain arithmetic.
"""

import sys
from pathlib import Path

import vocabulary as v

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import planting
from planting import Dice
from rows import Files, Row, fresh, plant_copies, plant_leaks, plant_near_copies, plant_wrong, written

SEED = 20260714
ROWS, TESTS, LEAKS = 1_200, 240, 30
VAGUE_SHARE = 0.12
COPIES = NEAR_COPIES = 15
WRONG_CODES, GUESSED = 24, 12
UNSURE = "abstain"


class Desk:
    """Makes lines of shipments, one after another."""

    def __init__(self, dice: Dice, first: int) -> None:
        """Begin with a number of shipment; those of another desk are to be others."""
        self._dice, self._number, self._left, self._language = dice, first, 0, ""

    def line(self) -> Row:
        """The next line: of the same shipment, or the first of another one."""
        dice = self._dice
        if not self._left:
            self._number += 1
            self._left = dice.weighted([(1, 5), (2, 3), (3, 2)])
            self._language = dice.weighted([("nl", 4), ("de", 3), ("en", 3)])
            self._shipper = dice.pick(v.SHIPPERS[self._language])
        self._left -= 1
        vague = dice.chance(VAGUE_SHARE)
        code = dice.pick(v.CODES)
        words = dice.pick(v.VAGUE[self._language]) if vague else dice.pick(code.said[self._language])
        return Row(
            {
                "shipment": f"S{self._number}",
                "shipper": self._shipper,
                "description": around(dice, words, self._language),
                "weight_kg": f"{dice.skewed(1, 900):.1f}",
                "hs_code": UNSURE if vague else code.code,
            }
        )


def around(dice: Dice, words: str, language: str) -> str:
    """A description as a clerk types it: with a number of pieces or an article number, in capitals, misspelt."""
    if dice.chance(0.3):
        words = f"{dice.pick(v.BEFORE[language])} {words}"
    if dice.chance(0.6):
        count = f"{dice.number(2, 480)} {dice.pick(v.PIECES[language])}"
        words = f"{count} {words}" if dice.chance(0.5) else f"{words}, {count}"
    if dice.chance(0.4):
        words = f"{words} {dice.digits(dice.pick(('art. ####', '#####-#', 'ref ###/##')))}"
    if dice.chance(0.08):
        words = planting.misspell(dice, words)
    return words.upper() if dice.chance(0.15) else words


def neighbour(dice: Dice, row: Row) -> str | None:
    """Another code of the same chapter."""
    right = row.values["hs_code"]
    if right == UNSURE:
        return None
    return dice.pick([code.code for code in v.CODES if code.code[:2] == right[:2] and code.code != right])


def guess(dice: Dice, row: Row) -> str | None:
    """A code for what is too vague for one."""
    return dice.pick(v.CODES).code if row.values["hs_code"] == UNSURE else None


def build(seed: int) -> Files:
    """All rows in order, and the faults in them."""
    dice = Dice(seed)
    taken: set[str] = set()
    rows = fresh(Desk(dice, 40_000).line, "description", ROWS, taken)
    files = Files(rows, fresh(Desk(dice, 90_000).line, "description", TESTS, taken))
    plant_copies(dice, files, COPIES)
    plant_near_copies(dice, files, NEAR_COPIES, "description")
    plant_wrong(dice, files, "wrong_label", WRONG_CODES, "hs_code", neighbour)
    plant_wrong(dice, files, "guessed", GUESSED, "hs_code", guess)
    plant_leaks(dice, files, LEAKS, "description")
    return files


def note(chapter: str) -> str:
    """The office's note on a chapter: what each code covers, and words that stand for it."""
    parts = [
        f"{code.code[:4]}.{code.code[4:]} {code.title}.\nAlso written as: "
        f"{'; '.join(way for ways in code.said.values() for way in ways)}."
        for code in v.CODES
        if code.code.startswith(chapter)
    ]
    head = f"Tariff note of the office, chapter {chapter}: {v.CHAPTERS[chapter]}"
    last = (
        f"Where a description leaves open which of these it is (the material, the use, the kind), the line is not\n"
        f"coded: the answer is {UNSURE}, and somebody asks the shipper."
    )
    return "\n\n".join([head, *parts, last]) + "\n"


def make(seed: int, out: Path) -> dict[str, str]:
    """The rows and the key; the notes are written to their folder."""
    (out / "documents").mkdir(exist_ok=True)
    for chapter in v.CHAPTERS:
        (out / "documents" / f"chapter-{chapter}.txt").write_text(note(chapter), encoding="utf-8", newline="\n")
    return dict(written(build(seed), "goods.csv", "test_goods.csv"))


if __name__ == "__main__":
    planting.write(__doc__, SEED, Path(__file__).resolve().parent, make)
