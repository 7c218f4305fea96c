"""Write the example CVs: ``cvs.jsonl``, ``test_cvs.jsonl``, ``documents/*.docx`` and the key of the faults.

Run ``python examples/cv/generate.py`` from anywhere; it needs python-docx. The same seed gives the same bytes on every
Python from 3.11 on: all chance comes from ``random.Random(seed).random()`` and plain arithmetic.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import vocabulary as v
from cv import (
    LONGEST_BULLET,
    SECTIONS,
    Duty,
    Person,
    Position,
    Start,
    experience_line,
    joined,
    qualification_lines,
    summary,
)
from layouts import LAYOUTS, text
from word import docx_bytes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import planting
from planting import Dice, Fault, misspell

SEED = 20260611
PEOPLE = 398
DOCUMENTS = 40
DUPLICATES = NEAR_DUPLICATES = 15
WRONG_EACH = 8  # summaries without a section, in another order, and with an employer or a figure that the CV has not
TEST_PEOPLE, LEAKS = 60, 30  # of the test file; half of what leaks is there word for word
NOW = (2026, 2)
SHORTEST, LONGEST = 900, 1600  # characters of a CV
COUNTS_OF_POSITIONS = (2, 2, 3, 3, 3, 4)


@dataclass(eq=False)
class Row:
    """One row of the file; `as_docx`: the CV stands in a file."""

    person: Person
    layout: str
    cv: str
    summary: str
    as_docx: bool = False
    id: str = ""


@dataclass
class Files:
    """The rows of both files, and the faults in them."""

    rows: list[Row]
    tests: list[Row] = field(default_factory=list)
    faults: list[Fault[Row]] = field(default_factory=list)


# --------------------------------------------------------------------------- people


def filled(dice: Dice, words: str) -> str:
    """A duty with a number for each range."""
    return re.sub(r"\{(\d+)-(\d+)\}", lambda found: str(dice.number(int(found[1]), int(found[2]))), words)


def position(dice: Dice, role: str, duty: str, employer: str, months: tuple[int, int | None]) -> Position:
    """One job; `months` are counted from the year 0."""
    verb, _, rest = filled(dice, duty).partition(" ")
    done = Duty(verb, rest)
    start, end = months
    told = dice.pick(v.CURRENT_DUTIES if end is None else v.PAST_DUTIES)
    words = {"past": done.past, "base": done.base, "gerund": done.gerund}
    capitals = {name.capitalize(): form[0].upper() + form[1:] for name, form in words.items()}
    return Position(
        role=role,
        employer=employer,
        town=dice.pick(v.TOWNS),
        start=(start // 12, start % 12 + 1),
        end=None if end is None else (end // 12, end % 12 + 1),
        duty=done,
        told=told.format(**words, **capitals),
        other=dice.pick(v.OTHER_DUTIES) if dice.chance(0.6) else "",
    )


def career(dice: Dice, profession: v.Profession) -> tuple[Position, ...]:
    """Jobs from the newest to the oldest, each longer than a year; four people in five have one now."""
    count = dice.pick(COUNTS_OF_POSITIONS)
    first_role = dice.number(0, len(profession.roles) - count)
    roles = profession.roles[first_role : first_role + count]
    duties = dice.some(profession.duties, count)
    names = dice.some(v.EMPLOYERS, 2 * count)
    end: int | None = None
    until = NOW[0] * 12 + NOW[1] - 1
    if dice.chance(0.2):
        end = until = until - dice.number(2, 7)
    found = []
    for number in range(count):
        start = until - dice.number(14, 80)
        trade = dice.pick(profession.trades)
        pair = names[2 * number : 2 * number + 2]
        employer = f"{pair[0]} & {pair[1]}" if dice.chance(0.25) else f"{pair[0]} {trade}"
        found.append(position(dice, roles[count - 1 - number], duties[number], employer, (start, end)))
        end = until = start - dice.number(0, 3)
    return tuple(found)


def first_day(dice: Dice) -> date:
    """A day on which work can begin: the first or the middle of one of the next months."""
    month = NOW[1] + dice.number(1, 8)
    return date(NOW[0], month, dice.pick((1, 1, 15)))


def start(dice: Dice, employed: bool) -> Start:
    """When work can begin: without a job at once or from a day, else from a day or after a notice period."""
    hours, day, notice = dice.pick(v.HOURS), None, ""
    if dice.chance(0.45):
        day, phrase = first_day(dice), dice.pick(v.FROM_DAY)
    elif employed:
        notice, phrase = dice.pick(v.NOTICE_PERIODS), dice.pick(v.AFTER_NOTICE)
    else:
        phrase = dice.pick(v.AT_ONCE)
    written = f"{day.day} {v.MONTHS[day.month - 1]} {day.year}" if day else notice
    if day and dice.chance(0.3):
        written = f"{day:%d.%m.%Y}"
    told = phrase.format(when=written, hours=hours)
    return Start(hours, day, notice, told[0].upper() + told[1:])


def languages(dice: Dice) -> tuple[tuple[str, str], ...]:
    """English and up to three more with their levels; a third of the CVs name none."""
    if dice.chance(0.33):
        return ()
    others = dice.some(v.LANGUAGES, dice.number(1, 3))
    levels = (*v.GOOD_LEVELS, "basic", "basic")
    return (("English", "native"), *((name, dice.pick(levels)) for name in others))


def new_person(dice: Dice) -> Person:
    """One person; whatever the summary says is short enough."""
    profession = dice.pick(v.PROFESSIONS)
    while True:
        positions = career(dice, profession)
        graduated = positions[-1].start[0] - dice.number(0, 1)
        person = Person(
            name=f"{dice.pick(v.FIRST_NAMES)} {dice.pick(v.LAST_NAMES)}",
            street=f"{dice.number(1, 120)} {dice.pick(v.STREETS)}",
            town=dice.pick(v.TOWNS),
            phone=f"01632 960{dice.number(0, 999):03d}",
            born=date(graduated - dice.number(21, 25), dice.number(1, 12), dice.number(1, 28)),
            status=dice.pick(v.MARITAL_STATUS),
            nationality=dice.pick(v.NATIONALITIES),
            profile=dice.some(v.PROFILES, 2),
            degree=dice.pick(profession.degrees),
            school=dice.pick(v.SCHOOLS),
            graduated=graduated,
            secondary_school=dice.pick(v.SECONDARY_SCHOOLS),
            certificates=dice.some(profession.certificates, dice.pick((0, 1, 2, 2, 3))),
            skills=dice.some(profession.skills, dice.number(4, 7)),
            languages=languages(dice),
            hobbies=dice.some(v.HOBBIES, dice.number(2, 3)),
            positions=positions,
            start=start(dice, employed=positions[0].end is None),
        )
        lines = [*qualification_lines(person), *map(experience_line, person.positions)]
        if all(len(words.split()) <= LONGEST_BULLET for words in lines):
            return person


def new_row(dice: Dice) -> Row:
    """A CV of the right length with its summary."""
    while True:
        person, layout = new_person(dice), dice.pick(tuple(LAYOUTS))
        words = text(LAYOUTS[layout](person))
        if SHORTEST <= len(words) <= LONGEST:
            return Row(person, layout, words, summary(person))


# --------------------------------------------------------------------------- faults


def untouched(dice: Dice, files: Files) -> Row:
    """A row that is in no fault yet and has its CV in the file."""
    used = {id(row) for fault in files.faults for row in fault.rows}
    while True:
        row = dice.pick(files.rows)
        if not row.as_docx and id(row) not in used:
            return row


def plant_duplicates(dice: Dice, files: Files) -> None:
    """File a CV a second time, some rows later."""
    for _ in range(DUPLICATES):
        row = untouched(dice, files)
        copy = replace(row)
        files.rows.insert(dice.number(files.rows.index(row) + 1, len(files.rows)), copy)
        files.faults.append(Fault([row, copy], "duplicate"))


def nearly(dice: Dice, row: Row, number: int) -> tuple[str, str]:
    """What was changed, and almost the same CV, which has the same summary."""
    if number % 3 == 0:
        return "line breaks", row.cv.replace("\n", "\n\n")
    if number % 3 == 1:
        return "heading", f"CV\n{row.cv}"
    lines = row.cv.split("\n")
    misspelt = [misspell(dice, line, [row.summary, row.person.name]) for line in lines]
    at = dice.pick([i for i, line in enumerate(lines) if misspelt[i] != line])
    return "typing error", "\n".join([*lines[:at], misspelt[at], *lines[at + 1 :]])


def plant_near_duplicates(dice: Dice, files: Files) -> None:
    """File a CV a second time, written a little differently."""
    for number in range(NEAR_DUPLICATES):
        row = untouched(dice, files)
        change, words = nearly(dice, row, number)
        copy = replace(row, cv=words)
        files.rows.insert(dice.number(files.rows.index(row) + 1, len(files.rows)), copy)
        files.faults.append(Fault([row, copy], "near_duplicate", {"change": change}))


def plant_sections(dice: Dice, files: Files, fault: str, sections: Sequence[str]) -> None:
    """Give summaries other sections, or another order of them."""
    for _ in range(WRONG_EACH):
        row = untouched(dice, files)
        files.faults.append(Fault([row], fault, {"right": row.summary}))
        bodies = dict(part.split("\n", 1) for part in row.summary.split("\n\n"))
        row.summary = joined({heading: bodies[heading] for heading in sections})


def plant_invented_employers(dice: Dice, files: Files) -> None:
    """Name an employer in a summary that the CV does not know."""
    for _ in range(WRONG_EACH):
        row = untouched(dice, files)
        right = row.person.positions[1].employer
        strangers = [name for name in v.EMPLOYERS if name not in row.cv]
        wrong = f"{dice.pick(strangers)} {right.split()[-1] if '&' not in right else 'Group'}"
        row.summary = row.summary.replace(right, wrong)
        files.faults.append(Fault([row], "invented_employer", {"right": right, "wrong": wrong}))


def plant_invented_figures(dice: Dice, files: Files) -> None:
    """Write a figure into a summary that the CV does not have: of what somebody did in the newest job."""
    planted = 0
    while planted < WRONG_EACH:
        row = untouched(dice, files)
        right = row.person.positions[0].duty.third if row.person.positions[0].end is None else ""
        figure = re.search(r"\b\d+\b", right)
        if not figure or right not in row.summary:
            continue
        number = str(int(figure[0]) + dice.number(30, 900))
        wrong = right.replace(figure[0], number, 1)
        if number in row.cv:
            continue
        row.summary = row.summary.replace(right, wrong)
        files.faults.append(Fault([row], "invented_figure", {"right": right, "wrong": wrong}))
        planted += 1


def plant_leaks(dice: Dice, files: Files) -> None:
    """File CVs that were learned from in the test too, half of them written a little differently."""
    for number in range(LEAKS):
        row = untouched(dice, files)
        change, words = nearly(dice, row, number // 2) if number % 2 else ("none", row.cv)
        twin = replace(row, cv=words)
        files.tests.insert(dice.number(0, len(files.tests)), twin)
        files.faults.append(Fault([row], "leakage", {"change": change}, twin))


# --------------------------------------------------------------------------- output


def build(seed: int) -> Files:
    """All rows in order with their ids, and the faults in them."""
    dice = Dice(seed)
    files = Files([new_row(dice) for _ in range(PEOPLE)])
    for row in dice.some(files.rows, DOCUMENTS):
        row.as_docx = True
    plant_duplicates(dice, files)
    plant_near_duplicates(dice, files)
    qualifications, experience, availability = SECTIONS
    plant_sections(dice, files, "missing_section", (qualifications, experience))
    plant_sections(dice, files, "swapped_sections", (experience, qualifications, availability))
    plant_invented_employers(dice, files)
    plant_invented_figures(dice, files)
    files.tests += [new_row(dice) for _ in range(TEST_PEOPLE)]
    plant_leaks(dice, files)
    for rows, name in ((files.rows, "cv"), (files.tests, "test")):
        for number, row in enumerate(rows, start=1):
            row.id = f"{name}-{number:03d}"
    return files


def docx_name(row: Row) -> str:
    """Where the row's document stands, beside the file of rows."""
    return f"documents/{row.id}.docx"


