"""The days, numbers and passages of a text, as the values that a field of an answer can have.

Where a field's value always is one of them, an answer can be held to them: a wrong date is then at least a date of this
very document, and nothing is invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from inhouse.core.passages import Passages
from inhouse.core.task import FromInput
from inhouse.scoring.values import amount_of, bare_day, date_of

Value = str | int | float

# Of the languages that `date_of` reads; most words beside two numbers are no months, and it is slow to find that out.
_MONTH = (
    r"(?:jan|ene|gen|feb|f[eé]v|mar|m[aä]r|maa|mrt|apr|abr|avr|may|mai|mei|mag|jun|jui|giu|jul|lug|aug|ago|ao[uû]|sep|set"
    r"|oct|okt|ott|nov|dec|dez|dic|d[eé]c)[^\W\d_]*"
)
_DAYS = tuple(
    re.compile(rf"{pattern}(?!\d)", re.IGNORECASE)
    for pattern in (
        r"(?<!\d)\d{4}([-./])\d{1,2}\1\d{1,2}",
        r"(?<!\d)\d{1,2}\s?([-./])\s?\d{1,2}\s?\1\s?(?:\d{4}|\d{2})",
        r"(?<!\d)\d{1,2}(?:\.|st|nd|rd|th|er|e)?[ /-]?(?:of |de )?"
        rf"{_MONTH}\.?,?[ /-]?(?:de |del )?(?:\d{{4}}|\d{{2}})",
        rf"(?<![^\W\d_]){_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}",
    )
)
_BARE_DAY = re.compile(r"(?<!\d)\d{8}(?!\d)")
# Written with slashes or hyphens, the month may come first.
_MONTH_FIRST = re.compile(r"(\d{1,2})\s?([-/])\s?(\d{1,2})\s?\2\s?(?:\d{4}|\d{2})")
_UNIT = r"(?:[€$£¥₹₺₽]|US\$|R\$|S\$|RM|EUR|USD|GBP|CHF)"
# No number has more digits than these (nor does JSON take them). A hyphen before one may be a minus or none, as may
# brackets around it. In India the groups before the last have two digits.
_NUMBER = re.compile(
    rf"(?P<unit>{_UNIT} ?)?(?P<sign>[-−]?)(?<!\d)(?<!\d[.,])"
    r"(?P<digits>\d{1,2}(?:,\d\d){1,5},\d{3}(?:\.\d{1,10})?|(?<![^\s(€$£¥])[.,]\d{1,10}"
    r"|\d{1,15}(?:[.,'’ ]\d{3}){0,5}(?:[.,]\d{1,10})?)(?!\d)(?P<after>[-)]?)"
)
_LAKH = re.compile(r"\d{1,2}(?:,\d\d)+,\d{3}(?:\.\d+)?")
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})


def mentioned_fields(from_input: Mapping[str, FromInput], text: str) -> dict[str, tuple[Value, ...] | Passages]:
    """The values that each field of `from_input` can take from `text`; no field for which it mentions none."""
    by_form = {form: mentioned(text, form) for form in set(from_input.values())}
    return {path: by_form[form] for path, form in from_input.items() if by_form[form]}


def mentioned(text: str, form: FromInput) -> tuple[Value, ...] | Passages:
    """What `text` mentions of a kind, in its order, each writing once; what can be read in several ways, in each.

    Args:
        form: `date` and `amount` as they are written there; `iso-date` as 2026-03-05; `number` as JSON numbers; `text`
            for all that can be copied out of it.
    """
    if form == "text":
        return Passages.of(text)
    plain = text.translate(_SPACES)
    find = {"date": _days, "iso-date": _iso_days, "amount": _amounts, "number": _numbers}[form]
    # By type too: 9 and 9.0 are equal and written apart.
    return tuple({(type(value), value): value for value in find(plain)}.values())


def _days(text: str) -> Iterator[Value]:
    """Days as they are written; eight digits after the others, as they may be any number."""
    found = sorted((m.start(), m[0]) for pattern in _DAYS for m in pattern.finditer(text) if date_of(m[0]) is not None)
    yield from (day for _, day in found)
    yield from (digits for digits in _BARE_DAY.findall(text) if bare_day(digits) is not None)


def _iso_days(text: str) -> Iterator[Value]:
    for written in map(str, _days(text)):
        day = date_of(written) or bare_day(written)
        if day is None:
            continue
        yield day.isoformat()
        either = _MONTH_FIRST.fullmatch(written)
        if either and int(either[1]) <= 12 and int(either[3]) <= 12:
            yield date(day.year, day.day, day.month).isoformat()


def _amounts(text: str) -> Iterator[Value]:
    """Numbers as they are written, with sign and currency before them and without."""
    for found in _NUMBER.finditer(text):
        for digits in _readings(found["digits"]):
            yield digits
            if found["sign"]:
                yield found["sign"] + digits
            if found["after"] == "-":
                yield digits + "-"
        if found["unit"]:
            yield found["unit"] + found["sign"] + found["digits"]


def _numbers(text: str) -> Iterator[Value]:
    """The numbers by value; whole ones as JSON writes them with a point and without."""
    for found in _NUMBER.finditer(text):
        signs = (1, -1) if found["sign"] or found["after"] else (1,)
        for digits in _readings(found["digits"]):
            for value in _values_of(digits):
                for sign in signs:
                    if value == value.to_integral_value():
                        yield sign * int(value)
                    yield float(sign * value)


def _values_of(digits: str) -> list[Decimal]:
    """What the digits can stand for: 03 is 3 here, as only a field of numbers asks."""
    if _LAKH.fullmatch(digits):
        digits = digits.replace(",", "")
    bare = digits.lstrip("0") if digits.startswith("0") else digits
    amount = amount_of(bare if bare[:1].isdigit() else f"0{bare}")
    if amount is None:
        return []
    return sorted({amount.number} | ({Decimal(re.sub(r"\D", "", amount.spelling))} if amount.spelling else set()))


def _readings(digits: str) -> Iterator[str]:
    """Digits with spaces in them may be one number or several: every run of their parts."""
    parts = digits.split(" ")
    for start in range(len(parts)):
        for end in range(len(parts), start, -1):
            yield " ".join(parts[start:end])
