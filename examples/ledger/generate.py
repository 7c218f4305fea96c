"""Write the example ledger: ``invoice_lines.csv``, ``test_lines.csv`` and the key of the faults in both.

Run ``python examples/ledger/generate.py`` from anywhere. The same seed gives the same bytes on every
Python from 3.11 on: all chance comes from ``random.Random(seed).random()`` and plain arithmetic.
"""

import csv
import io
import sys
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import vocabulary as v

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import planting
from planting import Dice, Fault, misspell

SEED = 20260417
INVOICES = 546
FIRST_DAY = date(2025, 1, 2)
DAYS = 480
COLUMNS = ("invoice_no", "invoice_date", "supplier", "description", "amount", "account")
LINES_PER_INVOICE = (1, 1, 1, 2, 2, 2, 3, 3, 4)
FAULT_COUNTS = {"exact_duplicate": 15, "near_duplicate": 16, "contradiction": 16, "wrong_label": 24}
# The test file: days after those of the others, lines of its own, and lines that leak, half of them word for word.
TEST_DAYS, TEST_LINES, LEAKS = 90, 120, 30
PERSONAL_KINDS = (
    "iban",
    "iban",
    "iban",
    "iban",
    "email",
    "email",
    "email",
    "phone",
    "phone",
    "phone",
    "bsn",
    "bsn",
)


@dataclass(eq=False)
class Line:
    """One line of an invoice; ``account`` is what the CSV says."""

    description: str
    cents: int
    account: str


@dataclass(eq=False)
class Invoice:
    """An invoice with its lines; the number is given at the end, in order of date."""

    supplier: v.Supplier
    name: str
    day: date
    lines: list[Line] = field(default_factory=list)
    number: str = ""


@dataclass
class Ledger:
    """All invoices, those of the test file, the faults planted so far, and what lines exist already."""

    invoices: list[Invoice] = field(default_factory=list)
    tests: list[Invoice] = field(default_factory=list)
    faults: list[Fault[Line]] = field(default_factory=list)
    seen: set[tuple[str, str, int]] = field(default_factory=set)


# --------------------------------------------------------------------------- wording


def period(dice: Dice, lang: str, day: date) -> str:
    """A period as invoices write it: a month, a quarter, a range of months or a range of days."""
    months = v.MONTHS[lang]
    month, quarter = months[day.month - 1], (day.month - 1) // 3
    quarter_words = {"nl": f"{quarter + 1}e kw. {day.year}", "de": f"{quarter + 1}. Quartal {day.year}"}
    return dice.pick(
        (
            f"{month} {day.year}",
            f"{month} {day.year}",
            f"{day.month:02d}-{day.year}",
            f"{month} '{day.year % 100}",
            f"Q{quarter + 1} {day.year}",
            quarter_words.get(lang, f"quarter {quarter + 1} {day.year}"),
            f"{months[quarter * 3]}-{months[quarter * 3 + 2]} {day.year}",
            f"01.{day.month:02d}.-28.{day.month:02d}.{day.year}",
            month,
        )
    )


def words_of(words: v.Words, lang: str) -> tuple[str, ...]:
    """The wordings in one language."""
    return {"nl": words.nl, "de": words.de, "en": words.en}[lang]


def fill(dice: Dice, template: str, invoice: Invoice, place: str, quantity: int = 0) -> str:
    """Fill the slots of a template."""
    lang, day = invoice.supplier.lang, invoice.day
    slots = {name: dice.pick(words_of(words, lang)) for name, words in sorted(v.SLOTS.items())}
    slots["part"] = dice.pick(words_of(v.PARTS[invoice.supplier.trade], lang))
    slots["bit"] = dice.pick(words_of(v.BITS[invoice.supplier.trade], lang))
    slots["obj"] = place
    slots["period"] = period(dice, lang, day)
    slots["year"] = str(day.year)
    slots["week"] = str(day.isocalendar()[1])
    slots["qty"] = str(quantity or dice.number(2, 8))
    slots["ref"] = f"{day.year}-{dice.number(101, 989)}"
    slots["art"] = str(dice.number(10240, 98770))
    return template.format_map(slots)


