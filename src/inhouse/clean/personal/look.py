"""Everything of the kinds in a dataset: a quick pass picks the rows that may hold something, slow looks follow there.

The quick pass is one regular expression a group of detectors, over thousands of rows at a time in Rust (polars). Its
expressions must match wherever the detectors would find something.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from inhouse.clean.personal.fields import holds, kind_of_field
from inhouse.clean.personal.found import PLACEHOLDER, Found
from inhouse.clean.personal.names import cued_persons, given_names, introduced, named_persons
from inhouse.clean.personal.numbers import SIGNS, cards, ibans, national_numbers, tells, vats
from inhouse.clean.personal.patterns import DIAL_SIGNS, PLACE_SIGNS, addresses, birth_dates, dials, emails, phones
from inhouse.clean.personal.pieces import Columns, Piece, Texts, parts_of, pieces, rows_of
from inhouse.clean.personal.secrets import secrets
from inhouse.core import Dataset, Kind
from inhouse.core.cores import MANY, over_cores

# Rows that a process is given at a time.
BATCH = 20_000
# A given name that is introduced in so many rows is one wherever it stands.
LEARNED = 2
# Names that the data introduces are looked for in all of it, up to so many.
MOST_NAMES = 50_000

# Borders of words: Rust's engine is fast with those of ASCII alone; words of other letters have no letter beside them.
_EDGE = r"(?:^|[^\pL])"
_TITLES = (
    r"(?:[Mm]r|[Mm]rs|[Mm]s|Miss|Mister|Madam|Sir|Lady|[Dd]r|[Pp]rof|Professor|[Hh]err|Herrn|[Ff]rau|Fräulein|Fr|"
    r"Hr|[Dd]hr|"
    r"[Mm]evr|[Mm]evrouw|[Mm]eneer|[Hh]eer|[Mm]w|Mme|Mlle|Monsieur|Madame|Mademoiselle|Sig|Signor|Signore|"
    r"Signora|ra|Dott|"
    r"ssa|Avv|Sr|Sra|Señora?|Don|Doña|Senhora?|Pan|Pani|Paní|[Ff]ru|Rva|Ing|Ir|Drs|Mag|Rev|Familie|M)"
)
# Words after which a name may stand, and words before which.
_BEFORE_NAMES = (
    r"name|names are|name(?:'s| is| ist)|user|(?:call|calls|called|named) (?:me|him|her)|change it to|correct it to|"
    r"under|heet|naam is|heiße|heisse|appelle|nom est|chiamo|nome è|nome é|llamo|nombre es|nazywam się|imię|"
    r"jmenuji se|"
    r"heter|hedder|nimeni on|a nevem|this is|here is|hier ist|met|ici|contact|person|persoon|attn|attention|fao|"
    r"t\.?a\.?v|z\. ?hd?|ansprechpartner(?:in)?|kunde|kundin|klant|client|patient|employee|sender|recipient|candidate|"
    r"applicant|tenant|owner|author|signed|manager|cashier|driver|naam|nom|prénom|nome|cognome|nombre|apellidos?|"
    r"[a-zà-ÿ]*name|achternaam|voornaam|mieter(?:in)?|huurder|bewoner|[a-z]*holder|kontoinhaber(?:in)?|"
    r"[a-z]*bearbeiter(?:in)?|verfasser(?:in)?|opgesteld door|nazwisko|navn|namn|nimi|jméno|név|dear|hello|hi|"
    r"hey|hallo|"
    r"hoi|beste|geachte|liebe[rs]?|geehrte[rs]?|guten tag|cher|chère|bonjour|gentile|egregio|car[oa]|ciao|"
    r"estimad[oa]|hola|"
    r"querid[oa]|prezad[oa]|olá|cześć|szanown[ya]|ahoj|kære|hej|kjære|kära|tisztelt|kedves|morning|afternoon|evening|"
    r"regards|sincerely|truly|faithfully|wishes|the best|cheers|thanks|thank you|gr[uü](?:ß|ss)(?:en?)?|groet(?:en)?|"
    r"hoogachtend|cordialement|salutations(?: distinguées)?|saluti|saludos|atentamente|cumprimentos|hilsen|hälsningar|"
    r"terveisin|pozdrawiam|poważaniem|pozdravem|üdvözlettel|said|(?:signed|written|directed|sung|accompanied|"
    r"represented|"
    r"approved|authori[sz]ed|prepared) by|handled by|starring|(?:spoke|speak) (?:to|with)|met with|ask for|"
    r"on behalf of|"
    r"assistant to|follow up with|c/o|cc|namens|t\.n\.v|namen von|auftrag von|i\. ?a|part de|afspraak|termin mit|"
    r"gesprek met|gesproken met|rücksprache mit"
)
_AFTER_NAMES = (
    r"said|says|lives|lived|is a very|had given|spent|listed|moved|wrote|called|asked|told us|replied|signed|reports|"
    r"complained|wohnt|schrieb|sagte|woont|belde|schreef|habite"
)
_LINKS = r"(?:(?:van|von|vom|ter|ten|te|de|den|der|da|di|dos|do|du|del|della|la|le|zu|zur|el|al) )*"
_CUED = (
    rf"(?-u:\b)(?:{_TITLES}\.? +){_LINKS}\p{{Lu}}(?:[\pL.]|['’]\p{{Lu}})|"
    rf"{_EDGE}(?i:{_BEFORE_NAMES})\.?(?:[?]?[ \t]*[:=][ \t]*| |[,.!]?[ \t]*\n\s*)"
    rf"(?:{_TITLES}\.? +)*{_LINKS}\p{{Lu}}(?:[\pL.]|['’]\p{{Lu}})|"
    rf"\p{{Lu}}[\pL.'’-]* \p{{Lu}}[\pL'’-]+,? (?:{_AFTER_NAMES})(?-u:\b)|"
    rf"(?-u:\b)\p{{Lu}}\pL+ \p{{Lu}}\. "
)
_SIX_DIGITS = r"\d(?:[ \x{a0}.\-/()]{0,2}\d){5}"
_BORN = (
    r"(?i)born|birth|d\.?o\.?b|(?-u:\b)geb|(?-u:\b)n[eé]e? |naissance|nat[oa] |nascita|nacid|nacimi|nasc|urodz|naroz|"
    r"f[øö]d[dt]|synty|születe|născut"
)
_SECRET = (
    r"(?i)(?:pass\w{0,6}|pwd|wachtwoord|kennwort|mdp|mot de passe|parola(?: d'ordine)?|contraseña|palavra-passe|senha|"
    r"has[lł]o|heslo|lösenord|adgangskode|salasana|secret\w*|[_ -]key|token|pin|code)[\"'`]?[ \t]*(?:[:=]|is |"
    r"was |ist |"
    r"lautet |est |è |es |luidt )|private key|eyj|bearer |basic |://[^\s/@]+:|[A-Z0-9+/_\-.]{20}|xox|sk-|[sr]k_"
)


# What is looked for in rows with a digit alone.
_WITH_DIGITS = {**SIGNS, "digits": _SIX_DIGITS, "dialled": DIAL_SIGNS, "born": _BORN, "placed": PLACE_SIGNS}
# Signs that say nothing by themselves.
_BESIDE = ("dialled",)


class _Names(NamedTuple):
    """Given names and whole names that the data introduces."""

    given: frozenset[str]
    full: frozenset[str]


class _Introduced(NamedTuple):
    """Where a part of the rows introduces names, by text, how often each given name, and the whole names."""

    spans: dict[str, list[tuple[int, int]]]
    first: Counter[str]
    full: list[str]


class _Seen(NamedTuple):
    """What the quick pass says of a part of the rows: by group of detectors the places in the part, what it tells about
    names, and the places of rows with a field whose name says what it holds."""

    hits: dict[str, set[int]]
    names: _Introduced
    by_field: list[int]


def personal(dataset: Dataset, kind: Kind) -> dict[int, list[tuple[Piece, Found]]]:
    """Personal data by position, each stretch once, in the order of the example's texts."""
    many = len(dataset.examples) > MANY
    seen = list(over_cores(partial(_personal_signs, kind=kind), parts_of(dataset.examples, BATCH), many=many))
    names = _learned([part.names for part in seen])
    looks = zip(parts_of(dataset.examples, BATCH), seen, strict=True)
    found = over_cores(partial(_personal_of, kind=kind, names=names), looks, many=many)
    return _by_position(found)


