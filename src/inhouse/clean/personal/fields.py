"""Fields whose name says what they hold: a column called `email`, `iban` or `birth_date`."""

from __future__ import annotations

import re
from functools import cache

from inhouse.clean.personal.found import PLACEHOLDER

_NAMES = {
    "EMAIL": r"e_?mail(?:_?(?:address|adresse?|adres))?|mail_?(?:address|adresse)?|correo(?:_electronico)?|courriel",
    "IBAN": r"iban|bank_?account|konto(?:nummer|_?nr)|rekening(?:nummer)?|bankrekening|account_iban",
    "CARD": r"(?:credit_?|debit_?|payment_?)?card_?(?:number|no|nr)|cc_?(?:number|no|num)|credit_?card|"
    r"creditcardnummer|pan|"
    r"kreditkarten(?:nummer|nr)",
    "NATIONAL_ID": r"bsn|burgerservicenummer|ssn|social_security(?:_?(?:number|no))?|national_?(?:id|number)|"
    r"personal_?(?:id|number)|"
    r"personnummer|pesel|cnp|egn|codice_?fiscale|dni|nie|nino|national_insurance(?:_?(?:number|no))?|"
    r"passport(?:_?(?:number|no|nr))?|"
    r"driv(?:ers?|ing)_?licen[cs]e(?:_?(?:number|no|nr))?|steuer_?id|steueridentifikationsnummer|"
    r"sozialversicherungsnummer|svnr|"
    r"rijksregisternummer|insz|niss|id_?card(?:_?(?:number|no|nr))?|personalausweis(?:nummer|nr)?|henkilotunnus|"
    r"hetu|cpr|oib|"
    r"isikukood|rodne_?cislo|taj",
    "VAT": r"vat_?(?:id|number|no|nr)|ust_?id(?:_?(?:nr|nummer))?|btw_?(?:nummer|nr|id)|tva_?(?:number|no)|"
    r"p(?:artita)?_?iva|nif|cif",
    "PHONE": r"(?:tele)?phone(?:_?(?:number|no|nr))?|tel(?:efoon|efon|efono|_?nr)?(?:_?nummer)?|"
    r"mobile?(?:_?(?:phone|number|no|nr))?|"
    r"mobiel(?:nummer)?|cell_?phone|handy(?:nummer)?|gsm|fax(?:_?(?:number|no|nr))?|telefax|movil|cellulare|portable",
    "BIRTH_DATE": r"(?:date_?of_?)?birth_?(?:date|day)?|dob|date_of_birth|geburts_?(?:datum|tag)|geboorte_?datum|"
    r"date_(?:de_)?naissance|"
    r"data_(?:di_)?nascita|fecha_(?:de_)?nacimiento|data_(?:de_)?nascimento|data_urodzenia|born(?:_on)?",
    "ADDRESS": r"(?:postal_?|home_?|street_?|billing_?|delivery_?|shipping_?|private_?|customer_?|"
    r"mailing_?)?address(?:_?(?:line)?_?\d)?|"
    r"street(?:_?name)?|strasse|straat|anschrift|adresse?|adres|woonadres|indirizzo|direccion|domicilio",
    "PERSON": r"(?:first|last|full|middle|given|family|maiden|sur|person|customer|client|contact|employee|"
    r"patient|user_full|"
    r"account_?holder|cardholder|sender|recipient|applicant|candidate|tenant|guest|owner|driver|doctor|teacher|"
    r"student)_?name|"
    r"surname|vorname|nachname|familienname|voornaam|achternaam|prenom|nom_de_famille|cognome|apellidos?|imie|"
    r"nazwisko|"
    r"fornavn|etternavn|efternavn|fornamn|efternamn|etunimi|sukunimi|contact_?person|ansprechpartner(?:in)?|"
    r"contactpersoon|"
    r"account_?holder|cardholder|kontoinhaber(?:in)?|mieter(?:in)?|huurder",
    "PASSWORD": r"pass(?:word|wd|phrase|code)?|pwd|wachtwoord|passwort|kennwort|mot_de_passe|contrasena|hasło|"
    r"(?:client_|api_|access_|auth_)?secret(?:_?key)?",
    "API_KEY": r"(?:api|access|private|secret)_?key|(?:access|api|auth|bearer|refresh)_?token",
}
_KINDS = {kind: re.compile(pattern) for kind, pattern in _NAMES.items()}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^\w]+|_+")
# Of what a field holds, this is enough to be one of its kind: a number has digits, a name has letters.
_DIGITS = {"IBAN": 8, "CARD": 8, "NATIONAL_ID": 5, "VAT": 5, "PHONE": 5, "BIRTH_DATE": 2}
_FOLD = str.maketrans("áàâäãéèêëíìîïóòôöõúùûüçñåß", "aaaaaeeeeiiiiooooouuuucnas")


@cache
def kind_of_field(name: str) -> str | None:
    """What a field of that name holds, in snake_case, camelCase or words; None where the name does not say it."""
    bare = "_".join(part for part in _WORDS.split(name.strip().rsplit(".", 1)[-1]) if part).lower().translate(_FOLD)
    return next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(bare)), None)


def holds(kind: str, value: str) -> bool:
    """Whether a field's value can be what its name says, and is not masked yet."""
    if not 2 <= len(value.strip()) <= 200 or PLACEHOLDER.search(value):
        return False
    if kind == "EMAIL":
        return "@" in value
    if kind in _DIGITS:
        return sum(map(str.isdigit, value)) >= _DIGITS[kind]
    return kind in ("PASSWORD", "API_KEY") or any(map(str.isalpha, value))
