"""Numbers with check digits: IBAN, payment cards, VAT and national numbers.

A tenth of all invoice numbers passes a check of one digit, so a check digit alone is no evidence. A number counts where
its check digits are right *and* its form is one that other numbers do not have, or words beside it say what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import NamedTuple

from inhouse.clean.personal.found import Found

# Characters before and after a number in which words tell what it is.
BEFORE, AFTER = 60, 24


def _near(text: str, start: int, end: int) -> str:
    return f"{text[max(0, start - BEFORE) : start]} \n {text[end : end + AFTER]}"


# ---------------------------------------------------------------------- IBAN

_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])")
_LONGEST_IBAN, _SHORTEST_IBAN = 34, 15


def ibans(text: str) -> Iterator[Found]:
    """IBANs, with spaces or hyphens in any place, in any case (ISO 13616: length and form by country, mod 97)."""
    for m in _IBAN_START.finditer(text):
        country = m[0][:2].upper()
        length = _iban_length(country)
        if not length:
            continue
        end, value = _characters(text, m.start(), length)
        if len(value) == length and not text[end : end + 1].isalnum() and _stdnum("iban")(value):
            yield Found("IBAN", m.start(), end)


def _characters(text: str, start: int, wanted: int) -> tuple[int, str]:
    """Where so many letters and digits from `start` on end, and these without the single spaces and hyphens."""
    taken: list[str] = []
    end = start
    for position in range(start, min(len(text), start + 2 * wanted)):
        character = text[position]
        if character.isascii() and character.isalnum():
            taken.append(character)
            end = position + 1
            if len(taken) == wanted:
                break
        elif character not in " \u00a0-" or position > end:
            break
    return end, "".join(taken)


@cache
def _iban_length(country: str) -> int:
    """The length of a country's IBANs; 0 where it has none."""
    from stdnum.iban import _ibandb

    parts = _ibandb.info(f"{country}00")
    form = parts[0][1].get("bban") if parts else None
    return 4 + sum(int(n) for n in re.findall(r"(\d+)!", form)) if form else 0


@cache
def _stdnum(module: str) -> Callable[[str], bool]:
    """The check of a module of python-stdnum; of an IBAN, without what its bank adds."""
    valid: Callable[..., bool] = import_module(f"stdnum.{module}").is_valid
    return (lambda value: valid(value, check_country=False)) if module == "iban" else valid


# ---------------------------------------------------------------------- cards

_DIGITS = re.compile(r"(?<![\w.,/-])(?<!\w[ -]\d)\d(?:[ -]?\d){11,18}(?![\w])(?![.,/]\d)")
_GROUPED = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{12,19}")
_CARD_WORDS = re.compile(
    r"\b(?:card|cards|cc|credit|debit|visa|mastercard|maestro|amex|american express|diners|discover|jcb|kaart|"
    r"creditcard|bankkaart|pas|karte|kreditkarte|carte|carta|tarjeta|cartão|karta|kort|kortti|pan|cvv|cvc)\b",
    re.IGNORECASE,
)
_OTHER_NUMBERS = re.compile(
    r"\b(?:invoice|order|article|item|sku|ean|gtin|upc|isbn|barcode|ref|reference|serial|imei|lot|batch|tracking|"
    r"shipment|parcel|factuur\w*|rechnung\w*|bestell\w*|artikel\w*|facture|commande|fattura|ordine|sscc|transaction|"
    r"receipt|terminal|doc|document|kid|ocr|code|mid|tid)\b",
    re.IGNORECASE,
)
# First digits (ISO/IEC 7812) with the lengths that their issuers use today.
_ISSUERS = re.compile(
    r"4(?:\d{15}|\d{18})|(?:5[1-5]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d+|3[47]\d{13}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
)
# Beside words about cards any of the first digits that cards have will do: old lengths, local schemes, test numbers.
_ANY_ISSUER = re.compile(r"[2-6]\d{11,18}|(?:1800|2131)\d{11}")