def secret(dataset: Dataset, kind: Kind) -> dict[int, list[tuple[Piece, Found]]]:
    """Keys and passwords by position; see `personal`."""
    many = len(dataset.examples) > MANY
    return _by_position(over_cores(partial(_secrets_of, kind=kind), parts_of(dataset.examples, BATCH), many=many))


def _by_position(found: Iterable[dict[int, list[tuple[Piece, Found]]]]) -> dict[int, list[tuple[Piece, Found]]]:
    """What was found in each part, by the position in the dataset."""
    return {number * BATCH + place: stretches for number, part in enumerate(found) for place, stretches in part.items()}


def _personal_signs(part: Columns, kind: Kind) -> _Seen:
    rows = rows_of(part)
    hits = _hits(rows, {"@": "@", "cued": _CUED, "given": _given_pattern()}, kind)
    hits |= _hits(rows, _WITH_DIGITS, kind, where=r"\d")
    return _Seen(hits, _introduced(rows, hits["cued"], kind), list(_by_field(rows, "personal_data", kind)))


def _personal_of(part: tuple[Columns, _Seen], kind: Kind, names: _Names) -> dict[int, list[tuple[Piece, Found]]]:
    """The personal data of a part of the rows, by the place in it."""
    rows, seen = rows_of(part[0]), part[1]
    known = [*names.full, *(f"{name} " for name in names.given)]
    hits = {**seen.hits, "again": _hits_of_words(rows, known, kind) if names.full else set[int]()}
    alone = [places for group, places in hits.items() if group not in _BESIDE]
    found: dict[int, list[tuple[Piece, Found]]] = {}
    for place in sorted(set[int]().union(*alone, seen.by_field)):
        there = {group for group, places in hits.items() if place in places}
        if stretches := _of_example(rows[place], kind, there, names, seen.names.spans):
            found[place] = stretches
    return found


