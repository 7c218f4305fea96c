"""Whether two values are the same thing written in two ways: numbers, amounts, dates, texts.

Strict where it could be wrong: a text counts as a number or a date only as a whole, and what can be read in two ways
equals only what is written in the same way. A right answer may so be called wrong, a wrong one never right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

_PUNCTUATION = re.compile(r"\s*([^\w\s])\s*")
_SPACE = re.compile(r"\s+")

_CODES = (
    "EUR USD GBP CHF JPY CNY INR TRY RUB PLN CZK HUF RON SEK NOK DKK MYR BRL SGD AUD CAD NZD HKD ZAR MXN KRW THB IDR "
    "PHP VND AED SAR ILS UAH BGN ISK RSD MAD EGP TWD CLP COP ARS"
)
# Signs that stand for several currencies equal each of them.
_DOLLARS = frozenset({"USD", "AUD", "CAD", "NZD", "SGD", "HKD"})
_CURRENCIES: dict[str, frozenset[str]] = {
    "€": frozenset({"EUR"}),
    "$": _DOLLARS,
    "US$": frozenset({"USD"}),
    "£": frozenset({"GBP"}),
    "¥": frozenset({"JPY", "CNY"}),
    "₹": frozenset({"INR"}),
    "₺": frozenset({"TRY"}),
    "₽": frozenset({"RUB"}),
    "zł": frozenset({"PLN"}),
    "Kč": frozenset({"CZK"}),
    "lei": frozenset({"RON"}),
    "kr": frozenset({"SEK", "NOK", "DKK"}),
    "Fr.": frozenset({"CHF"}),
    "sFr.": frozenset({"CHF"}),
    "RM": frozenset({"MYR"}),
    "R$": frozenset({"BRL"}),
    "S$": frozenset({"SGD"}),
    "Euro": frozenset({"EUR"}),
    "%": frozenset({"%"}),
} | {code: frozenset({code}) for code in _CODES.split()}
_UNIT = "|".join(sorted((re.escape(u.casefold()) for u in _CURRENCIES), key=len, reverse=True))
_UNITS = {name.casefold(): codes for name, codes in _CURRENCIES.items()}
_AMOUNT = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<before>{_UNIT})? ?(?P<inner>[-+]?)"
    rf"(?P<digits>\d[\d.,'’ ]*?)(?P<dash>[.,][-–])? ?(?P<after>{_UNIT})?"
)
_GROUPED = re.compile(r"\d{1,3}(?:(?P<by>[.,'’ ])\d{3})(?:(?P=by)\d{3})*")
_YEAR_FIRST = re.compile(r"(\d{4})([-./])(\d{1,2})\2(\d{1,2})")
_BARE = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)")
_YEAR_LAST = re.compile(r"(\d{1,2})\s?([-./])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})")
_WITH_MONTH_NAME = re.compile(
    r"(?:[^\W\d_]+\.?,? )?"  # weekday
    r"(?:\d{1,2}(?:\.|st|nd|rd|th|er|e)?[ /-]?(?:of |de )?[^\W\d_]{3,}\.?,?[ /-]?(?:de |del )?(?:\d{4}|\d{2})"
    r"|[^\W\d_]{3,}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})"
)
_LANGUAGES = ["en", "de", "nl", "fr", "es", "it", "pt"]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its currencies, or `%`, as far as they are given.

    `spelling` is set where the digits can be read in two ways (1.234): it then equals only the same spelling.
    """

    number: Decimal
    units: frozenset[str] = frozenset()
    spelling: str = ""

    def same(self, other: Amount) -> bool:
        """Equal numbers in units that could be the same; a missing unit could be any."""
        if self.units and other.units and not self.units & other.units:
            return False
        return self.number == other.number and self.spelling == other.spelling


def same_value(expected: object, answered: object) -> bool:
    """Whether two JSON values mean the same.

    - Texts: case, Unicode form and white space aside, also white space beside punctuation ("27,JALAN" = "27, Jalan").
    - Numbers: "1.234,50" = "1,234.50" = 1234.5. A single separator before three digits (1.234) may be decimal or
      thousands, so it equals only the same spelling. A number with a leading zero is an identifier, hence a text.
    - Currency and %: compared where both give one; "$" and "kr" equal each currency that they stand for.
    - Dates: day before month unless that is impossible; years of two digits are 1969 to 2068. Eight digits (20180304)
      are a date only beside one.
    - Booleans equal booleans and their JSON words; null, empty and missing are one.
    - Lists and objects: part by part, in order.
    """
    if type(expected) is type(answered) and expected == answered:
        return True
    if isinstance(expected, Mapping) and isinstance(answered, Mapping):
        return all(same_value(expected.get(key), answered.get(key)) for key in {*expected, *answered})
    if isinstance(expected, list) and isinstance(answered, list):
        return len(expected) == len(answered) and all(map(same_value, expected, answered))
    if isinstance(expected, Mapping | list) or isinstance(answered, Mapping | list):
        return absent(expected) and absent(answered)
    return _same_text(_as_text(expected), _as_text(answered))