def cards(text: str, label: str = "") -> Iterator[Found]:
    """Payment card numbers: an issuer's first digits, the Luhn digit; unusual lengths beside words about cards only."""
    for m in _DIGITS.finditer(text):
        if not _GROUPED.fullmatch(m[0]):
            continue
        value = re.sub(r"\D", "", m[0])
        usual = len(value) in (15, 16, 19) and _ISSUERS.fullmatch(value) is not None
        if not (usual or _ANY_ISSUER.fullmatch(value)) or not _stdnum("luhn")(value) or len(set(value)) < 2:
            continue
        near = _near(text, m.start(), m.end())
        if (
            _CARD_WORDS.search(near)
            or _CARD_WORDS.search(label)
            or (usual and not _OTHER_NUMBERS.search(near) and not _OTHER_NUMBERS.search(label))
        ):
            yield Found("CARD", m.start(), m.end())


# ---------------------------------------------------------------------- VAT

# After the country's letters, by the rules of the EU's VIES and of the neighbours.
_VAT_FORMS = {
    "AT": r"U\d{8}",
    "BE": r"[01]\d{9}",
    "BG": r"\d{9,10}",
    "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}",
    "DE": r"\d{9}",
    "DK": r"\d{8}",
    "EE": r"\d{9}",
    "EL": r"\d{9}",
    "ES": r"[A-Z]\d{7}[A-Z0-9]|\d{8}[A-Z]",
    "FI": r"\d{8}",
    "FR": r"[A-HJ-NP-Z0-9]{2}\d{9}",
    "HR": r"\d{11}",
    "HU": r"\d{8}",
    "IE": r"\d{7}[A-W][A-IW]?|\d[A-Z+*]\d{5}[A-W]",
    "IT": r"\d{11}",
    "LT": r"\d{12}|\d{9}",
    "LU": r"\d{8}",
    "LV": r"\d{11}",
    "MT": r"\d{8}",
    "NL": r"\d{9}B\d{2}",
    "PL": r"\d{10}",
    "PT": r"\d{9}",
    "RO": r"\d{4,10}",
    "SE": r"\d{10}01",
    "SI": r"\d{8}",
    "SK": r"\d{10}",
    "GB": r"\d{12}|\d{9}",
    "CHE": r"\d{9}",
    "NO": r"\d{9}",
}
_OF_COUNTRIES = "|".join(
    rf"{country}[ -]?(?:{form})".replace(r"\d{", r"(?:[ .-]?\d){") for country, form in sorted(_VAT_FORMS.items())
)
_VAT = re.compile(rf"(?<![\w-])(?:{_OF_COUNTRIES})(?![\w])(?!-\d)")
_VAT_WORDS = re.compile(
    r"\b(?:vat|btw|ust|ust-id\w*|uid|mwst|tva|iva|p\.? ?iva|nip|moms|alv|dph|ddv|pdv|áfa|afm|α\.?φ\.?μ\.?|pvn|pvm|km|"
    r"kmkr|cui|cif|ндс|ддс|tax (?:id|no|number))\b",
    re.IGNORECASE,
)
_BEHIND_VAT = (
    r"(?:vat|btw|ust|mwst|tva|iva|p\.? ?iva|moms|dph)[ -]?(?:id(?:entification)?|reg(?:istration)?|reg\.)?[ .-]*"
    r"(?:no|nr|number|num|nummer|numero|numéro)?\.?[ \t]*[:#]?[ \t]*(?P<value>\d(?:[ .-]?\d){7,11})"
)
_VAT_BARE = re.compile(rf"\b{_BEHIND_VAT}(?![\w])(?![.,]\d)", re.IGNORECASE)


def vats(text: str, label: str = "") -> Iterator[Found]:
    """VAT numbers of the EU, the United Kingdom, Switzerland and Norway, with check digits.

    Without the country's letters: right behind words about VAT.
    """
    for m in _VAT.finditer(text):
        value = re.sub(r"[ .-]", "", m[0])
        if not _valid_vat(value):
            continue
        # DE123456788 says what it is; a short one or one of digits in groups might be an article.
        plain = len(value) >= 10 and not value.startswith(("RO", "CHE", "NO"))
        near = _near(text, m.start(), m.end())
        if (
            _VAT_WORDS.search(near)
            or _VAT_WORDS.search(label)
            or (plain and not _OTHER_NUMBERS.search(near) and not _OTHER_NUMBERS.search(label))
        ):
            yield Found("VAT", m.start(), m.end())
    for m in _VAT_BARE.finditer(text):
        value = re.sub(r"\D", "", m["value"])
        if any(_valid_vat(f"{c}{value}") for c, form in _VAT_FORMS.items() if re.fullmatch(form, value)):
            yield Found("VAT", m.start("value"), m.end("value"))