def _secrets_of(part: Columns, kind: Kind) -> dict[int, list[tuple[Piece, Found]]]:
    """The keys and passwords of a part of the rows, by the place in it."""
    rows, found = rows_of(part), {}
    for place in sorted(_hits(rows, {"secret": _SECRET}, kind)["secret"].union(_by_field(rows, "secret", kind))):
        stretches = [
            (piece, one)
            for piece in pieces(rows[place], kind)
            for one in _apart(piece.text, [*_of_field(piece, ("PASSWORD", "API_KEY")), *secrets(piece.text)])
        ]
        if stretches:
            found[place] = _repeated(rows[place], kind, stretches)
    return found


# ---------------------------------------------------------------------- the quick pass


def _given_pattern() -> str:
    return rf"{_EDGE}(?:{'|'.join(sorted(given_names()))})(?:[^\pL]|$)"


def _hits(rows: Sequence[Texts], patterns: dict[str, str], kind: Kind, where: str = "") -> dict[str, set[int]]:
    """The places of the rows in which each pattern is found, in one pass over the texts.

    Args:
        where: a pattern without which none of the others is looked for.
    """
    import polars as pl

    texts = pl.DataFrame({"text": [_joined(row, kind) for row in rows]}).with_row_index("place")
    if where:
        texts = texts.filter(pl.col("text").str.contains(where))
    seen = texts.select("place", **{name: pl.col("text").str.contains(p) for name, p in patterns.items()})
    return {name: set(seen.filter(name)["place"].to_list()) for name in patterns}