def decorate(dice: Dice, text: str, template: str, invoice: Invoice, place: str) -> str:
    """Add what invoices add: an object, a period, a reference, or nothing."""
    if "{obj}" not in template and dice.chance(0.3):
        text = dice.pick((f"{text} {place}", f"{place}: {text}", f"{text} ({place})", f"{text}, {place}"))
    if "{period}" not in template and "{year}" not in template and dice.chance(0.12):
        text = f"{text} {period(dice, invoice.supplier.lang, invoice.day)}"
    if dice.chance(0.1):
        text = f"{text} {dice.pick(v.REFERENCES[invoice.supplier.lang])}{dice.number(2100, 9890)}"
    return text


def abbreviate(dice: Dice, text: str, lang: str) -> str:
    """Shorten some words; those with a capital in the table only where a word begins."""
    for long, short in v.ABBREVIATIONS[lang]:
        start = text.lower().find(long.lower())
        end = start + len(long)
        inside_word = start > 0 and text[start - 1].isalpha()
        fits = start >= 0 and not (inside_word and long[0].isupper()) and text[end : end + 1] != "s"
        if fits and dice.chance(0.35):
            text = text[:start] + short + text[end:]
    return text


def restyle(dice: Dice, text: str, lang: str) -> str:
    """Change the case of a line, or write German without umlauts."""
    if lang == "de" and dice.chance(0.15):
        for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("Ü", "Ue"), ("Ä", "Ae")):
            text = text.replace(umlaut, plain)
    style = dice.weighted((("as is", 66), ("lower", 26), ("upper", 8)))
    return {"as is": text, "lower": text.lower(), "upper": text.upper()}[style]


def mark(dice: Dice, text: str, marks: v.Words, lang: str, place: str) -> str:
    """Put a note such as 'doorbelasten' before or behind a line; a quarter of the foreign ones in Dutch."""
    note = dice.pick(words_of(marks, "nl" if dice.chance(0.25) else lang)).format_map({"obj": place})
    return dice.pick((f"{text} - {note}", f"{text} ({note})", f"{note}: {text}", f"{text} {note}", f"{text}, {note}"))


# --------------------------------------------------------------------------- lines


def price(dice: Dice, low: int, high: int, style: str) -> int:
    """An amount in cents in the style of its kind."""
    amount = dice.skewed(low, high)
    if style == "round":
        return max(5, int(amount / 5) * 5) * 100
    if style == "retail":
        return int(amount) * 100 + dice.pick((95, 99, 49, 50, 0, 25))
    return int(amount * 4) * 25 if dice.chance(0.3) else int(amount * 100)


def by_amount(cents: int) -> str:
    """The 450 euro rule for durable goods."""
    return v.FIXED if abs(cents) > v.CAPITAL_LIMIT * 100 else v.SMALL


def goods_line(dice: Dice, kind: str, invoice: Invoice, place: str) -> tuple[str, str, int, str]:
    """Template, text, cents and account of a line with durable goods."""
    lang = invoice.supplier.lang
    item = dice.pick(v.GOODS[kind])
    template = dice.pick(words_of(v.GOODS_TEMPLATES, lang))
    quantity = dice.number(2, 4) if "{qty}" in template else 1
    cents = price(dice, item.low, item.high, dice.pick(("retail", "cents"))) * quantity
    name = {"nl": item.nl, "de": item.de, "en": item.en}[lang]
    text = fill(dice, template.replace("{item}", name), invoice, place, quantity)
    return template, text, cents, by_amount(cents)


def plain_line(dice: Dice, kind: str, invoice: Invoice, place: str) -> tuple[str, str, int, str]:
    """Template, text, cents and account of any other line."""
    if kind == "vague":
        words, low, high, style, account = v.VAGUE, 60, 1400, "cents", invoice.supplier.usual
    else:
        account, low, high, style, words = v.KINDS[kind]
    template = dice.pick(words_of(words, invoice.supplier.lang))
    text = fill(dice, template, invoice, place)
    return template, text, price(dice, low, high, style), account


