"""The days and numbers that a text mentions, as the values that a field of an answer can have.

Where a field's value always is one of them, an answer can be held to them: a wrong date is then at least a date of this
very document, and nothing is invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache

from inhouse.core.task import FromInput
from inhouse.scoring.values import amount_of, date_of

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
        rf"{_MONTH}\.?,?[ /-](?:de |del )?(?:\d{{4}}|\d{{2}})",
        rf"(?<![^\W\d_]){_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}",
    )
)
_BARE_DAY = re.compile(r"(?<!\d)(?:19|20)\d{6}(?!\d)")
_UNIT = r"(?:[€$£¥₹₺₽]|US\$|R\$|S\$|RM|EUR|USD|GBP|CHF)"
_NUMBER = re.compile(
    rf"(?P<unit>{_UNIT} ?)?(?P<sign>[-−]?)(?<![\d.,])(?P<digits>\d+(?:[.,'’ ]\d{{3}})*(?:[.,]\d+)?)(?!\d)(?P<after>-?)"
)


def mentioned_fields(from_input: Mapping[str, FromInput], text: str) -> dict[str, tuple[str | int | float, ...]]:
    """The values that each field of `from_input` can take from `text`; no field for which it mentions none."""
    found = {path: mentioned(text, form) for path, form in from_input.items()}
    return {path: values for path, values in found.items() if values}


@lru_cache(maxsize=10_000)
def mentioned(text: str, form: FromInput) -> tuple[str | int | float, ...]:
    """What `text` mentions of a kind, in its order, each writing once.

    Args:
        form: `date` and `amount` as they are written there; `iso-date` as 2026-03-05; `number` as JSON numbers, and
            where digits can be read in two ways (1.234), both.
    """
    found: Iterator[str | int | float]
    if form == "date":
        found = iter(_days(text))
    elif form == "iso-date":
        found = (day.isoformat() for written in _days(text) if (day := date_of(written)) is not None)
    elif form == "amount":
        found = _amounts(text)
    else:
        found = _numbers(text)
    # By type too: 9 and 9.0 are equal and written apart.
    return tuple({(type(value), value): value for value in found}.values())


def _days(text: str) -> list[str]:
    """Days as they are written; eight digits only where there is no other, as they may be any number."""
    found = [
        (match.start(), match[0])
        for pattern in _DAYS
        for match in pattern.finditer(text)
        if date_of(match[0]) is not None
    ]
    return [day for _, day in sorted(found)] or _BARE_DAY.findall(text)


def _amounts(text: str) -> Iterator[str]:
    """Numbers as they are written, with the currency before them and without."""
    for found in _NUMBER.finditer(text):
        for digits in _readings(found["digits"]):
            yield found["sign"] + digits
        if found["unit"]:
            yield found["unit"] + found["sign"] + found["digits"]


def _numbers(text: str) -> Iterator[int | float]:
    """The numbers by value; whole ones as JSON writes them with a point and without."""
    for found in _NUMBER.finditer(text):
        sign = -1 if found["sign"] or found["after"] else 1
        for digits in _readings(found["digits"]):
            amount = amount_of(digits)
            if amount is None:
                continue
            values = {amount.number}
            if amount.spelling:
                values.add(Decimal(re.sub(r"\D", "", amount.spelling)))
            for value in sorted(values):
                if value == value.to_integral_value():
                    yield sign * int(value)
                yield float(sign * value)


def _readings(digits: str) -> tuple[str, ...]:
    """Digits with a space in them may be one number or several."""
    return (digits, *digits.split()) if " " in digits else (digits,)
