"""Values by meaning: what is the same in another writing, and what only looks the same."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.scoring.values import amount_of, date_of, normal_text, same_value

SAME: list[tuple[Any, Any]] = [
    # numbers
    ("1.234,50", "1,234.50"),
    ("1.234,50", 1234.5),
    ("1 234,50", "1'234.50"),
    ("1,234,567", "1.234.567"),
    ("9.00", 9),
    ("9.00", "9"),
    (9, 9.0),
    ("-5,00", "-5"),
    ("−5", -5),
    ("0.125", 0.125),
    ("12,-", "12.00"),
    ("1234.567", 1234.567),
    # currency and percent
    ("EUR 12,50", "12.50 €"),
    ("12.50 €", "12.5"),
    ("RM 60.30", "60.30"),
    ("RM60.30", "MYR 60.3"),
    ("$5", "5.00 USD"),
    ("-€5", "€ -5.00"),
    ("19 %", "19%"),
    ("19 %", 19),
    ("CHF 1'234.50", "1234.5 Fr."),
    # dates
    ("12/01/2019", "12-01-19"),
    ("12/01/2019", "2019-01-12"),
    ("12/01/2019", "12 Jan 2019"),
    ("20180304", "04/03/2018"),
    ("25.12.2018", "12/25/2018"),
    ("3. März 2024", "3.3.2024"),
    ("25 maart 2024", "2024-03-25"),
    ("8 janvier 2024", "08/01/24"),
    ("March 5, 2021", "5 March 2021"),
    ("Montag, 3. März 2024", "03.03.2024"),
    ("01.02.69", "1.2.1969"),
    ("01.02.68", "1.2.2068"),
    # texts
    ("27,JALAN DEDAP 13,\nJOHOR", "27, Jalan Dedap 13, Johor"),
    ("BOOK TA .K(TAMAN DAYA)", "Book Ta.K (Taman Daya)"),
    ("STRASSE", "straße"),
    ("ﬁne  print", "fine print"),
    # nothing, truth
    (None, ""),
    ("", "  "),
    (None, []),
    (True, "true"),
]

OTHER: list[tuple[Any, Any]] = [
    ("1.234", "1,234"),  # one thousand or one and a bit: each could be either
    ("1.234", 1.234),
    ("1,234", 1234),
    ("12.50", "12.05"),
    ("1.23.4", "1.234"),
    ("1,23,456", "123456"),
    ("0123", "123"),
    ("20180304", "04/03/2019"),
    ("20181304", "04/13/2018"),
    ("20180304", "20180304.5"),
    ("00", "0"),
    ("EUR 12.50", "USD 12.50"),
    ("$5", "5 EUR"),
    ("5 %", "5 EUR"),
    ("12 km", "12"),
    ("12.50 total", "12.50"),
    ("1 2", "12"),
    ("12", "-12"),
    ("3.4.2024", "4.3.2024"),
    ("12/13/2019", "13/11/2019"),
    ("30.02.2024", "1.3.2024"),
    ("March", "2024-03-01"),
    ("May 5", "5.5.2024"),
    ("12.01", "12.01.2019"),
    ("A-1", "A.1"),
    ("AB", "A B"),
    ("née", "nee"),
    (True, 1),
    (True, False),
    (None, 0),
    ("", 0),
    (None, False),
    ("null", None),
    ("1e3", 1000),
    ({"a": 1}, "1"),
    (["a"], "a"),
    (["a", "b"], ["b", "a"]),
]


@pytest.mark.parametrize(("expected", "answered"), SAME)
def test_the_same_in_another_writing(expected: Any, answered: Any) -> None:
    assert same_value(expected, answered)
    assert same_value(answered, expected)


@pytest.mark.parametrize(("expected", "answered"), OTHER)
def test_what_only_looks_the_same(expected: Any, answered: Any) -> None:
    assert not same_value(expected, answered)
    assert not same_value(answered, expected)


@given(st.integers(-(10**12), 10**12), st.sampled_from(["", "EUR ", "€"]))
def test_cents_survive_every_number_format(cents: int, unit: str) -> None:
    text = f"{cents / 100:,.2f}"
    german = text.translate(str.maketrans(",.", ".,"))
    assert same_value(unit + text, german)
    assert same_value(text, text.replace(",", "’"))
    assert not same_value(text, f"{(cents + 1) / 100:,.2f}")
    found = amount_of(german)
    assert found is not None
    assert found.number * 100 == cents


@given(st.dates(date(1969, 1, 1), date(2068, 12, 31)))
def test_a_date_survives_every_numeric_format(day: date) -> None:
    for form in ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%y", "%Y-%m-%d", "%Y/%m/%d"):
        assert date_of(day.strftime(form)) == day


@given(st.text(max_size=30))
def test_a_text_equals_itself_however_it_is_spaced(text: str) -> None:
    assert same_value(text, text)
    assert same_value(f" {text}\n", text)
    assert normal_text(normal_text(text)) == normal_text(text)


@given(st.one_of(st.text(max_size=12), st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.none()))
def test_no_value_is_too_odd(value: Any) -> None:
    assert same_value(value, value)
    same_value(value, "1.234,50 €")
    same_value("12 Jan 2019", value)