def _valid_vat(value: str) -> bool:
    match value[:2]:
        case "GB":
            return _stdnum("gb.vat")(value)
        case "CH":
            return _stdnum("ch.uid")(value)
        case "NO":
            return _stdnum("no.mva")(f"{value}MVA")
        case _:
            return _stdnum("eu.vat")(value)


# ---------------------------------------------------------------------- national numbers


class National(NamedTuple):
    """A number that a state gives to a person.

    Attributes:
        code: country and abbreviation, as in `be.nn`; also the module of python-stdnum that checks it.
        form: of its letters and digits.
        words: what people write beside it.
        written: a way of writing in which words beside it are not needed: other numbers are hardly ever written so, or
            (digits alone) one in a thousand at most passes its check. None where there is none.
    """

    code: str
    form: str
    words: str
    written: str | None = None


NATIONAL = (
    National("at.vnr", r"\d{10}", r"svnr|sv-?nummer|sozialversicherungs\w*|versicherungsnummer|vnr"),
    National("at.tin", r"\d{9}", r"steuernummer|abgabenkontonummer"),
    National(
        "be.nn",
        r"\d{11}",
        r"rijksregister\w*|registre national|nn|niss|insz|nationalregister\w*",
        r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}",
    ),
    National("be.bis", r"\d{11}", r"bis\b|bisnummer|rijksregister\w*|niss|insz", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"),
    National("bg.egn", r"\d{10}", r"egn|егн|единен граждански номер"),
    National("bg.pnf", r"\d{10}", r"lnch|лнч|pnf|personal number of a foreigner"),
    National("cy.vat", r"\d{8}[A-Z]", r"tic|tin|tax identification|α\.?φ\.?τ\.?"),
    National("cz.rc", r"\d{9,10}", r"rodn[ée] č[ií]slo|r\.? ?č\.?|rč", r"\d{6}/\d{4}"),
    National("de.idnr", r"\d{11}", r"steuer-?id\w*|steueridentifikationsnummer|idnr|id-nr|tin|steuerliche id\w*"),
    National(
        "de.rvnr",
        r"\d{8}[A-Z]\d{3}",
        r"rentenversicherung\w*|rvnr|sozialversicherung\w*|sv-nummer|versicherungsnummer",
        r"\d{2} \d{6} [A-Z] \d{3}|\d{8}[A-Z]\d{3}",
    ),
    National("dk.cpr", r"\d{10}", r"cpr|cpr-?(?:nr|nummer)|personnummer"),
    National("ee.ik", r"\d{11}", r"isikukood|personal (?:id|identification) code|ik"),
    National("es.dni", r"\d{8}[A-Z]", r"dni|nif|documento nacional"),
    National("es.nie", r"[XYZ]\d{7}[A-Z]", r"nie|extranjero", r"[XYZ]-?\d{7}-?[A-Z]"),
    National(
        "fi.hetu",
        r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]",
        r"hetu|henkilötunnus|personbeteckning",
        r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]",
    ),
    National(
        "fr.nir",
        r"\d{15}|\d\d{4}2[AB]\d{8}",
        r"nir|sécurité sociale|insee|n° ?ss",
        r"[12] \d\d \d\d \d[\dAB] \d{3} \d{3} \d\d",
    ),
    National("fr.nif", r"\d{13}", r"nif|spi|numéro fiscal|n° fiscal"),
    National("gr.amka", r"\d{11}", r"amka|α\.?μ\.?κ\.?α\.?"),
    National("gr.vat", r"\d{9}", r"afm|α\.?φ\.?μ\.?"),
    National("hr.oib", r"\d{11}", r"oib|osobni identifikacijski"),
    National("hu.taj", r"\d{9}", r"taj|tb szám|társadalombiztosítási"),
    National("hu.personal", r"\d{11}", r"személyi (?:szám|azonosító)|személyazonosító"),
    National("hu.tax", r"8\d{9}", r"adóazonosító\w*"),
    National("ie.pps", r"\d{7}[A-W][A-IW]?", r"pps|ppsn|pps no|personal public service", r"\d{7}[A-W][AHW]"),
    National(
        "it.codicefiscale",
        r"[A-Z]{6}[0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]",
        r"codice fiscale|c\.? ?f\.?",
        r"[A-Z]{6} ?\w{2} ?\w\w{2} ?\w{4,5}",
    ),
    National("lt.asmens", r"\d{11}", r"asmens kodas|a\.? ?k\.?"),
    National(
        "lu.matricule", r"\d{13}", r"matricule|cns|sozialversécherung\w*|numéro d'identification", r"(?:19|20)\d{11}"
    ),
    National("lv.pvn", r"\d{11}", r"personas kods|p\.? ?k\.?"),
    National("mt.id", r"\d{3,7}[MGAPLHBZ]", r"id card|identity card|karta tal-identità|id no"),
    National("nl.bsn", r"\d{8,9}", r"bsn|burgerservicenummer|sofi(?:nummer|-nummer)?"),
    National("pl.pesel", r"\d{11}", r"pesel"),
    National("pl.nip", r"\d{10}", r"nip"),
    National("pt.nif", r"\d{9}", r"nif|contribuinte|número fiscal"),
    National("pt.cc", r"\d{9}[A-Z0-9]{2}\d", r"cart[ãa]o de cidad[ãa]o|cc", r"\d{8} \d [A-Z]{2}\d|\d{8} \d[A-Z]{2}\d"),
    National("ro.cnp", r"\d{13}", r"cnp|cod numeric personal"),
    National(
        "se.personnummer",
        r"\d{10}|\d{12}|\d{6}[-+]\d{4}|\d{8}[-+]\d{4}",
        r"personnummer|pers\.? ?nr|pnr|samordningsnummer",
        r"(?:19|20)\d{6}-\d{4}",
    ),
    National("si.emso", r"\d{13}", r"em[šs]o"),
    National("si.ddv", r"\d{8}", r"davčna (?:številka|št)"),
    National("sk.rc", r"\d{9,10}", r"rodn[ée] č[ií]slo|r\.? ?č\.?|rč", r"\d{6}/\d{4}"),
    National("gb.nhs", r"\d{10}", r"nhs"),
    National(
        "gb.nino",
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]",
        r"national insurance|nino|ni (?:no|number)",
        r"[A-Z]{2} \d\d \d\d \d\d [A-D]",
    ),
    National("ch.ssn", r"756\d{10}", r"ahv|avs|avs-nr|ahv-nr|sozialversicherungs\w*", r"756\.\d{4}\.\d{4}\.\d\d"),
    National("no.fodselsnummer", r"\d{11}", r"fødselsnummer|fødselsnr|fnr|personnummer", r"\d{6} \d{5}"),
    National("is_.kennitala", r"\d{10}", r"kennitala|kt"),
    National("us.ssn", r"\d{9}", r"ssn|social security|soc\.? sec", r"\d{3}-\d{2}-\d{4}"),
    National("us.itin", r"9\d{8}", r"itin|taxpayer"),
    National("ca.sin", r"\d{9}", r"sin|social insurance|nas"),
    National("tr.tckimlik", r"\d{11}", r"t\.?c\.? ?kimlik\w*|kimlik no"),
    National("au.tfn", r"\d{8,9}", r"tfn|tax file"),
    National("br.cpf", r"\d{11}", r"cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d"),
)
# Said of numbers of any country: every one of them is tried.
_WORDS_OF_ANY = (
    r"(?:national (?:id|number|identity|identification)\w*|personal (?:id|number|identity|identification|code)\w*|"
    r"social security|citizen (?:id|number)|identity number|id number|tax id\w*|tin|ssn|nin|persoonsnummer|"
    r"personalausweisnummer|sozialversicherungsnummer|national_id|personal_id)"
)
_ANY_COUNTRY = re.compile(rf"\b{_WORDS_OF_ANY}\b", re.IGNORECASE)
# Documents whose numbers have no public check digit: the words right before them are the evidence.
_PAPERS = (
    r"(?:passport|reisepass|paspoort|passeport|passaporto|pasaporte|driv(?:er'?s?|ing) licen[cs]e|führerschein\w*|"
    r"rijbewijs|permis de conduire|patente di guida|permiso de conducir|personalausweis\w*|identiteitskaart|"
    r"carte d'identité|carta d'identità|id card|identity card|identity document)"
)
_DOCUMENT = re.compile(
    rf"\b{_PAPERS}[ ]?(?:number|no|nr|num|nummer|"
    r"n°|numéro|numero)?\.?"
    r"[ ]?(?:is|:|#|=|ist|est)?[ ]?(?P<value>(?=[A-Z0-9-]*\d{2})[A-Z0-9](?:-?[A-Z0-9]){5,14})(?!\w)",
    re.IGNORECASE,
)
# Runs of digits with what is written between them, and the forms that hold letters.
_RUN = re.compile(r"(?<![\w.,/+-])\d(?:[ ./-]?\d){6,18}(?![\w])(?![.,]\d)")
_LETTERED = re.compile(
    r"(?<![\w-])"
    r"(?:[A-Z]{6} ?[0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{3} ?[A-Z]|"
    r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]"
    r"|[XYZ][ -]?\d{7}[ -]?[A-Z]|\d{8}[ -]?[A-Z]|\d{7}[ ]?[A-W][A-IW]?|\d{3,7}[MGAPLHBZ]|\d{8} ?\d ?[A-Z0-9]{2}\d"
    r"|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]|\d{2} ?\d{6} ?[A-Z] ?\d{3}"
    r"|[12] ?\d\d ?\d\d ?2[AB] ?\d{3} ?\d{3} ?\d\d|\d{6,8}\+\d{4})"
    r"(?![\w-])"
)
_SEPARATORS = re.compile(r"[ ./-]")
_FORMS = tuple((n, re.compile(n.form), re.compile(n.written) if n.written else None) for n in NATIONAL)
_WORDS = {n.code: re.compile(rf"(?<![^\W_])(?:{n.words})(?![^\W_])", re.IGNORECASE) for n in NATIONAL}
_WORDS_OF_ALL = "|".join(n.words for n in NATIONAL)
_ANY_WORDS = re.compile(rf"(?<![^\W_])(?:{_WORDS_OF_ALL})(?![^\W_])", re.IGNORECASE)