def new_line(dice: Dice, invoice: Invoice, place: str) -> Line:
    """One line of an invoice: a kind, a wording, then notes, abbreviations, style and typing errors."""
    lang = invoice.supplier.lang
    kind = dice.weighted(sorted(invoice.supplier.kinds.items()))
    make = goods_line if kind in v.GOODS else plain_line
    template, text, cents, account = make(dice, kind, invoice, place)
    text = abbreviate(dice, decorate(dice, text, template, invoice, place), lang)
    if kind in v.RECHARGEABLE and dice.chance(0.1):
        text, account = mark(dice, text, v.RECHARGE_MARKS, lang, place), v.RECHARGE
    elif kind in v.RECHARGEABLE and dice.chance(0.02):
        text = mark(dice, text, v.NO_RECHARGE_MARKS, lang, place)
    if dice.chance(0.015):
        text, cents = f"{dice.pick(words_of(v.CREDIT_MARKS, lang))} {text}", -cents
    text = restyle(dice, text, lang)
    return Line(misspell(dice, text) if dice.chance(0.065) else text, cents, account)


def plain(text: str) -> str:
    """A text without case, spaces and punctuation, to see whether two lines are the same line."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def new_invoice(dice: Dice, ledger: Ledger, first_day: date, days: int) -> Invoice:
    """An invoice with its lines; one that exists already (same supplier, text and amount) is drawn again."""
    supplier = dice.weighted([(supplier, supplier.weight) for supplier in v.SUPPLIERS])
    name = supplier.names[-1] if dice.chance(0.2) else supplier.names[0]
    invoice = Invoice(supplier, name, first_day + timedelta(days=dice.number(0, days)))
    place, wanted = dice.pick(v.OBJECTS), dice.pick(LINES_PER_INVOICE)
    while len(invoice.lines) < wanted:
        line = new_line(dice, invoice, place if dice.chance(0.6) else dice.pick(v.OBJECTS))
        fingerprint = (supplier.names[0], plain(line.description), line.cents)
        if fingerprint not in ledger.seen:
            ledger.seen.add(fingerprint)
            invoice.lines.append(line)
    return invoice


def add_invoices(dice: Dice, ledger: Ledger) -> None:
    """Fill the ledger."""
    for _ in range(INVOICES):
        ledger.invoices.append(new_invoice(dice, ledger, FIRST_DAY, DAYS))


# --------------------------------------------------------------------------- faults


def untouched(dice: Dice, ledger: Ledger) -> tuple[Invoice, Line]:
    """A line that is in no fault yet, and its invoice."""
    used = {id(line) for fault in ledger.faults for line in fault.rows}
    while True:
        invoice = dice.pick(ledger.invoices)
        line = dice.pick(invoice.lines)
        if id(line) not in used:
            return invoice, line


def bill_again(dice: Dice, ledger: Ledger, invoice: Invoice, line: Line) -> None:
    """Add a line as a new, later invoice of the same supplier."""
    later = invoice.day + timedelta(days=dice.number(3, 40))
    ledger.invoices.append(Invoice(invoice.supplier, invoice.name, later, [line]))


def iban(country: str, bank: str, account: str) -> str:
    """An IBAN with its check digits (ISO 7064, modulo 97)."""
    digits = "".join(str(int(letter, 36)) for letter in f"{bank}{account}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{bank}{account}"


def bsn(dice: Dice) -> str:
    """A citizen number that passes the 11-test, in the 9999 range that is kept for tests."""
    while True:
        digits = [9, 9, 9, 9] + [dice.number(0, 9) for _ in range(4)]
        check = sum(digit * weight for digit, weight in zip(digits, range(9, 1, -1), strict=True)) % 11
        if check < 10:
            return "".join(map(str, [*digits, check]))


def email(person: str, dice: Dice) -> str:
    """An address for an invented person in a domain that cannot exist."""
    words = [word.strip(".").lower() for word in person.split() if word not in ("mw.", "dhr.", "mevr.")]
    name = ".".join(word for word in words if word not in ("herr", "frau", "mr"))
    return f"{name}@{dice.pick(('example.com', 'example.com', 'wonen-oosterlek.example', 'mieterpost.example'))}"


def personal_note(dice: Dice, kind: str, number: int) -> tuple[str, str, str]:
    """The person, the personal datum and the words around it."""
    person = v.PEOPLE[number]
    if kind == "iban":
        country, bank = v.BANKS[number % len(v.BANKS)]
        value = iban(country, bank, "".join(str(dice.number(0, 9)) for _ in range(10)))
        return person, value, dice.pick((f"t.n.v. {person} {value}", f"rek. {value} {person}"))
    if kind == "email":
        value = email(person, dice)
        return person, value, dice.pick((f"contact {person}, {value}", f"cc {value} ({person})"))
    if kind == "phone":
        value = v.PHONES[number % len(v.PHONES)]
        return person, value, dice.pick((f"tel {value} {person}", f"afspraak {person} {value}"))
    value = bsn(dice)
    return person, value, f"{person} BSN {value}"


def plant_personal_data(dice: Dice, ledger: Ledger) -> None:
    """Write personal data of invented people behind some descriptions."""
    for number, kind in enumerate(PERSONAL_KINDS):
        _, line = untouched(dice, ledger)
        person, value, note = personal_note(dice, kind, number)
        line.description = f"{line.description} {note}"
        detail = {"kind": kind, "value": value, "person": person}
        ledger.faults.append(Fault([line], "personal_data", detail))


def plant_exact_duplicates(dice: Dice, ledger: Ledger) -> None:
    """Repeat lines: half are booked twice on their own invoice, half are billed again later."""
    for number in range(FAULT_COUNTS["exact_duplicate"]):
        invoice, line = untouched(dice, ledger)
        copy = replace(line)
        same_invoice = number % 2 == 0 and len(invoice.lines) < 4
        if same_invoice:
            invoice.lines.append(copy)
        else:
            bill_again(dice, ledger, invoice, copy)
        how = "booked twice on one invoice" if same_invoice else "billed again on a later invoice"
        ledger.faults.append(Fault([line, copy], "exact_duplicate", {"how": how}))


def nearly(dice: Dice, text: str, number: int) -> tuple[str, str]:
    """What was changed, and almost the same text."""
    if number % 4 == 0:
        return "case", text.lower() if text != text.lower() else text.upper()
    if number % 4 == 1:
        return "spacing", text.replace(" ", "  ", 1) if " " in text else f"{text} "
    if number % 4 == 2:
        return "punctuation", text.replace(" ", ", ", 1) if " " in text else f"{text}."
    return "typing error", misspell(dice, text)


def plant_near_duplicates(dice: Dice, ledger: Ledger) -> None:
    """Bill lines again in almost the same words, for the same amount and on the same account."""
    planted = 0
    while planted < FAULT_COUNTS["near_duplicate"]:
        invoice, line = untouched(dice, ledger)
        change, text = nearly(dice, line.description, planted)
        if text != line.description:
            copy = replace(line, description=text)
            bill_again(dice, ledger, invoice, copy)
            ledger.faults.append(Fault([line, copy], "near_duplicate", {"change": change}))
            planted += 1


def plant_contradictions(dice: Dice, ledger: Ledger) -> None:
    """Bill lines again, word for word, but book the copy on another account."""
    for _ in range(FAULT_COUNTS["contradiction"]):
        invoice, line = untouched(dice, ledger)
        copy = replace(line, account=dice.pick(v.SLIPS[line.account]))
        bill_again(dice, ledger, invoice, copy)
        detail = {"right": line.account, "wrong": copy.account}
        ledger.faults.append(Fault([line, copy], "contradiction", detail))


def plant_wrong_labels(dice: Dice, ledger: Ledger) -> None:
    """Book lines on a wrong account: two in three a usual slip, the others any account."""
    for _ in range(FAULT_COUNTS["wrong_label"]):
        _, line = untouched(dice, ledger)
        right = line.account
        others = [account for account in v.ACCOUNTS if account != right]
        line.account = dice.pick(v.SLIPS[right]) if dice.chance(0.67) else dice.pick(others)
        ledger.faults.append(Fault([line], "wrong_label", {"right": right}))


def add_test(dice: Dice, ledger: Ledger) -> None:
    """Fill the test file: invoices of the next months, of which some bill lines again that were learned from."""
    first = FIRST_DAY + timedelta(days=DAYS + 1)
    while sum(len(invoice.lines) for invoice in ledger.tests) < TEST_LINES:
        ledger.tests.append(new_invoice(dice, ledger, first, TEST_DAYS))
    planted = 0
    while planted < LEAKS:
        invoice, line = untouched(dice, ledger)
        change, text = nearly(dice, line.description, planted // 2) if planted % 2 else ("none", line.description)
        if planted % 2 and text == line.description:
            continue
        copy = replace(line, description=text)
        later = first + timedelta(days=dice.number(0, TEST_DAYS))
        ledger.tests.append(Invoice(invoice.supplier, invoice.name, later, [copy]))
        ledger.faults.append(Fault([line], "leakage", {"change": change}, copy))
        planted += 1


# --------------------------------------------------------------------------- output


def number_invoices(dice: Dice, ledger: Ledger) -> None:
    """Sort by date and give every invoice the next number of its supplier."""
    for invoices in (ledger.invoices, ledger.tests):
        invoices.sort(key=lambda invoice: (invoice.day, invoice.supplier.names[0]))
    last = {supplier.names[0]: dice.number(12, 700) for supplier in v.SUPPLIERS}
    for invoice in (*ledger.invoices, *ledger.tests):
        last[invoice.supplier.names[0]] += dice.number(1, 9)
        invoice.number = invoice.supplier.number.format(y=invoice.day.year, n=last[invoice.supplier.names[0]])


def csv_text(invoices: list[Invoice]) -> str:
    """Invoices as the text of a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for invoice in invoices:
        for line in invoice.lines:
            euros = f"{line.cents / 100:.2f}"
            day = invoice.day.isoformat()
            writer.writerow((invoice.number, day, invoice.name, line.description, euros, line.account))
    return out.getvalue()