def jsonl_text(rows: list[Row]) -> str:
    """The rows, one JSON object a line."""
    values = [{"id": row.id, "cv": docx_name(row) if row.as_docx else row.cv, "summary": row.summary} for row in rows]
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def key_text(files: Files) -> str:
    """The key of the faults."""
    head = {
        "file": "cvs.jsonl",
        "test": "test_cvs.jsonl",
        "rows": "line numbers in the file, the first line is 1; test_row in the test",
    }
    return planting.key_text(head, files.faults, planting.places(files.rows, files.tests), {"near_duplicate": "copy"})


def make(seed: int, out: Path) -> dict[str, str]:
    """The rows and the key; the documents are written, and those of an earlier run go."""
    files = build(seed)
    (out / "documents").mkdir(exist_ok=True)
    for old in (out / "documents").glob("cv-*.docx"):
        old.unlink()
    for row in files.rows:
        if row.as_docx:
            (out / docx_name(row)).write_bytes(docx_bytes(LAYOUTS[row.layout](row.person), row.id))
    return {
        "cvs.jsonl": jsonl_text(files.rows),
        "test_cvs.jsonl": jsonl_text(files.tests),
        "planted_faults.json": key_text(files),
    }


if __name__ == "__main__":
    planting.write(__doc__, SEED, Path(__file__).resolve().parent, make)