def national_numbers(text: str, label: str = "") -> Iterator[Found]:
    """National numbers of the EU, its neighbours and others, and numbers of passports and driving licences.

    Args:
        label: the name of the field, which counts as words beside the number.
    """
    taken = 0
    for m in sorted((*_LETTERED.finditer(text), *_RUN.finditer(text)), key=lambda m: (m.start(), -m.end())):
        if m.start() >= taken and (end := _end_of_national(text, m, label)):
            taken = end
            yield Found("NATIONAL_ID", m.start(), end)
    for m in _DOCUMENT.finditer(text):
        yield Found("NATIONAL_ID", m.start("value"), m.end("value"))


@cache
def tells(label: str) -> bool:
    """Whether the name of a field says that national numbers are in it."""
    said = label.replace("_", " ")
    return bool(_ANY_COUNTRY.search(said) or _ANY_WORDS.search(said))


def _end_of_national(text: str, m: re.Match[str], label: str) -> int:
    """Where the national number that begins there ends; 0 where there is none.

    Of a run with spaces in it the number may be the first part, with another number behind it.
    """
    near = f"{_near(text, m.start(), m.end())} {label.replace('_', ' ')}"
    parts = [m[0]]
    if " " in m[0]:
        parts.append(m[0].split(" ")[0])
    for written in parts:
        if _is_national(written, near):
            return m.start() + len(written)
    return 0