def _hits_of_words(rows: Sequence[Texts], words: Collection[str], kind: Kind) -> set[int]:
    """The places of the rows that hold any of many words (Aho-Corasick)."""
    import polars as pl

    texts = pl.Series([_joined(row, kind) for row in rows], dtype=pl.String)
    return set(texts.str.contains_any(sorted(words)).arg_true().to_list())


def _joined(row: Texts, kind: Kind) -> str:
    """All that is read of a row, in one text."""
    if kind == "classify":
        return "\n".join(row.inputs.values())
    answer = row.target
    if "\\u" in answer or "\\n" in answer:
        answer = "\n".join(piece.text for piece in pieces(row, kind) if not piece.field)
    return "\n".join((*row.inputs.values(), answer, row.rejected))


def _by_field(rows: Sequence[Texts], check: str, kind: Kind) -> Iterable[int]:
    """The places of rows with a field whose name says what it holds."""
    from inhouse.clean.personal.found import KINDS

    def says(label: str) -> bool:
        found = kind_of_field(label)
        return found is not None and KINDS[found].check == check

    by_target: dict[tuple[str, ...], bool] = {}
    for place, row in enumerate(rows):
        names = tuple(row.inputs)
        if names not in by_target:
            by_target[names] = any(map(says, names))
        if by_target[names] or (kind == "extract" and any(says(p.label) for p in pieces(row, kind) if not p.field)):
            yield place


# ---------------------------------------------------------------------- the slow looks


def _of_example(
    row: Texts, kind: Kind, groups: Collection[str], names: _Names, spans: Mapping[str, list[tuple[int, int]]]
) -> list[tuple[Piece, Found]]:
    stretches = [
        (piece, found)
        for piece in pieces(row, kind)
        for found in _apart(piece.text, _of_piece(piece, groups, names, spans.get(piece.text, ())))
    ]
    return _repeated(row, kind, stretches) if stretches else []


def _of_piece(
    piece: Piece, groups: Collection[str], names: _Names, introduced_at: Iterable[tuple[int, int]]
) -> Iterator[Found]:
    """What is found in a text, the surest kinds first."""
    text, label = piece.text, piece.label
    yield from _of_field(
        piece, ("EMAIL", "IBAN", "CARD", "NATIONAL_ID", "VAT", "PHONE", "BIRTH_DATE", "ADDRESS", "PERSON")
    )
    said = label.replace("_", " ")
    if "@" in groups:
        yield from emails(text)
    if "iban" in groups:
        yield from ibans(text)
    if "card" in groups:
        yield from cards(text, said)
    if "told" in groups or "alone" in groups or tells(said):
        yield from national_numbers(text, said)
    if "vat" in groups:
        yield from vats(text, said)
    if "born" in groups:
        yield from birth_dates(text)
    if "digits" in groups and ("dialled" in groups or dials(said)):
        yield from phones(text, said)
    if "placed" in groups:
        yield from addresses(text)
    if "cued" in groups:
        yield from (Found("PERSON", start, end) for start, end in introduced_at)
        yield from cued_persons(text)
    if not {"cued", "given", "again"}.isdisjoint(groups):
        yield from named_persons(text, names.given)
    if not {"cued", "again"}.isdisjoint(groups):
        yield from _known(text, names.full)


def _of_field(piece: Piece, kinds: Sequence[str]) -> Iterator[Found]:
    kind = kind_of_field(piece.label)
    if kind is not None and kind in kinds and holds(kind, piece.text):
        bare = piece.text.strip()
        start = piece.text.index(bare)
        yield Found(kind, start, start + len(bare))


def _apart(text: str, found: Iterable[Found]) -> list[Found]:
    """Stretches that do not overlap: of two that do, the one that came first, the longer of two of the same kind."""
    by_kind: defaultdict[str, list[Found]] = defaultdict(list)
    for one in found:
        by_kind[one.kind].append(one)
    masked = [m.span() for m in PLACEHOLDER.finditer(text)] if "_" in text else []
    taken = _taken(text, masked)
    kept: list[Found] = []
    for one in (one for same in by_kind.values() for one in sorted(same, key=lambda f: f.start - f.end)):
        kept += _take(taken, one)
    return sorted(kept, key=lambda f: f.start)


