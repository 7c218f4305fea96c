"""Everything of the kinds in a dataset: a quick pass picks the rows that may hold something, slow looks follow there.

The quick pass is one regular expression a group of detectors, over thousands of rows at a time in Rust (polars). Its
expressions must match wherever the detectors would find something.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from inhouse.clean.personal.fields import holds, kind_of_field
from inhouse.clean.personal.found import PLACEHOLDER, Found
from inhouse.clean.personal.names import cued_persons, given_names, introduced, named_persons
from inhouse.clean.personal.numbers import SIGNS, cards, ibans, national_numbers, tells, vats
from inhouse.clean.personal.patterns import DIAL_SIGNS, PLACE_SIGNS, addresses, birth_dates, dials, emails, phones
from inhouse.clean.personal.pieces import Piece, pieces
from inhouse.clean.personal.secrets import secrets
from inhouse.core import Dataset, Example, Kind

BATCH = 50_000
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
    """What the data says about names: given names, whole names, and where they are introduced, by text."""

    given: frozenset[str]
    full: frozenset[str]
    spans: dict[str, list[tuple[int, int]]]


def personal(dataset: Dataset, kind: Kind) -> dict[int, list[tuple[Piece, Found]]]:
    """Personal data by position, each stretch once, in the order of the example's texts."""
    rows = dataset.examples
    hits = _hits(rows, {"@": "@", "cued": _CUED, "given": _given_pattern()}, kind)
    hits |= _hits(rows, _WITH_DIGITS, kind, where=r"\d")
    names = _learned(rows, hits["cued"], kind)
    again = _hits_of_words(rows, [*names.full, *(f"{name} " for name in names.given)], kind) if names.full else set()
    hits["again"] = again
    alone = [positions for group, positions in hits.items() if group not in _BESIDE]
    found: dict[int, list[tuple[Piece, Found]]] = {}
    for position in sorted(set[int]().union(*alone, _by_field(rows, "personal_data", kind))):
        there = {group for group, positions in hits.items() if position in positions}
        if stretches := _of_example(rows[position], kind, there, names):
            found[position] = stretches
    return found


def secret(dataset: Dataset, kind: Kind) -> dict[int, list[tuple[Piece, Found]]]:
    """Keys and passwords by position; see `personal`."""
    rows = dataset.examples
    hits = _hits(rows, {"secret": _SECRET}, kind)["secret"] | set(_by_field(rows, "secret", kind))
    found = {}
    for position in sorted(hits):
        stretches = [
            (piece, one)
            for piece in pieces(rows[position], kind)
            for one in _apart(piece.text, [*_of_field(piece, ("PASSWORD", "API_KEY")), *secrets(piece.text)])
        ]
        if stretches:
            found[position] = _repeated(rows[position], kind, stretches)
    return found


# ---------------------------------------------------------------------- the quick pass


def _given_pattern() -> str:
    return rf"{_EDGE}(?:{'|'.join(sorted(given_names()))})(?:[^\pL]|$)"


def _hits(rows: Sequence[Example], patterns: dict[str, str], kind: Kind, where: str = "") -> dict[str, set[int]]:
    """The positions of the rows in which each pattern is found, in one pass over the texts.

    Args:
        where: a pattern without which none of the others is looked for.
    """
    import polars as pl

    hits: dict[str, set[int]] = {name: set() for name in patterns}
    for first in range(0, len(rows), BATCH):
        texts = pl.DataFrame({"text": [_joined(example, kind) for example in rows[first : first + BATCH]]})
        texts = texts.with_row_index("position", offset=first)
        if where:
            texts = texts.filter(pl.col("text").str.contains(where))
        seen = texts.select("position", **{name: pl.col("text").str.contains(p) for name, p in patterns.items()})
        for name in patterns:
            hits[name].update(seen.filter(name)["position"].to_list())
    return hits


def _hits_of_words(rows: Sequence[Example], words: Collection[str], kind: Kind) -> set[int]:
    """The positions of the rows that hold any of many words (Aho-Corasick)."""
    import polars as pl

    hits: set[int] = set()
    wanted = sorted(words)
    for first in range(0, len(rows), BATCH):
        texts = pl.Series([_joined(example, kind) for example in rows[first : first + BATCH]], dtype=pl.String)
        hits.update((texts.str.contains_any(wanted).arg_true() + first).to_list())
    return hits


def _joined(example: Example, kind: Kind) -> str:
    """All that is read of an example, in one text."""
    if kind == "classify":
        return "\n".join(example.inputs.values())
    answer = example.target
    if "\\u" in answer or "\\n" in answer:
        answer = "\n".join(piece.text for piece in pieces(example, kind) if not piece.field)
    return "\n".join((*example.inputs.values(), answer, example.rejected))


def _by_field(rows: Sequence[Example], check: str, kind: Kind) -> Iterable[int]:
    """The positions of rows with a field whose name says what it holds."""
    from inhouse.clean.personal.found import KINDS

    def says(label: str) -> bool:
        found = kind_of_field(label)
        return found is not None and KINDS[found].check == check

    by_target: dict[tuple[str, ...], bool] = {}
    for position, example in enumerate(rows):
        names = tuple(example.inputs)
        if names not in by_target:
            by_target[names] = any(map(says, names))
        if by_target[names] or (kind == "extract" and any(says(p.label) for p in pieces(example, kind) if not p.field)):
            yield position


# ---------------------------------------------------------------------- the slow looks


def _of_example(example: Example, kind: Kind, groups: Collection[str], names: _Names) -> list[tuple[Piece, Found]]:
    stretches = [
        (piece, found)
        for piece in pieces(example, kind)
        for found in _apart(piece.text, _of_piece(piece, groups, names))
    ]
    return _repeated(example, kind, stretches) if stretches else []


def _of_piece(piece: Piece, groups: Collection[str], names: _Names) -> Iterator[Found]:
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
        yield from (Found("PERSON", start, end) for start, end in names.spans.get(text, ()))
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


def _repeated(example: Example, kind: Kind, stretches: list[tuple[Piece, Found]]) -> list[tuple[Piece, Found]]:
    """The stretches, and what else in the example says the same: of a person, also the first or the last name alone."""
    words = {(f.kind, w) for piece, f in stretches for w in _sayings(f.kind, piece.text[f.start : f.end])}
    if all(sum(piece.text.count(w) for piece in pieces(example, kind)) < 2 for _, w in words):
        return stretches
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(w)}(?!\w)" for _, w in sorted(words, key=lambda x: -len(x[1]))))
    kinds = {w: k for k, w in words}
    there: defaultdict[Piece, list[Found]] = defaultdict(list)
    for piece, found in stretches:
        there[piece].append(found)
    result = []
    for piece in pieces(example, kind):
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


def _learned(rows: Sequence[Example], positions: Collection[int], kind: Kind) -> _Names:
    """The given names and the whole names that the data introduces, and where it introduces any, by text."""
    first: Counter[str] = Counter()
    full: set[str] = set()
    spans: dict[str, list[tuple[int, int]]] = {}
    for position in sorted(positions):
        for piece in pieces(rows[position], kind):
            if piece.text not in spans and (found := list(introduced(piece.text))):
                spans[piece.text] = found
            for start, end in spans.get(piece.text, ()):
                words = piece.text[start:end].split(" ")
                if len(words) > 1 and len(words[0]) > 2:
                    first[words[0]] += 1
                    if len(full) < MOST_NAMES:
                        full.add(piece.text[start:end])
    return _Names(frozenset(name for name, n in first.items() if n >= LEARNED), frozenset(full), spans)
