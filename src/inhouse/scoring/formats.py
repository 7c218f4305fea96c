"""What form a value has (a day, an amount, an IBAN, a code, words), and whether its check digits are right."""

from __future__ import annotations

import re
from collections.abc import Callable

from inhouse.scoring.values import amount_of, date_of

_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_CODE = re.compile(r"(?=.*\d)[\w./#-]+")


def form_of(value: object) -> str:
    """The form of a JSON value, for a person: `day (ISO)`, `amount`, `code`, `words`; `none` of an empty one."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, int | float):
        return "number"
    text = str(value).strip()
    for name, holds in _FORMS.items():
        if holds(text):
            return name
    return "words"


def shape_of(text: str) -> str:
    """Letters and digits as signs of their sort, the others as they are: `Aa99-9` of `Xy12-3`."""
    return "".join(
        "9" if sign.isdigit() else ("A" if sign.isupper() else "a") if sign.isalpha() else sign for sign in text.strip()
    )


def check_digits_of(values: list[str]) -> str:
    """The number with check digits that nearly all of a field's values are (`IBAN`, `VAT number`), else nothing.

    Nearly all: 90 % of 20 values or more, so that what is right by chance (one in ten at best) makes no such field.
    """
    if len(values) < 20:
        return ""
    for name, right in CHECKED.items():
        if sum(map(right, values)) >= 0.9 * len(values):
            return name
    return ""


def _iban(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text))


def _vat(text: str) -> bool:
    from stdnum.eu import vat

    return bool(vat.is_valid(text))


def _luhn(text: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"[ -]", "", text)
    return len(digits) >= 12 and digits.isdigit() and bool(luhn.is_valid(digits))


def _ean(text: str) -> bool:
    from stdnum import ean

    return bool(ean.is_valid(text))


# Whether a text is such a number, its check digits right (python-stdnum).
CHECKED: dict[str, Callable[[str], bool]] = {
    "IBAN": _iban,
    "VAT number": _vat,
    "card number": _luhn,
    "article number (EAN)": _ean,
}

_FORMS: dict[str, Callable[[str], bool]] = {
    "day (ISO)": lambda text: _ISO_DAY.fullmatch(text) is not None,
    "time (ISO)": lambda text: _ISO_TIME.fullmatch(text) is not None,
    "day": lambda text: any(map(str.isdigit, text)) and date_of(text) is not None,
    "digits": str.isdigit,
    "amount": lambda text: any(map(str.isdigit, text)) and amount_of(text) is not None,
    "mail address": lambda text: _MAIL.fullmatch(text) is not None,
    "link": lambda text: _LINK.fullmatch(text) is not None,
    "code": lambda text: _CODE.fullmatch(text) is not None,
}