def _is_national(written: str, near: str) -> bool:
    compact = _SEPARATORS.sub("", written)
    any_country = _ANY_COUNTRY.search(near)
    told = any_country or _ANY_WORDS.search(near)
    for national, form, alone in _FORMS:
        if not (told or alone) or not (form.fullmatch(compact) or form.fullmatch(written)):
            continue
        said = told and (any_country or _WORDS[national.code].search(near))
        by_form = alone is not None and alone.fullmatch(written) and not _OTHER_NUMBERS.search(near)
        if (said or by_form) and check_national(national.code, written):
            return True
    return False


def check_national(code: str, number: str) -> bool:
    """Whether the check digits of a national number are right (of `mt.id` and `gb.nino`, which have none: its form)."""
    if own := _OWN_CHECKS.get(code):
        return own(_SEPARATORS.sub("", number))
    return _stdnum(code)(number)


def _taj(value: str) -> bool:
    """Hungary's social security number (1996. évi XX. törvény): weights 3 and 7, mod 10."""
    digits = [int(c) for c in value]
    return sum(d * (3, 7)[i % 2] for i, d in enumerate(digits[:8])) % 10 == digits[8]


def _hungarian_personal(value: str) -> bool:
    """Hungary's personal number: a day of birth, weights up to 1997 from 1 to 10, since then from 10 to 1, mod 11."""
    digits = [int(c) for c in value]
    if not (1 <= digits[0] <= 8 and 1 <= int(value[3:5]) <= 12 and 1 <= int(value[5:7]) <= 31):
        return False
    return any(sum(d * w for d, w in zip(digits, weights, strict=False)) % 11 == digits[10] for weights in _HUNGARIAN)