def key_text(ledger: Ledger) -> str:
    """The key of the faults."""
    head = {
        "csv": "invoice_lines.csv",
        "test": "test_lines.csv",
        "rows": "line numbers in the csv, the header is line 1; test_row in the test",
    }
    files = ([line for invoice in part for line in invoice.lines] for part in (ledger.invoices, ledger.tests))
    return planting.key_text(head, ledger.faults, planting.places(*files, first=2), {"contradiction": "wrong_row"})


def build(seed: int) -> Ledger:
    """The whole ledger with its faults."""
    dice, ledger = Dice(seed), Ledger()
    add_invoices(dice, ledger)
    plant_personal_data(dice, ledger)
    plant_exact_duplicates(dice, ledger)
    plant_near_duplicates(dice, ledger)
    plant_contradictions(dice, ledger)
    plant_wrong_labels(dice, ledger)
    add_test(dice, ledger)
    number_invoices(dice, ledger)
    return ledger


def make(seed: int, _: Path) -> dict[str, str]:
    """The files and the key."""
    ledger = build(seed)
    return {
        "invoice_lines.csv": csv_text(ledger.invoices),
        "test_lines.csv": csv_text(ledger.tests),
        "planted_faults.json": key_text(ledger),
    }


if __name__ == "__main__":
    planting.write(__doc__, SEED, Path(__file__).resolve().parent, make)