def _taken(text: str, spans: Iterable[tuple[int, int]]) -> bytearray:
    """For each character whether it is within one of the spans."""
    taken = bytearray(len(text))
    for start, end in spans:
        taken[start:end] = b"\1" * (end - start)
    return taken


def _take(taken: bytearray, one: Found) -> list[Found]:
    """The stretch, which is then taken; nothing where a part of it was taken before."""
    if taken.find(1, one.start, one.end) >= 0:
        return []
    taken[one.start : one.end] = b"\1" * (one.end - one.start)
    return [one]


def _repeated(row: Texts, kind: Kind, stretches: list[tuple[Piece, Found]]) -> list[tuple[Piece, Found]]:
    """The stretches, and what else in the row says the same: of a person, also the first or the last name alone."""
    words = {(f.kind, w) for piece, f in stretches for w in _sayings(f.kind, piece.text[f.start : f.end])}
    if all(sum(piece.text.count(w) for piece in pieces(row, kind)) < 2 for _, w in words):
        return stretches
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(w)}(?!\w)" for _, w in sorted(words, key=lambda x: -len(x[1]))))
    kinds = {w: k for k, w in words}
    there: defaultdict[Piece, list[Found]] = defaultdict(list)
    for piece, found in stretches:
        there[piece].append(found)
    result = []
    for piece in pieces(row, kind):
        more = [Found(kinds[m[0]], m.start(), m.end()) for m in pattern.finditer(piece.text)]
        taken = _taken(piece.text, [(f.start, f.end) for f in there[piece]])
        free = [f for one in more for f in _take(taken, one)]
        result += [(piece, f) for f in sorted((*there[piece], *free), key=lambda f: f.start)]
    return result


def _sayings(kind: str, value: str) -> Iterator[str]:
    if len(value) >= 4:
        yield value
    if kind == "PERSON":
        words = value.split()
        yield from (
            w for w in (words[0], words[-1]) if len(words) > 1 and len(w) >= 4 and w[0].isupper() and "." not in w
        )


def _known(text: str, full: Collection[str]) -> Iterator[Found]:
    """Whole names that the data introduces elsewhere."""
    words = list(re.finditer(r"[^\s,;:!?()\"]+", text))
    for i, word in enumerate(words):
        if not word[0][0].isupper():
            continue
        for length in (4, 3, 2):
            if i + length <= len(words):
                end = words[i + length - 1].end()
                name = text[word.start() : end].rstrip(".")
                name = name.removesuffix("'s").removesuffix("’s")
                if name in full:
                    yield Found("PERSON", word.start(), word.start() + len(name))
                    break


def _introduced(rows: Sequence[Texts], places: Collection[int], kind: Kind) -> _Introduced:
    spans: dict[str, list[tuple[int, int]]] = {}
    first: Counter[str] = Counter()
    full: dict[str, None] = {}
    for place in sorted(places):
        for piece in pieces(rows[place], kind):
            if piece.text not in spans and (found := list(introduced(piece.text))):
                spans[piece.text] = found
            for start, end in spans.get(piece.text, ()):
                words = piece.text[start:end].split(" ")
                if len(words) > 1 and len(words[0]) > 2:
                    first[words[0]] += 1
                    full[piece.text[start:end]] = None
    return _Introduced(spans, first, list(full))


def _learned(parts: Sequence[_Introduced]) -> _Names:
    """The names that all parts introduce."""
    first = Counter[str]()
    for part in parts:
        first.update(part.first)
    full = dict.fromkeys(name for part in parts for name in part.full)
    return _Names(frozenset(name for name, n in first.items() if n >= LEARNED), frozenset(islice(full, MOST_NAMES)))
