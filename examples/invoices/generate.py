"""Write the example invoices: ``invoices.jsonl``, ``test_invoices.jsonl``, ``documents/*.pdf`` and the key of faults.

Run ``python examples/invoices/generate.py`` from anywhere; it needs reportlab. The same seed gives the same bytes on
every Python from 3.11 on: all chance comes from ``random.Random(seed).random()`` and plain arithmetic.
"""

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
from planting import Dice, Fault, misspell

SEED = 20260502
INVOICES = 598
AT_LEAST = 6  # of each supplier
FIRST_DAY = date(2025, 1, 6)
DAYS = 470
LINES = (1, 1, 2, 2, 2, 3, 3, 4)
# A small model reads and writes these: lines that make more of it are drawn again.
LONGEST_TEXT, LONGEST_JSON = 900, 400
DUPLICATES = NEAR_DUPLICATES = CONTRADICTIONS = 15
WRONG_EACH = 8  # totals, days, numbers, suppliers and lines that are typed wrong
WRONG = {
    "wrong_total": "total",
    "wrong_date": "date",
    "wrong_number": "invoice_number",
    "wrong_supplier": "supplier",
    "missing_line": "items",
}
EMPTY, BARE = 4, 4
# The test file: days after those of the others, an invoice of each supplier, and ones that leak, half of them exactly.
TEST_DAYS, LEAKS = 60, 30
# What a second copy has stamped on it.
STAMPS = {"en": "COPY", "de": "KOPIE", "nl": "KOPIE", "fr": "COPIE"}


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
class Books:
    """The rows of both files, the faults in them, and the suppliers with their habits and last numbers."""

    suppliers: list[tuple[v.Supplier, Habits, int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    tests: list[Row] = field(default_factory=list)
    faults: list[Fault[Row]] = field(default_factory=list)


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


def new_row(dice: Dice, supplier: v.Supplier, habit: Habits, counter: int, day: date) -> Row:
    """An invoice that came in some days after its own."""
    number = supplier.number.format(y=day.year, yy=f"{day:%y}", n=counter)
    invoice = new_invoice(dice, supplier, habit, number, day)
    return Row(day + timedelta(days=dice.number(1, 6)), invoice, page_text(invoice), fields(invoice))


def add_rows(dice: Dice, books: Books) -> None:
    """Every supplier's invoices, numbered in order of date; one of each supplier is a PDF file."""
    for supplier, count in zip(v.SUPPLIERS, counts(dice), strict=True):
        habit, last = habits(dice, supplier), dice.number(11, 700)
        days = sorted(dice.number(0, DAYS) for _ in range(count))
        own = []
        for offset in days:
            last += dice.number(1, 9)
            own.append(new_row(dice, supplier, habit, last, FIRST_DAY + timedelta(days=offset)))
        dice.pick(own).as_pdf = True
        books.rows += own
        books.suppliers.append((supplier, habit, last))


def add_tests(dice: Dice, books: Books) -> None:
    """An invoice of each supplier from the days after those of the others."""
    for supplier, habit, last in books.suppliers:
        day = FIRST_DAY + timedelta(days=DAYS + dice.number(7, TEST_DAYS))
        books.tests.append(new_row(dice, supplier, habit, last + dice.number(1, 9), day))


# --------------------------------------------------------------------------- faults


def untouched(dice: Dice, books: Books) -> Row:
    """A row that is in no fault yet and has its text in the file."""
    used = {id(row) for fault in books.faults for row in fault.rows}
    while True:
        row = dice.pick(books.rows)
        if not row.as_pdf and id(row) not in used:
            return row


def filed_again(dice: Dice, row: Row) -> Row:
    """The same invoice some days later."""
    return replace(row, received=row.received + timedelta(days=dice.number(3, 20)))


def plant_duplicates(dice: Dice, books: Books) -> None:
    """File an invoice a second time."""
    for _ in range(DUPLICATES):
        row = untouched(dice, books)
        copy = filed_again(dice, row)
        books.rows.append(copy)
        books.faults.append(Fault([row, copy], "duplicate"))


def values_of(row: Row) -> list[str]:
    """The words that the fields take from the page as they stand there."""
    told = fields(row.invoice)
    return [told["supplier"], told["invoice_number"], *(item["description"] for item in told["items"])]


def nearly(dice: Dice, row: Row, number: int) -> tuple[str, str]:
    """What was changed, and almost the same page, which has the same fields."""
    if number % 3 == 0:
        return "stamp", f"{STAMPS[row.invoice.supplier.lang]}\n{row.text}"
    if number % 3 == 1:
        return "line breaks", row.text.replace("\n", "\n\n")
    lines = row.text.split("\n")
    kept = values_of(row)
    misspelt = [misspell(dice, line, kept) for line in lines]
    at = dice.pick([i for i, line in enumerate(lines) if misspelt[i] != line])
    return "typing error", "\n".join([*lines[:at], misspelt[at], *lines[at + 1 :]])


def plant_near_duplicates(dice: Dice, books: Books) -> None:
    """File an invoice a second time, read a little differently."""
    for number in range(NEAR_DUPLICATES):
        row = untouched(dice, books)
        change, words = nearly(dice, row, number)
        copy = replace(filed_again(dice, row), text=words)
        books.rows.append(copy)
        books.faults.append(Fault([row, copy], "near_duplicate", {"change": change}))


def plant_contradictions(dice: Dice, books: Books) -> None:
    """File an invoice a second time and type another day of the page than the invoice's, where it has one."""
    planted = 0
    while planted < CONTRADICTIONS:
        row = untouched(dice, books)
        if written_date(row.invoice, row.invoice.due) not in row.text:
            continue
        right = fields(row.invoice)
        copy = replace(filed_again(dice, row), fields={**right, "date": row.invoice.due.isoformat()})
        books.rows.append(copy)
        books.faults.append(Fault([row, copy], "contradiction", {"field": "date", "right": right["date"]}))
        planted += 1


def swapped(number: float) -> float:
    """A number with two neighbouring digits typed the wrong way round: the first that differ, if there are any."""
    digits = f"{number:.2f}"
    for at, (first, second) in enumerate(pairwise(digits)):
        if first != second and first.isdigit() and second.isdigit() and second != "0":
            return float(digits[:at] + second + first + digits[at + 2 :])
    return number


def slipped(dice: Dice, number: str) -> str:
    """A number with a digit typed wrong: one of its last."""
    places = [at for at, sign in enumerate(number) if sign.isdigit()][-3:]
    at = dice.pick(places)
    return number[:at] + str((int(number[at]) + dice.number(1, 9)) % 10) + number[at + 1 :]


def typed_wrong(dice: Dice, row: Row, field_name: str) -> object:
    """What a tired clerk writes into a field; the page does not say so."""
    right = fields(row.invoice)[field_name]
    if field_name == "total":
        return swapped(right)
    if field_name == "date":
        return (row.invoice.day + timedelta(days=dice.pick((-365, 365, 100, -100)))).isoformat()
    if field_name == "invoice_number":
        return slipped(dice, right)
    if field_name == "supplier":
        return dice.pick([one.name for one in v.SUPPLIERS if one.name not in row.text])
    return right[:-1]


def plant_wrong_values(dice: Dice, books: Books, fault: str, field_name: str) -> None:
    """Type a field wrong; of the lines leave out the last of several."""
    planted = 0
    while planted < WRONG_EACH:
        row = untouched(dice, books)
        right, wrong = fields(row.invoice), typed_wrong(dice, row, field_name)
        if wrong and wrong != right[field_name] and str(wrong) not in row.text:
            row.fields = {**right, field_name: wrong}
            books.faults.append(Fault([row], fault, {"field": field_name, "right": right[field_name], "wrong": wrong}))
            planted += 1


def plant_gaps(dice: Dice, books: Books) -> None:
    """Leave some documents empty, and some rows without fields."""
    for _ in range(EMPTY):
        empty = untouched(dice, books)
        empty.text = ""
        books.faults.append(Fault([empty], "empty_document"))
    for _ in range(BARE):
        bare = untouched(dice, books)
        books.faults.append(Fault([bare], "no_fields", {"right": bare.fields}))
        bare.fields = None


def plant_leaks(dice: Dice, books: Books) -> None:
    """File invoices that were learned from in the test too, half of them read a little differently."""
    for number in range(LEAKS):
        row = untouched(dice, books)
        change, words = nearly(dice, row, number // 2) if number % 2 else ("none", row.text)
        twin = replace(row, text=words, received=FIRST_DAY + timedelta(days=DAYS + dice.number(7, TEST_DAYS)))
        books.tests.append(twin)
        books.faults.append(Fault([row], "leakage", {"change": change}, twin))


# --------------------------------------------------------------------------- output


def build(seed: int) -> Books:
    """All rows in order with their ids, and the faults in them."""
    dice, books = Dice(seed), Books()
    add_rows(dice, books)
    plant_duplicates(dice, books)
    plant_near_duplicates(dice, books)
    plant_contradictions(dice, books)
    for fault, field_name in WRONG.items():
        plant_wrong_values(dice, books, fault, field_name)
    plant_gaps(dice, books)
    add_tests(dice, books)
    plant_leaks(dice, books)
    for rows, name in ((books.rows, "invoice"), (books.tests, "test")):
        rows.sort(key=lambda row: (row.received, row.invoice.supplier.name, row.invoice.number))
        for number, row in enumerate(rows, start=1):
            row.id = f"{name}-{number:04d}"
    return books


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


def key_text(books: Books) -> str:
    """The key of the faults."""
    head = {
        "file": "invoices.jsonl",
        "test": "test_invoices.jsonl",
        "rows": "line numbers in the file, the first line is 1; test_row in the test",
    }
    return planting.key_text(
        head, books.faults, planting.places(books.rows, books.tests), {"contradiction": "wrong_row"}
    )


def make(seed: int, out: Path) -> dict[str, str]:
    """The rows and the key; the documents are written, and those of an earlier run go."""
    books = build(seed)
    (out / "documents").mkdir(exist_ok=True)
    for old in (out / "documents").glob("invoice-*.pdf"):
        old.unlink()
    for row in books.rows:
        if row.as_pdf:
            page = LAYOUTS[row.invoice.supplier.layout](row.invoice)
            (out / pdf_name(row)).write_bytes(pdf_bytes(page, row.id))
    return {
        "invoices.jsonl": jsonl_text(books.rows),
        "test_invoices.jsonl": jsonl_text(books.tests),
        "planted_faults.json": key_text(books),
    }


if __name__ == "__main__":
    planting.write(__doc__, SEED, Path(__file__).resolve().parent, make)
