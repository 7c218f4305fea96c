"""Write the example invoices: ``invoices.jsonl``, ``documents/*.pdf`` and the key of the faults.

Run ``python examples/invoices/generate.py`` from anywhere; it needs reportlab. The same seed gives the same bytes on
every Python from 3.11 on: all chance comes from ``random.Random(seed).random()`` and plain arithmetic.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import vocabulary as v
from invoice import Habits, Invoice, Item, fields, written_date
from layouts import LAYOUTS, text
from pdf import pdf_bytes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import planting
from planting import Dice

SEED = 20260502
INVOICES = 598
AT_LEAST = 6  # of each supplier
FIRST_DAY = date(2025, 1, 6)
DAYS = 470
LINES = (1, 1, 2, 2, 2, 3, 3, 4)
# A small model reads and writes these: lines that make more of it are drawn again.
LONGEST_TEXT, LONGEST_JSON = 900, 400
WRONG_TOTALS, DUPLICATES = 2, 2


@dataclass(eq=False)
class Row:
    """One row of the file. `received` is the day by which rows are sorted; `as_pdf`: the text stands in a file."""

    received: date
    invoice: Invoice
    text: str
    fields: dict[str, Any] | None
    as_pdf: bool = False
    id: str = ""


@dataclass
class Fault:
    """A planted fault: the rows it is in, what it is, and what the truth is."""

    rows: list[Row]
    fault: str
    detail: dict[str, Any] = field(default_factory=dict)


# --------------------------------------------------------------------------- suppliers


def iban(country: str, account: str) -> str:
    """An IBAN with its check digits (ISO 7064, modulo 97)."""
    digits = "".join(str(int(letter, 36)) for letter in f"{account}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{account}"


def in_fours(number: str) -> str:
    """An IBAN as people read it."""
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))


def habits(dice: Dice, supplier: v.Supplier) -> Habits:
    """What a supplier keeps from one invoice to the next."""
    country = supplier.country
    labels = {name: dice.pick(words) for name, words in v.LABELS[supplier.lang].items()}
    labels.update(v.COUNTRY_LABELS.get(country, {}))
    form = v.ACCOUNT_FORMS.get(country)
    account = iban(country, dice.digits(form)) if form else dice.digits("0000######")
    return Habits(
        labels=labels,
        date_form=dice.pick(v.DATE_FORMS.get(country) or v.DATE_FORMS[supplier.lang]),
        money_form=dice.pick(v.MONEY_FORMS[supplier.currency][supplier.lang]),
        account=in_fours(account) if form and dice.chance(0.7) else account,
        tax_id=dice.digits(v.TAX_ID_FORMS[country]),
    )


# --------------------------------------------------------------------------- invoices


def price(dice: Dice, good: v.Good) -> int:
    """A price in cents; that of an hour is even, so that half an hour has no half cent."""
    whole = dice.number(good.low, good.high)
    if good.hours:
        return whole * 100 + dice.pick((0, 0, 50))
    return whole * 100 + dice.pick((0, 0, 50, 95, 99, dice.number(1, 98)))


def halves(dice: Dice, good: v.Good) -> int:
    """A quantity in halves: dear goods come in ones and twos, hours in halves."""
    if good.hours:
        return dice.number(2, 17)
    most = 1 if good.once else 2 if good.low >= 100 else 5 if good.low >= 25 else 24
    return 2 * dice.number(1, most)


def items(dice: Dice, supplier: v.Supplier, day: date, count: int) -> tuple[Item, ...]:
    """The lines of an invoice: different goods of the supplier's trade."""
    goods = list(v.GOODS[supplier.trade])
    found = []
    for _ in range(count):
        good = goods.pop(dice.number(0, len(goods) - 1))
        month = v.MONTHS[supplier.lang][day.month - 1]
        reference = f"{dice.pick('ABDHKLMPRSTVX')}{dice.pick('ACEFLNRTX')}-{dice.number(101, 989)}"
        name = good.names[supplier.lang].format(month=f"{month} {day.year}", ref=reference)
        found.append(Item(name, halves(dice, good), price(dice, good), good.hours))
    return tuple(found)


def new_invoice(dice: Dice, supplier: v.Supplier, habit: Habits, number: str, day: date) -> Invoice:
    """An invoice that is short enough."""
    count = dice.pick(LINES)
    order = dice.digits(dice.pick(("PO-####", "45#####", "K-###"))) if dice.chance(0.4) else ""
    customer = dice.digits(dice.pick(("10###", "D####", "K-###"))) if dice.chance(0.5) else ""
    while True:
        lines = items(dice, supplier, day, count)
        invoice = Invoice(supplier, habit, number, day, lines, order=order, customer=customer)
        invoice = replace(invoice, note=closing_note(dice, invoice))
        if len(page_text(invoice)) <= LONGEST_TEXT and len(compact(fields(invoice))) <= LONGEST_JSON:
            return invoice


def closing_note(dice: Dice, invoice: Invoice) -> str:
    """One of the language's notes, with another day than the invoice's in it, or none."""
    delivered = invoice.day - timedelta(days=dice.number(2, 9))
    days = {"due": written_date(invoice, invoice.due), "day": written_date(invoice, delivered)}
    return dice.pick(v.NOTES[invoice.supplier.lang]).format_map(days)


def page_text(invoice: Invoice) -> str:
    """The page of an invoice as text."""
    layout = invoice.supplier.layout
    return text(LAYOUTS[layout](invoice), layout)


