"""Names of persons: by what stands before them (titles, greetings, introductions, signatures, labels), by usual given
names, and by what the same data has introduced elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from functools import cache, lru_cache
from importlib import resources

from inhouse.clean.personal.found import Found

_CAPITALS = "".join(c for c in map(chr, range(0x41, 0x530)) if c.isupper())
_SMALL = r"[^\W\d_]"
_LETTERS = rf"{_SMALL}*(?:['’‘-]{_SMALL}+)*(?!\w)"
_WORD = rf"[{_CAPITALS}]{_LETTERS}"
_INITIAL = rf"[{_CAPITALS}]\."
_LINK = (
    r"(?:van der|van den|van de|van 't|van|von der|von und zu|von|vom|zu|zur|de la|de los|de|del|della|di|da|dos|"
    r"do|du|des|"
    r"le|la|ter|ten|te|el|al|bin|ben|af|av|y|den|der)"
)
NAME = (
    rf"(?:(?:{_INITIAL}[ -]?){{0,4}}(?:{_LINK}[ ])?{_WORD})"
    rf"(?:[ ](?:{_INITIAL}[ ]){{0,3}}(?:{_LINK}[ ]){{0,2}}{_WORD}){{0,3}}"
)
_TITLE = (
    r"(?:(?:Mr|Mrs|Ms|Miss|Mister|Madam|Sir|Lady|Dr|Prof|Professor|Herrn?|Frau|Fräulein|Hr|Fr|Dhr|Mevr|Mevrouw|"
    r"Meneer|Mw|"
    r"Mme|Mlle|Monsieur|Madame|Mademoiselle|Sig|Sig\.ra|Signore?|Signora|Dott|Dott\.ssa|Avv|Sra|Señora?|Don|Doña|"
    r"Senhora?|Pan|Pani|Paní|Fru|Rva|Ing|Ir|Drs|Mag|Rev|Familie|Hr\.|Fr\.)\.?|M\.|Sr\.|mr\.?|mrs\.?|ms\.?|dr\.|prof\.|"
    r"dhr\.?|mevr\.?|mw\.|mevrouw|meneer|heer|fru|herr|frau|de heer)"
)
_TITLED = re.compile(rf"(?<![\w.])(?:{_TITLE}[ ]+)+(?P<name>{NAME})")
_INTRODUCED = re.compile(
    r"(?i:(?<!its )(?<!company )(?<!product )\b(?:(?:first |last |full |maiden |family |sur)?name(?: is|'s|"
    r"s are)|name on (?:the|my) (?:account|card)\w*\??"
    r"(?: user:| is)?|(?:calls?|called|named) (?:me|him|her)|change it to|correct it to|under my \w+(?:'s)? name|"
    r"(?:it's|it is) under|"
    r"ik heet|(?:mijn )?naam is|(?:mein )?name ist|ich heiße|ich heisse|je m['’]appelle|(?:mon )?nom est|mi chiamo|"
    r"(?:mio )?nome è|me llamo|(?:mi )?nombre es|(?:meu )?nome é|nazywam się|mam na imię|jmenuji se|jag heter|"
    r"jeg hedder|"
    r"jeg heter|nimeni on|a nevem|(?:this is|here is|hier ist|met|ici)(?= \w+ \w)))"
    rf"[ :]+(?:{_TITLE}[ ]+)?(?P<name>{NAME})"
)
_LABELLED = re.compile(
    r"(?i:(?:^|[\n,;|\t]|[.?] )[ \t]*(?:[a-z]+ )?(?:(?:sur|last |first |full |user |contact |customer |"
    r"account )?name|contact(?: person)?|"
    r"contactpersoon|attn|attention|fao|t\.?a\.?v\.?|z\. ?hd?\.|ansprechpartner(?:in)?|kund(?:e|in)|klant|client|"
    r"patient|"
    r"employee|sender|recipient|candidate|applicant|tenant|owner|author|signed|manager|cashier|driver|naam|nom|prénom|"
    r"nome|cognome|nombre|apellidos?|vorname|nachname|achternaam|voornaam|mieter(?:in)?|huurder|bewoner|"
    r"account holder|"
    r"cardholder|kontoinhaber(?:in)?|bearbeiter(?:in)?|sachbearbeiter(?:in)?|verfasser(?:in)?|opgesteld door|"
    r"imię|nazwisko|"
    r"navn|namn|nimi|jméno|név)\??[ \t]*[:=][ \t]*)"
    rf"(?:{_TITLE}[ ]+)?(?P<name>{NAME})(?=[ \t]*(?:$|[\n,;|<(/\t.]|[–-] ))",
    re.MULTILINE,
)
_GREETED = re.compile(
    r"(?:^|[\n.!?:\"“>] ?)[ \t]*(?i:dear|hello|hi|hey|hallo|hoi|beste|geachte|lieber?|liebes|sehr geehrte[rs]?|"
    r"guten tag|cher|chère|"
    r"bonjour|gentile|egregio|caro|cara|ciao|estimad[oa]|hola|querid[oa]|prezad[oa]|car[oa]|olá|cześć|"
    r"szanown[ya]|ahoj|"
    r"kære|hej|kjære|kära|tisztelt|kedves|good (?:morning|afternoon|evening))[ ]+"
    rf"(?:{_TITLE}[ ]+)?(?P<name>{NAME})(?=[ \t]*(?:[,!.:;\n–-]|$))"
)
_SIGNED = re.compile(
    r"(?i:regards|sincerely|yours truly|faithfully|best wishes|all the best|(?:cheers|many thanks|thanks|"
    r"thank you)(?=[,!])|grüßen?|grüssen?|"
    r"gruß|gruss|groet(?:en)?|hoogachtend|cordialement|salutations(?: distinguées)?|saluti|saludos|atentamente|"
    r"cumprimentos|hilsen|hälsningar|terveisin|pozdrawiam|poważaniem|pozdravem|üdvözlettel)[,.!]?[ \t]*\n\s*"
    rf"(?:{_TITLE}[ ]+)?(?P<name>{NAME})(?=[ \t]*(?:[,\n]|$))"
)
_ACTING = re.compile(
    r"(?i:\b(?:said|signed by|written by|directed by|sung by|starring|spoke (?:to|with)|speak (?:to|with)|met with|"
    r"contact|ask for|on behalf of|accompanied by|represented by|approved by|authori[sz]ed by|prepared by|handled by|"
    r"assistant to|follow up with|attn|c/o|cc|namens|t\.n\.v\.|im namen von|im auftrag von|i\. ?a\.|de la part de|"
    r"afspraak|termin mit|gesprek met|gesproken met|rücksprache mit)[ ]+)"
    rf"(?:{_TITLE}[ ]+)?(?P<name>{NAME})"
)
_STATED = re.compile(
    rf"(?:^|[\n.!?\"“] ?)(?P<name>{NAME})(?:,? (?:said|says|lives|lived|is a very|had given|spent|listed|"
    r"moved|wrote|called|asked|told us|replied|signed|reports|complained|wohnt|schrieb|sagte|woont|belde|schreef|"
    r"habite)\b)"
)
_CUES = (_TITLED, _INTRODUCED, _LABELLED, _GREETED, _SIGNED)
_ARTICLES = frozenset(("de", "het", "la", "le", "les", "el", "los", "las", "das", "die", "der", "il", "lo", "the"))
# Of these the name has two words at least: a single one may be a place or a company.
_WEAK_CUES = (_ACTING, _STATED)

_COMPANY = re.compile(
    r",? ?(?:&|\+|and Sons|GmbH|AG\b|KG\b|OHG|UG\b|e\.V\.|B\.?V\.?\b|N\.?V\.?\b|V\.?O\.?F\.?\b|Ltd|Limited|LLC|"
    r"LLP|PLC|plc|Inc|Corp|Corporation|"
    r"Co\b|Company|SARL|S\.?A\.?S?\b|SAS\b|S\.?r\.?l|S\.?p\.?A|S\.?L\.?\b|Oy\b|AB\b|ApS|A/S|AS\b|Sdn|SDN|Bhd|Pty|"
    r"Group|Gruppe|Holding|"
    r"Bank|Hotel|Restaurant|Stores?|Shop|Enterprises?|Trading|Orchestra|University|School|Club|Street|Road|"
    r"Avenue|Lane|"
    r"Airport|Station|County|Stiftung|Foundation|Institute?|International|Services?|Solutions|Systems|Technik|Bau\b|"
    r"Elektro|Hospital|Museum|Park|Bridge|River|Award|Prize|Hall|House|Inn|Hill|Creek|"
    r"Point|College|Church|Theatre|Cathedral|Square|Flat|Union|Bay|Beach|Island|Lake|Valley|Centre|Center|"
    r"Building|Tower|Farm)"
)


@cache
def words_of(file: str) -> frozenset[str]:
    """The words of a list that comes with this package."""
    lines = resources.files(__package__).joinpath(file).read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def given_names() -> frozenset[str]:
    """Usual given names."""
    return words_of("given_names.txt")


_GIVEN = re.compile(
    rf"(?P<given>[{_CAPITALS}](?<![\w@./-].){_LETTERS})(?P<rest>(?:[ ](?:{_INITIAL}|[{_CAPITALS}](?=[ ])|{_LINK}[ ]|"
    rf"{_WORD})){{0,5}})(?![\w@])"
)
_ONE_WORD = re.compile(_WORD)
_REST = re.compile(rf"(?:[ ](?:{_INITIAL}|{_LINK}(?=[ ])|{_WORD})){{0,5}}[ ]{_WORD}")
_WITH_INITIAL = re.compile(
    rf"(?<![\w@./-])[{_CAPITALS}]{_SMALL}{{2,}} [{_CAPITALS}]\.? (?:{_LINK} )?[{_CAPITALS}]{_SMALL}{{2,}}(?:-{_WORD})?"
)


def cued_persons(text: str) -> Iterator[Found]:
    """Names of persons by what stands beside them or by an initial, beside those that are `introduced`."""
    for pattern in _WEAK_CUES:
        for m in pattern.finditer(text):
            start, end = _clipped(text, m.start("name"), m.end("name"))
            words = text[start:end].split(" ")
            if len(words) > 1 and words[0].casefold() not in _ARTICLES:
                yield Found("PERSON", start, end)
    for m in _WITH_INITIAL.finditer(text):
        start, end = _clipped(text, m.start(), m.end())
        if (start, end) == m.span() and m[0].split(" ")[1].endswith("."):
            yield Found("PERSON", start, end)


def named_persons(text: str, learned: Set[str] = frozenset()) -> Iterator[Found]:
    """Names of persons that begin with a usual given name, or with one of `learned` that the same data introduced."""
    usual = given_names()
    for m in _GIVEN.finditer(text):
        words = m[0].split(" ")
        if usual.isdisjoint(words) and learned.isdisjoint(words):
            continue
        for word in _ONE_WORD.finditer(m[0]):
            if word[0] in usual or word[0] in learned:
                rest = _REST.match(m[0], word.end())
                start, end = _clipped(text, m.start() + word.start(), m.start() + (rest.end() if rest else word.end()))
                if " " in text[start:end] or (end > start and word[0] not in words_of("also_words.txt")):
                    yield Found("PERSON", start, end)
                break


def introduced(text: str) -> Iterator[tuple[int, int]]:
    """Where names stand that the words before them introduce."""
    for pattern in _CUES:
        for m in pattern.finditer(text):
            start, end = _clipped(text, m.start("name"), m.end("name"))
            if end > start:
                yield start, end


def _clipped(text: str, start: int, end: int) -> tuple[int, int]:
    """A name without the words before and behind it that are none; empty where it is a company's, or none is left."""
    return start, start if _COMPANY.match(text, end) else start + _kept(text[start:end])


@lru_cache(1 << 14)  # the names of a company's papers come again and again
def _kept(name: str) -> int:
    """How many characters of it are the name."""
    if _COMPANY.search(name):
        return 0
    words = list(re.finditer(r"[^ ]+", name))
    kept = words
    for i, word in enumerate(words):
        if word[0].casefold().strip(".'’") in words_of("no_names.txt"):
            kept = words[:i]
            break
    if len(kept) > 1 and kept[-1][0].isupper() and not kept[0][0].isupper():  # Nora Quintmoor BSN
        kept = kept[:-1]
    while kept and re.fullmatch(_LINK, kept[-1][0]):
        kept = kept[:-1]
    if not kept or not any(len(w[0].rstrip(".")) > 1 for w in kept):
        return 0
    last = kept[-1].end()
    return last - 2 if name[last - 2 : last] in ("'s", "’s") else last
