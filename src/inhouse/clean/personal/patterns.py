"""E-mail addresses, telephone numbers, dates of birth and postal addresses: found by how they are written, and by the
words beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from inhouse.clean.personal.found import Found
from inhouse.clean.personal.names import given_names, words_of

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+'-]{0,63}[\w+]@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,24}(?![\w@])")


def emails(text: str) -> Iterator[Found]:
    """E-mail addresses (the usual subset of RFC 5322; letters of any script)."""
    return (Found("EMAIL", m.start(), m.end()) for m in _EMAIL.finditer(text)) if "@" in text else iter(())


# ---------------------------------------------------------------------- telephone

# Digits in groups; brackets round the area code or the trunk zero; an extension.
_NUMBER = re.compile(
    r"(?<![\w#+(/=@-])(?<!\d[.,:])(?P<plus>\+|"
    r"00(?=[1-9]))?(?P<body>\(?\d[\d()]*(?:[ \u00a0./-]{1,2}\(?\d[\d()]*){0,7})"
    r"(?P<extension>[ ]?(?:x|ext\.?|extension)[ ]?\d{1,6})?(?![\w@])(?![.,:]\d)"
)
_DIALS = (
    r"\b(?:tel|phones?|telephones?|telefoo?ns?|telefoonnummers?|telefono|teléfono|téléphone|telefonnummer|telefonu|"
    r"telefone|tlf|tfn|call(?:ed|s|ing)?|ring|rang|dial(?:ed|led)?|mobile?|mobiel|mobil|móvil|cell(?:ulare|"
    r"phone)?|gsm|"
    r"handy|portable|fax|telefax|text(?:ed)? me|sms|whatsapp|signal|hotline|landline|desk|switchboard|extension|"
    r"reach(?:ed|able)?|answering|pick(?:ing)? up|messages? to|voicemail|registered|bel(?:len|t)? (?:me|mij|ons|"
    r"naar|op)|gebeld|bereikbaar|"
    r"anruf(?:en)?|rufen?|erreichbar|erreichen|rückruf|appel(?:er|ez|ons)?|joindre|joignable|chiamare|chiamami|"
    r"llamar|llame|llámame|ligar|zadzwoń|dzwonić|puhelin|ring mig|komórka)\b|☎|📞|\b[tmf]:"
)
_DIALLED = re.compile(_DIALS, re.IGNORECASE)
_AFTER = re.compile(r"[ \t]*[-(]?[ \t]*(?:office|mobile|mobil|cell|fax|desk|home|work|phone)\b", re.IGNORECASE)
_NOT_DIALLED = re.compile(
    r"(?:invoice|order|article|item|sku|ean|gtin|isbn|barcode|ref(?:erence)?|account|serial|lot|batch|tracking|"
    r"factuur|rechnung|bestell\w*|artikel\w*|commande|facture|fattura|ordine|po|no|nr|number)\.?[ \t:#]*$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:[0-3]?\d[-./ ][01]?\d|[01]?\d[-./ ][0-3]?\d)[-./ ](?:(?:19|20)\d\d(?!\d)|\d\d(?![-./ ]?\d))"
    r"|(?:19|20)\d\d[-./ ][01]?\d[-./ ][0-3]?\d(?!\d)"
)
# How national numbers are written by people: a trunk zero and groups; an area code in brackets; three, three and four.
_TRUNK = re.compile(r"\(?0[1-9]\d{0,4}\)?(?:[ \u00a0./-]\d{2,8})+")
_AREA = re.compile(r"\(\d{1,5}\)[ -]?\d{2,4}(?:[ -]?\d{2,4}){1,3}")
_NORTH_AMERICAN = re.compile(r"(?:1[-. ])?(?:\([2-9]\d\d\) ?|\d{3}([-.]))\d{3}[-.]\d{4}")


# Signs of a number that is dialled, beside the words (see `numbers.SIGNS`): a plus, two zeros, brackets, groups.
DIAL_SIGNS = (
    r"\+|00[1-9]|\(\d|\d\)?[ \x{a0}./-]{1,2}\(?\d|(?i:" + _DIALS.replace(r"\b", r"(?-u:\b)") + r")"
    r"|\d[ \t]*[-(]?[ \t]*(?i:office|mobile|mobil|cell|fax|desk|home|work|phone)"
)


@cache
def dials(label: str) -> bool:
    """Whether the name of a field says that it is dialled."""
    return _DIALLED.search(label) is not None


def phones(text: str, label: str = "") -> Iterator[Found]:
    """Telephone numbers, international and national.

    Args:
        label: the name of the field, which counts as words before the number.
    """
    for m in _NUMBER.finditer(text):
        digits = sum(map(str.isdigit, m["body"]))
        if digits < 6 or digits > 15 or m["body"].count("(") != m["body"].count(")"):
            continue
        end = m.end() if m["extension"] else m.start("body") + len(m["body"].rstrip())
        if m["plus"]:
            if _international(m["plus"], m["body"]):
                yield Found("PHONE", m.start(), end)
        elif _national(text, m, digits, label):
            yield Found("PHONE", m.start(), end)


def _international(plus: str, body: str) -> bool:
    import phonenumbers

    bare = body.replace("(0)", "")
    try:
        number = phonenumbers.parse(f"+{bare}", None)
    except phonenumbers.NumberParseException:
        return False
    # Two zeros may begin any code: there the number must be one that the country gives out.
    return bool(phonenumbers.is_valid_number(number) if plus == "00" else phonenumbers.is_possible_number(number))


def _national(text: str, m: re.Match[str], digits: int, label: str) -> bool:
    body = m["body"]
    if _DATE.match(body) or ".-" in body:  # 01.02.-28.02.2025
        return False
    # The words that tell what it is stand between it and the number before.
    before = re.split(r"\d", text[max(0, m.start() - 40) : m.start()])[-1]
    if (digits >= 7 or m["extension"]) and (_DIALLED.search(before) or dials(label)):
        return True
    if _NOT_DIALLED.search(before):
        return False
    if digits >= 7 and _AFTER.match(text, m.end()):
        return True
    if _TRUNK.fullmatch(body):
        return 9 <= digits <= 12
    if _AREA.fullmatch(body):
        return 7 <= digits <= 12
    return bool(_NORTH_AMERICAN.fullmatch(body))


# ---------------------------------------------------------------------- birth

_WRITTEN_DATE = re.compile(
    r"(?<![\w/.-])(?:\d{1,2}[-./ ]\d{1,2}[-./ ](?:\d{4}|\d{2})|(?:18|19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}"
    r"|\d{1,2}(?:\.|st|nd|rd|th|er|e)?[ ](?:of |de )?[^\W\d_]{3,10}\.?,?[ ](?:de )?(?:18|19|20)\d\d"
    r"|[^\W\d_]{3,9}\.? \d{1,2}(?:st|nd|rd|th)?,? (?:18|19|20)\d\d)(?![\w/-])"
)
_BIRTH = re.compile(
    r"\b(?:born|birth ?(?:day|date)?|date of birth|d\.?o\.?b|geboren|geb|geboorte\w*|geburts\w*|né|née|naissance|"
    r"nat[oa]|nascita|nacid[oa]|nacimiento|nascid[oa]|nascimento|urodzon[ya]|urodzenia|narozen\w*|född|født|"
    r"syntynyt|született|născut[ăa]?)\b",
    re.IGNORECASE,
)


def birth_dates(text: str) -> Iterator[Found]:
    """Dates beside words about birth."""
    for cue in _BIRTH.finditer(text):
        if m := _WRITTEN_DATE.search(text, cue.end(), cue.end() + 40):
            yield Found("BIRTH_DATE", m.start(), m.end())


# ---------------------------------------------------------------------- address

_WORD = r"[^\W\d_][\w'’.-]{0,30}"
_HOUSE = r"\d{1,5}(?:[ ]?[-/][ ]?\d{1,4})?(?:[ ]?[a-zA-Z])?(?![\w*])"
_ENGLISH = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Sq|Squares|Terrace|"
    r"Crescent|Close|"
    r"Highway|Hwy|Parkway|Pkwy|Way|Place|Pl|Gardens|Grove|Row|Mews|Circle|Trail|Streets|Roads|Alley)"
)
# Ends of words, with and without a space before: Hauptstraße, Lange Straße, Kerkstraat, Kungsgatan, Erzsébet tér.
_SUFFIX = (
    r"(?:stra(?:ß|ss)e|str\.|weg|gasse|platz|allee|ufer|damm|chaussee|straat|laan|plein|gracht|kade|dijk|singel|steeg|"
    r"hof|park|vej|vænget|gade|allé|vägen|gatan|gata|veien|gate|terrasse|katu|kuja|tie|polku|utca|út|u\.|tér|krt\.|"
    r"ulice|náměstí|třída|iela|gatvė|tänav|puiestee)"
)
_LINK = r"(?:de|du|des|del|della|dei|di|da|do|dos|la|le|les|las|los|l'|d'|van|den|der|och|i|y|e)"
_PREFIX = (
    r"(?:rue|avenue|av\.|boulevard|bd|chemin|impasse|allée|quai|cours|route de|place|via|viale|piazza|corso|vicolo|"
    r"largo|strada|calle|c/|avenida|avda\.?|paseo|plaza|carrer|rua|travessa|praça|ul\.|ulica|aleja|al\.|os\.|str\.|"
    r"strada|bulevardul|ulice|οδός|λεωφόρος|λ\.)"
)
_BOX = r"P\.?[ ]?O\.?[ ]?Box|Postfach|Postbus|Boîte postale|Apartado|Casella postale"
# A sentence about a street is no address: a house number must stand beside it.
_CAPITAL = r"(?-i:[^\W\d_a-z])[\w'’.-]{0,30}"
_NOUN = r"(?:Stra(?:ß|ss)e|Str\.|Weg|Gasse|Platz|Allee|Ufer|Damm|Chaussee)"
# The number of the house behind a street; the end of what is a flat with its number still to come.
_BEHIND = re.compile(r",?[ ]\d{1,3}(?:[ ]?[-/][ ]?\d{1,3})?[a-z]?(?![\w.])")
_UNIT_NEXT = re.compile(r"(?:apt|apartment|suite)\.?$", re.IGNORECASE)
_STREET = re.compile(
    rf"(?<![\w#])(?:"
    rf"(?:\d{{1,6}}[ ])?{_HOUSE},?[ ](?:{_CAPITAL}[ ]){{1,4}}?(?-i:{_ENGLISH})\b\.?"
    rf"|(?P<before>(?:{_CAPITAL}[ ]){{0,3}})(?-i:[^\W\d_a-z])[\w'’.-]{{0,30}}{_SUFFIX},?[ ](?:(?:nr|no|č)\.?[ ])?"
    rf"{_HOUSE}"
    rf"|(?P<words>{_CAPITAL}(?:[ ]{_WORD}){{0,2}})[ ](?-i:(?P<suffix>{_SUFFIX}|{_NOUN})),?[ ]{_HOUSE}"
    rf"|(?P<number>(?:\d{{1,6}}[ ])?\d{{1,5}}(?:[ ]?(?:bis|ter|[a-d]))?,?[ ]){_PREFIX}[ ](?:{_LINK}[ ])*"
    rf"{_CAPITAL}(?:[ ](?:{_LINK}[ ])*{_CAPITAL}){{0,3}}"
    rf"|{_PREFIX}[ ](?:{_LINK}[ ])*{_CAPITAL}(?:[ ](?:{_LINK}[ ])*{_CAPITAL}){{0,3}},?[ ]{_HOUSE}"
    rf"|(?:\d{{3,6}}[ ])?{_WORD}(?:[ ]{_WORD}){{0,3}}[ ]{_HOUSE}(?=[,\s]{{1,6}}(?:apt|apartment|suite)\.?[ ]\d)"
    rf"|(?:\d{{1,6}}[ ]){{1,2}}{_CAPITAL}(?:[ ]{_WORD}){{0,3}}(?=[,\s]{{1,6}}(?:apt|apartment|suite)\.?[ ]\d)"
    rf"|Unit[ ]\d{{1,5}}[ ]Box[ ]\d{{1,5}}(?:\s+[ADF]PO[ ]A[AEP][ ]\d{{5}})?"
    rf"|PSC[ ]\d{{1,5}},[ ]Box[ ]\d{{1,6}}(?:\s+[AF]PO[ ]A[AEP][ ]\d{{5}})?"
    rf"|(?:{_BOX})[ ]\d{{1,7}}"
    rf")",
    re.IGNORECASE,
)
_UNIT = r"(?:apt|apartment|suite|ste|unit|flat|floor|top|stiege|bus|étage|piso|interno|byt)\.?[ ]?#?\w{1,6}\b"
_POSTCODE = (
    r"(?:(?:[A-Z]{1,2}-)?\d{4,6}(?:[ ][A-Z]{2}\b)?|\d{3}[ ]\d{2}|\d{2}-\d{3}|"
    r"[A-Z]{1,2}\d[A-Z\d]?[ ]\d[A-Z]{2})(?![\w-])"
)
_PART = r"[^\W\d_][^\n,;:?!\d]{0,30}"
# Behind the street: a flat, up to three parts of it (district, town, country), the postal code, its town. Without a
# comma or a new line these are words with capitals, and a year is no postal code: Havenkade 5 schoonmaak 2025.
_TAIL = re.compile(
    rf"(?:[,\s]{{1,6}}(?i:{_UNIT})){{0,2}}(?:(?:(?=[ ]?[,\n])(?:[,\s]{{1,6}}{_PART}){{0,3}}?[,\s]{{1,6}}"
    rf"|(?:[ ]{{1,3}}{_CAPITAL}){{0,4}}?[ ]{{1,3}}(?!(?:19|20)\d\d\b(?![ ][A-Z]{{2}}\b))){_POSTCODE}"
    rf"(?:[ ](?:{_CAPITAL}[ ]?){{1,3}})?)?"
)
_ANNOUNCES = (
    r"(?:address(?:es)?|adresse|adres|anschrift|indirizzo|dirección|domicilio|endereço|morada|adresa|osoite|osoitteeni|"
    r"cím)(?:[ ]?[:=]|[ ]is|[ ]ist|[ ]est)"
)
_ADDRESS_IS = re.compile(
    rf"(?<!ip )(?<!mail )(?<!web )(?<!mac )(?<!site )\b{_ANNOUNCES}"
    r"\s{0,4}(?=[^\n]{0,60}\d)(?P<line>[^\n?!;]{6,90})",
    re.IGNORECASE,
)
# Signs of an address in a row (see `numbers.SIGNS`).
PLACE_SIGNS = (
    rf"[ ]{_ENGLISH}(?-u:\b)|(?i:{_SUFFIX}),?[ ](?i:(?:nr|no|č)\.?[ ])?\d"
    rf"|(?i:{_PREFIX})[ ](?i:{_LINK}[ ])*[^\W\d_a-z]|(?i:apt|apartment|suite)\.?[ ]\d"
    rf"|(?i:Unit[ ]\d|PSC[ ]\d|(?:{_BOX})[ ]\d|{_ANNOUNCES})"
)


def addresses(text: str) -> Iterator[Found]:
    """Postal addresses: a street with its number and what follows of it, or what `address:` announces."""
    for m in _STREET.finditer(text):
        start, end = _street_in(m)
        yield Found("ADDRESS", start, _end_of_address(text, end))
    for m in _ADDRESS_IS.finditer(text):
        line = re.split(r"\.\s", m["line"])[0].rstrip(" .,")
        if any(map(str.isdigit, line)) and any(map(str.isalpha, line)):
            yield Found("ADDRESS", m.start("line"), _end_of_address(text, m.start("line") + len(line)))


def _street_in(street: re.Match[str]) -> tuple[int, int]:
    """Where street and house begin and end: without words and numbers before them that are no part of them."""
    start, end = street.span()
    if (
        street["number"]
        and "," not in street["number"]
        and not _UNIT_NEXT.search(street[0])
        and (house := _BEHIND.match(street.string, end))
    ):
        return street.end("number"), house.end()  # Bolletta 3 Via Roma 5
    if street["before"]:
        return start + _unlike_streets(street["before"], 0), end
    if street["suffix"] and re.fullmatch(_NOUN, street["suffix"]):
        return start + _unlike_streets(street["words"], 1), end  # Lange Straße: the last word is of it
    return start, end


def _unlike_streets(words: str, least: int) -> int:
    """How many characters of words before a street are no part of its name; the last `least` words are."""
    found = list(re.finditer(r"[^ ]+", words))
    kept = len(found) - least
    while kept > 0 and _may_be_of_street(found[kept - 1][0]):
        kept -= 1
    return found[kept].start() if kept < len(found) else len(words)


def _may_be_of_street(word: str) -> bool:
    plain = word.rstrip(".")
    return (
        plain.casefold() in words_of("of_streets.txt") or plain in given_names() or (len(plain) == 1 and plain != word)
    )


def _end_of_address(text: str, end: int) -> int:
    tail = _TAIL.match(text, end)
    return tail.end() if tail else end