def compact(value: object) -> str:
    """JSON without white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def counts(dice: Dice) -> list[int]:
    """How many invoices come from each supplier."""
    numbers = [AT_LEAST] * len(v.SUPPLIERS)
    for _ in range(INVOICES - sum(numbers)):
        numbers[dice.number(0, len(numbers) - 1)] += 1
    return numbers


def all_rows(dice: Dice) -> list[Row]:
    """Every supplier's invoices, numbered in order of date; one of each supplier is a PDF file."""
    rows = []
    for supplier, count in zip(v.SUPPLIERS, counts(dice), strict=True):
        habit, last = habits(dice, supplier), dice.number(11, 700)
        days = sorted(dice.number(0, DAYS) for _ in range(count))
        own = []
        for offset in days:
            day, last = FIRST_DAY + timedelta(days=offset), last + dice.number(1, 9)
            number = supplier.number.format(y=day.year, yy=f"{day:%y}", n=last)
            invoice = new_invoice(dice, supplier, habit, number, day)
            own.append(Row(day + timedelta(days=dice.number(1, 6)), invoice, page_text(invoice), fields(invoice)))
        dice.pick(own).as_pdf = True
        rows += own
    return rows


# --------------------------------------------------------------------------- faults


def untouched(dice: Dice, rows: list[Row], faults: list[Fault]) -> Row:
    """A row that is in no fault yet and has its text in the file."""
    used = {id(row) for fault in faults for row in fault.rows}
    while True:
        row = dice.pick(rows)
        if not row.as_pdf and id(row) not in used:
            return row


def plant_duplicates(dice: Dice, rows: list[Row], faults: list[Fault]) -> None:
    """File an invoice a second time some days later."""
    for _ in range(DUPLICATES):
        row = untouched(dice, rows, faults)
        copy = Row(row.received + timedelta(days=dice.number(3, 20)), row.invoice, row.text, row.fields)
        rows.append(copy)
        faults.append(Fault([row, copy], "duplicate"))


def swapped(number: float) -> float:
    """A number with two neighbouring digits typed the wrong way round: the first that differ."""
    digits = f"{number:.2f}"
    for at, (first, second) in enumerate(pairwise(digits)):
        if first != second and first.isdigit() and second.isdigit() and second != "0":
            return float(digits[:at] + second + first + digits[at + 2 :])
    return round(number + 90, 2)


def plant_wrong_totals(dice: Dice, rows: list[Row], faults: list[Fault]) -> None:
    """Type a total wrong: two digits swapped."""
    for _ in range(WRONG_TOTALS):
        row = untouched(dice, rows, faults)
        right = fields(row.invoice)
        wrong = swapped(right["total"])
        row.fields = {**right, "total": wrong}
        faults.append(Fault([row], "wrong_total", {"right": right["total"], "wrong": wrong}))


def plant_gaps(dice: Dice, rows: list[Row], faults: list[Fault]) -> None:
    """Leave one document empty, and one row without fields."""
    empty = untouched(dice, rows, faults)
    empty.text = ""
    faults.append(Fault([empty], "empty_document"))
    bare = untouched(dice, rows, faults)
    faults.append(Fault([bare], "no_fields", {"right": bare.fields}))
    bare.fields = None


# --------------------------------------------------------------------------- output


def build(seed: int) -> tuple[list[Row], list[Fault]]:
    """All rows in order with their ids, and the faults in them."""
    dice, faults = Dice(seed), list[Fault]()
    rows = all_rows(dice)
    plant_duplicates(dice, rows, faults)
    plant_wrong_totals(dice, rows, faults)
    plant_gaps(dice, rows, faults)
    rows.sort(key=lambda row: (row.received, row.invoice.supplier.name, row.invoice.number))
    for number, row in enumerate(rows, start=1):
        row.id = f"invoice-{number:04d}"
    return rows, faults


def pdf_name(row: Row) -> str:
    """Where the row's PDF file stands, beside the file of rows."""
    return f"documents/{row.id}.pdf"


def jsonl_text(rows: list[Row]) -> str:
    """The rows, one JSON object a line."""
    lines = []
    for row in rows:
        document = pdf_name(row) if row.as_pdf else row.text
        value = {"id": row.id, "document": document, "supplier": row.invoice.supplier.name, "fields": row.fields}
        lines.append(json.dumps(value, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def key_text(rows: list[Row], faults: list[Fault]) -> str:
    """The key of the faults."""
    line_of = {id(row): number for number, row in enumerate(rows, start=1)}
    entries = [
        {"rows": sorted(line_of[id(row)] for row in fault.rows), "fault": fault.fault, "detail": fault.detail}
        for fault in faults
    ]
    head = {"file": "invoices.jsonl", "rows": "line numbers in the file, the first line is 1"}
    return planting.key_text(head, entries)


def main() -> None:
    """Write the rows, the key and the documents; documents of an earlier run go."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    arguments = parser.parse_args()
    rows, faults = build(arguments.seed)
    out: Path = arguments.out
    (out / "documents").mkdir(parents=True, exist_ok=True)
    for old in (out / "documents").glob("invoice-*.pdf"):
        old.unlink()
    for row in rows:
        if row.as_pdf:
            page = LAYOUTS[row.invoice.supplier.layout](row.invoice)
            (out / pdf_name(row)).write_bytes(pdf_bytes(page, row.id))
    (out / "invoices.jsonl").write_text(jsonl_text(rows), encoding="utf-8", newline="\n")
    (out / "planted_faults.json").write_text(key_text(rows, faults), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
