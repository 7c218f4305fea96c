"""What is looked for in texts, and how each kind of it is called."""

from __future__ import annotations

import re
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of personal data or secret.

    Attributes:
        check: the check that tells it.
        one, several: what it is called in a sentence.
        how: how it is looked for, for the auditor's report.
    """

    check: str
    one: str
    several: str
    how: str


KINDS: dict[str, Kind] = {
    "EMAIL": Kind("personal_data", "an e-mail address", "e-mail addresses", "its form, or the name of the field"),
    "IBAN": Kind("personal_data", "an IBAN", "IBANs", "length and form of its country and its check digits (ISO 7064)"),
    "CARD": Kind(
        "personal_data",
        "a payment card number",
        "payment card numbers",
        "a card issuer's first digits and the check digit (Luhn); of unusual length only beside words about cards",
    ),
    "NATIONAL_ID": Kind(
        "personal_data",
        "a national number",
        "national numbers",
        "its check digits, and words of its country beside it unless other numbers are hardly ever written so; "
        "numbers without a check digit (passport, driving licence) by the words beside them",
    ),
    "VAT": Kind(
        "personal_data",
        "a VAT number",
        "VAT numbers",
        "check digits and form of its country, with the country's letters or words about VAT before it",
    ),
    "PHONE": Kind(
        "personal_data",
        "a telephone number",
        "telephone numbers",
        "an international number of a possible length; a national one by how it is written or by the words beside it",
    ),
    "BIRTH_DATE": Kind(
        "personal_data", "a date of birth", "dates of birth", "a date beside words about birth, or the field's name"
    ),
    "ADDRESS": Kind(
        "personal_data",
        "a postal address",
        "postal addresses",
        "words for streets with a house number, post boxes, what follows `address:`, or the name of the field",
    ),
    "PERSON": Kind(
        "personal_data",
        "a person's name",
        "names of persons",
        "titles, greetings, signatures, introductions and labels before it, usual given names, names that this data "
        "has introduced elsewhere, or the name of the field",
    ),
    "PRIVATE_KEY": Kind("secret", "a private key", "private keys", "a PEM block"),
    "API_KEY": Kind("secret", "an access key", "access keys", "the forms of well-known services' keys"),
    "TOKEN": Kind(
        "secret",
        "a token",
        "tokens",
        "JSON web tokens, and long words of mixed letters and digits without an order in them (entropy)",
    ),
    "PASSWORD": Kind(
        "secret", "a password", "passwords", "what is assigned to a password or secret; passwords within addresses"
    ),
}

# The checks whose masks are placeholders; what other checks put in the place of a stretch is a mended text.
HIDDEN = ("personal_data", "secret")
PLACEHOLDER = re.compile(rf"\[({'|'.join(KINDS)})_(\d+)\]")


class Found(NamedTuple):
    """A stretch of a text and the kind of thing that it is."""

    kind: str
    start: int
    end: int


def placeholder(kind: str, number: int | None = None) -> str:
    """What stands in the place of something: `[PERSON_1]`; without a number before it was given one."""
    return f"[{kind}]" if number is None else f"[{kind}_{number}]"


def hidden(value: str) -> str:
    """A value with its middle hidden, for evidence: recognised by who knows it, of no use to others."""
    value = " ".join(value.split())
    shown = 2 if len(value) >= 12 else 1 if len(value) >= 5 else 0
    return f"{value[:shown]}***{value[-shown:] if shown else ''}"