def absent(value: object) -> bool:
    """Null, empty text, empty list and empty object are all nothing."""
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})


@lru_cache(maxsize=100_000)
def normal_text(text: str) -> str:
    """`text` without what does not matter: Unicode form, case, white space, and any white space beside punctuation."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Once more, as an accent that stood alone joins the letter that now stands before it.
    return unicodedata.normalize("NFKC", _SPACE.sub(" ", _PUNCTUATION.sub(r"\1", folded)).strip())


@lru_cache(maxsize=100_000)
def amount_of(text: str) -> Amount | None:
    """The number that the whole of `text` is, with its currency or %; None where it is none."""
    plain = _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().replace("−", "-").casefold()
    found = _AMOUNT.fullmatch(plain)
    if found is None or (found["sign"] and found["inner"]) or (found["before"] and found["after"]):
        return None
    digits = found["digits"].strip()
    number = _number(digits)
    if number is None or (found["dash"] and not _plain_whole(digits)):
        return None
    unit = found["before"] or found["after"]
    negative = "-" in (found["sign"], found["inner"])
    return Amount(
        -number if negative else number,
        _UNITS[unit] if unit else frozenset(),
        digits if _ambiguous(digits) else "",
    )


@lru_cache(maxsize=100_000)
def date_of(text: str) -> date | None:
    """The day that the whole of `text` names; None where it names none."""
    plain = _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip()
    if found := _YEAR_FIRST.fullmatch(plain):
        return _day(int(found[1]), int(found[3]), int(found[4]))
    if found := _YEAR_LAST.fullmatch(plain):
        return _day_first(int(found[1]), int(found[3]), _full_year(found[4]))
    if _WITH_MONTH_NAME.fullmatch(plain):
        return _named_month(plain)
    return None


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return str(value)


def _float_text(value: float) -> str:
    """With two decimals at least, so that a JSON number is never mistaken for one with a thousands separator."""
    digits = f"{Decimal(repr(value)):f}"
    _, _, decimals = digits.partition(".")
    return digits + "0" * (4 - len(decimals)) if len(decimals) == 3 else digits


def _same_text(expected: str, answered: str) -> bool:
    if normal_text(expected) == normal_text(answered):
        return True
    if not any(c.isdigit() for c in expected) or not any(c.isdigit() for c in answered):
        return False
    one, other = amount_of(expected), amount_of(answered)
    if one is not None and other is not None:
        return one.same(other)
    day, other_day = date_of(expected), date_of(answered)
    if day is None or other_day is None:
        day, other_day = day or bare_day(expected), other_day or bare_day(answered)
    return day is not None and day == other_day


def bare_day(text: str) -> date | None:
    """The day of eight digits, which may as well be a number or a code."""
    found = _BARE.fullmatch(text.strip())
    return _day(int(found[1]), int(found[2]), int(found[3])) if found else None


def _number(digits: str) -> Decimal | None:
    """The digits of a text as a number; None where the separators fit no way of writing one."""
    marks = [c for c in digits if not c.isdigit()]
    if any(not ("0" <= c <= "9") for c in digits if c.isdigit()):
        return None
    whole, decimals = digits, ""
    if marks and marks[-1] in ".," and marks.count(marks[-1]) == 1 and not _thousands_only(digits, marks):
        whole, _, decimals = digits.rpartition(marks[-1])
        if not decimals:
            return None
    if not _plain_whole(whole):
        return None
    return Decimal(re.sub(r"\D", "", whole) + (f".{decimals}" if decimals else ""))


def _thousands_only(digits: str, marks: list[str]) -> bool:
    """Whether the last separator is of the same kind as the others and parts groups of three."""
    return len(set(marks)) == 1 and len(marks) > 1 and _GROUPED.fullmatch(digits) is not None


def _plain_whole(whole: str) -> bool:
    """Digits without a leading zero, bare or in groups of three."""
    if whole.isdigit():
        return whole == "0" or not whole.startswith("0")
    return not whole.startswith("0") and _GROUPED.fullmatch(whole) is not None


def _ambiguous(digits: str) -> bool:
    """One `.` or `,` before three last digits, with something but 0 before it."""
    return re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", digits) is not None


def _full_year(digits: str) -> int:
    year = int(digits)
    if len(digits) == 4:
        return year
    return year + (2000 if year < 69 else 1900)


def _day_first(first: int, second: int, year: int) -> date | None:
    return _day(year, second, first) if second <= 12 else _day(year, first, second)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _named_month(text: str) -> date | None:
    import dateparser

    found = dateparser.parse(
        text,
        languages=_LANGUAGES,
        settings={"REQUIRE_PARTS": ["day", "month", "year"], "DATE_ORDER": "DMY", "PARSERS": ["absolute-time"]},
    )
    return found.date() if found is not None else None