_HUNGARIAN = (range(1, 11), range(10, 0, -1))


def _hungarian_tax(value: str) -> bool:
    """Hungary's tax number of persons (1996. évi XX. törvény): position times digit, mod 11."""
    digits = [int(c) for c in value]
    return value[0] == "8" and sum(d * (i + 1) for i, d in enumerate(digits[:9])) % 11 == digits[9]


def _matricule(value: str) -> bool:
    """Luxembourg's: a day of birth, then a Luhn digit and a Verhoeff digit, both over the first eleven."""
    if not (value[:2] in ("18", "19", "20") and 1 <= int(value[4:6]) <= 12 and 1 <= int(value[6:8]) <= 31):
        return False
    return _stdnum("luhn")(value[:12]) and _stdnum("verhoeff")(value[:11] + value[12])


def _rvnr(value: str) -> bool:
    """Germany's pension insurance number (VKVV § 4): the letter as two digits, weights, digit sums, mod 10."""
    digits = f"{value[:8]}{ord(value[8]) - 64:02}{value[9:]}"
    day, month = int(value[2:4]), int(value[4:6])
    if not (1 <= day % 50 <= 31 and 1 <= month <= 12):
        return False
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    total = sum(sum(divmod(int(d) * w, 10)) for d, w in zip(digits, weights, strict=False))
    return total % 10 == int(value[-1])


_OWN_CHECKS: dict[str, Callable[[str], bool]] = {
    "hu.taj": _taj,
    "hu.personal": _hungarian_personal,
    "hu.tax": _hungarian_tax,
    "lu.matricule": _matricule,
    "de.rvnr": _rvnr,
    "mt.id": lambda _: True,
    "gb.nino": lambda value: value[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"),
}

# ---------------------------------------------------------------------- what a row with any of them holds

_WORDS_FOR_IT = f"{_WORDS_OF_ANY}|{_WORDS_OF_ALL}".replace(r"\b", "")
# By what is looked for, in the syntax of Rust's engine, which has no looks ahead and behind: rows without these have
# none of it. `told` and `alone` are of national numbers.
SIGNS = {
    "iban": r"(?:^|[^A-Za-z0-9])[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]",
    "card": r"\d(?:[ -]?\d){11}",
    "told": rf"(?i)(?:^|[^a-z0-9])(?:{_PAPERS}|(?:{_WORDS_FOR_IT})(?:[^a-z0-9]|$))",
    "alone": "|".join(n.written for n in NATIONAL if n.written),
    "vat": rf"{_OF_COUNTRIES}|(?i:{_BEHIND_VAT})",
}
