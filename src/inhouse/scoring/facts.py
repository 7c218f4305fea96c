"""Facts in texts, and which of them an answer keeps or invents: names, numbers, dates, values of structured inputs.

Made to raise few false alarms: what the training answers themselves say without finding it in their inputs (the sender
of every letter, "British" for English food) is the house's usage and no invention.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

from inhouse.scoring.values import amount_of, date_of, normal_text

_WORD = re.compile(r"[^\W_][\w'’&-]*[^\W_]|[^\W_]")
_SENTENCE = re.compile(r"[.!?:;](?=\s|[^\W\d_])|\n+|[•–—\"“”„«»()\[\]]|^\s*[-*]\s*", re.MULTILINE)
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-Z])")
_DIGITS = re.compile(r"(?<![\w.,'])\d+(?:[.,' ]\d{3})*(?:[.,]\d+)?(?![\d])")
_CODE = re.compile(r"(?<![\w])(?=\w*\d)(?=\w*[A-Z])\w{3,}(?!\w)")
_DAY = re.compile(
    r"(?<![\w.])(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:\d{4}|\d{2}))(?![\w])"
    r"|(?<!\w)\d{1,2}(?:\.|st|nd|rd|th|er)? (?:of |de )?[^\W\d_]{3,}\.?,? (?:de )?\d{4}(?!\w)"
    r"|(?<!\w)[^\W\d_]{3,}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}(?!\w)"
)
_MONTH = re.compile(
    r"(?<![\w./-])(?:(\d{1,2})[/.](\d{4})|(\d{4})-(\d{1,2})|([^\W\d_]{3,}\.?,? (?:de )?\d{4}))(?![\w/-])"
)
# At most three words for a name, right before the bracket: prose runs on, or has a space there (`Dear [NAME]`).
_ATTRIBUTE = re.compile(r"(?:^|[,;|(])[ \t]*\w[\w-]*(?: [\w-]+){0,2}\[([^\]]*)\]", re.MULTILINE)
_PAIR = re.compile(r"\s*\w[\w ]{0,40}?\s*[:=](.+)")
# What a text in normal form is made of: only between two words it has a space.
_TOKEN = re.compile(r"\w+|[^\w\s]")
# Yes and no say nothing by themselves: an answer puts them in other words.
_BARE = {"yes", "no", "true", "false", "ja", "nein", "nee", "oui", "non", ""}
_NO_NAMES = {"i", "i'm", "i'd", "i'll", "i've", "i’m", "i’d", "i’ll", "i’ve"}
# In words. A longer value is a text, of which an answer keeps some facts and never the whole.
_LONGEST_VALUE = 6
# Share of the letters and digits that may stand beside the attributes, as in `inform(name[Aroma], food[Thai])`.
_BESIDE_ATTRIBUTES = 0.2

# Where more words than this within sentences begin with a capital, as nouns do in German, a capital makes no name.
MOST_CAPITALS = 0.25
# A fact that the training answers bring in by themselves this often, of the times that they have it, is usage.
USUAL = 0.05
USUAL_AT_LEAST = 2


@dataclass(frozen=True)
class FactFinder:
    """Finds facts.

    Attributes:
        lexicon: the values that structured inputs of the task have had, in normal form.
        common: words that the training texts have in small letters; a capital makes no name of them.
        usual: facts that the training answers bring in by themselves.
        capitals_are_names: whether a capital within a sentence marks a name; in German only a series of them, or a word
            in capitals alone, does.
    """

    lexicon: frozenset[str]
    common: frozenset[str] = frozenset()
    usual: frozenset[str] = frozenset()
    capitals_are_names: bool = True

    @classmethod
    def learn(cls, inputs: Sequence[str], answers: Sequence[str] = ()) -> FactFinder:
        """A finder that knows the values and the words of the training inputs, and what their answers add as a habit.

        Args:
            inputs: the texts of the training inputs.
            answers: their targets, in the same order. Without them nothing is known to be usual, and many a value that
                is a word like any other (cheap, low) will seem to be invented.
        """
        values = {value for text in set(inputs) for value in structured_values(text)}
        texts = [_plain(text) for text in {*inputs, *answers}]
        finder = cls(
            lexicon=frozenset(map(normal_text, values)) - _BARE,
            common=frozenset(w for text in texts for w in _WORD.findall(text) if w.islower() and w.isalpha()),
            capitals_are_names=_capitals(part for text in texts for part in _parts(text)[1]) <= MOST_CAPITALS,
        )
        if not answers:
            return finder
        return cls(finder.lexicon, finder.common, finder._habits(inputs, answers), finder.capitals_are_names)

    def kept(self, input_text: str, expected: str, answer: str) -> float | None:
        """Share of the input's facts that stand in the answer, of those that belong there; None where there are none.

        All short values of a structured input belong there, save yes and no; of its long values, as of other texts,
        the names, numbers, dates and codes that the expected answer keeps.
        """
        values, texts = _parts(input_text)
        facts = {v for v in values if normal_text(v) not in _BARE}
        facts |= {fact for text in texts for fact in self._facts(text) if _holds(expected, fact)}
        return sum(_holds(answer, fact) for fact in facts) / len(facts) if facts else None

    def told_share(self, input_text: str, answer: str) -> float | None:
        """Share of the input's names, numbers, dates and values that stand in the answer; None of fewer than four."""
        values, texts = _parts(input_text)
        facts = {v for v in values if normal_text(v) not in _BARE}
        facts |= {fact for text in texts for fact in self._facts(text)}
        return sum(_holds(answer, fact) for fact in facts) / len(facts) if len(facts) >= 4 else None

    def invented(self, input_text: str, answer: str) -> tuple[str, ...]:
        """Names, numbers and dates of the answer, and values that other inputs had, which this input does not hold.

        In the order of the alphabet, in normal form; nothing that is usual.
        """
        return tuple(sorted(_added(input_text, self._told(answer)) - self.usual))

    def _told(self, answer: str) -> set[str]:
        known = {p for p in _phrases(_held(answer).text, self._lengths) if p in self.lexicon}
        return self._facts(answer) | {value for value in known if _holds(answer, value)}

    @cached_property
    def _lengths(self) -> Mapping[str, set[int]]:
        """How many words and signs the values of the lexicon have, by the first one.

        So an answer is looked through once, however many values there are. To search each answer for each value took
        151 s for 8,000 rows with three values each; this takes 11.
        """
        found: defaultdict[str, set[int]] = defaultdict(set)
        for value in self.lexicon:
            tokens = _TOKEN.findall(value)
            found[tokens[0]].add(len(tokens))
        return dict(found)

    def _habits(self, inputs: Sequence[str], answers: Sequence[str]) -> frozenset[str]:
        told: Counter[str] = Counter()
        added: Counter[str] = Counter()
        for text, answer in zip(inputs, answers, strict=True):
            facts = self._told(answer)
            told.update(facts)
            added.update(_added(text, facts))
        return frozenset(f for f, times in added.items() if times >= max(USUAL_AT_LEAST, USUAL * told[f]))

    def _facts(self, text: str) -> set[str]:
        """Dates, numbers, codes and names, in normal form."""
        plain = _plain(text)
        dates = {normal_text(found[0]) for found in _dates(plain)}
        rest = _without_dates(plain)
        codes = {normal_text(code) for code in _CODE.findall(rest)}
        numbers = {normal_text(digits) for digits in _DIGITS.findall(_CODE.sub(" ", rest))}
        return dates | codes | numbers | self._names(rest)

    def _names(self, text: str) -> set[str]:
        found: set[str] = set()
        for run in _capital_runs(text):
            if self.capitals_are_names or len(run) > 1 or _in_capitals(run[0]):
                found.update(run)
        names = {normal_text(_bare_word(word)) for word in found}
        return {n for n in names if n not in self.common and n not in _NO_NAMES and not n.isdigit()}


def structured_values(text: str) -> list[str]:
    """The short values of an input made of attributes: `name[Aroma], food[Thai]`, `name: value` lines, or JSON."""
    return _parts(text)[0]


# --- structured inputs


def _parts(text: str) -> tuple[list[str], list[str]]:
    """The short values of an input made of attributes, and its long ones; of any other input no value and all of it."""
    values = _values(text)
    if values is None:
        return [], [text]
    long = [value for value in values if len(value.split()) > _LONGEST_VALUE]
    return [value for value in values if value not in long], long


def _values(text: str) -> list[str] | None:
    """All values of an input made of attributes, of those within a value too; None where it is not made of them."""
    for read in (_attributes, _json_values, _pairs):
        if (values := read(text)) is not None:
            return [inner for value in values for inner in (_values(value) or [value])]
    return None


def _attributes(text: str) -> list[str] | None:
    """The values of `name[value]`, where nearly all of the text is of that form."""
    values = _ATTRIBUTE.findall(text)
    beside = sum(map(str.isalnum, _ATTRIBUTE.sub(" ", text)))
    return values if values and beside <= _BESIDE_ATTRIBUTES * sum(map(str.isalnum, text)) else None


def _json_values(text: str) -> list[str] | None:
    value = _json(text)
    return None if value is None or _is_chat(value) else list(_leaves(value))


def _pairs(text: str) -> list[str] | None:
    """The values of `name: value` lines, where there are several and no other lines; a value may be empty."""
    pairs = [_PAIR.fullmatch(line) for line in text.splitlines() if line.strip()]
    if len(pairs) < 2 or not all(pairs):
        return None
    return [value for pair in pairs if pair and (value := pair[1].strip())]


# --- texts


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """The object or list that a text is, else None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_chat(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)


def _leaves(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


@lru_cache(maxsize=10_000)
def _plain(text: str) -> str:
    """A chat as what was said in it; words that were written as one (familyFriendly) apart."""
    value = _json(text)
    if value is not None and _is_chat(value):
        text = "\n".join(str(message["content"]) for message in value)
    return _CAMEL.sub(" ", text)


# --- names


def _capital_runs(text: str) -> Iterator[list[str]]:
    """Series of words that begin with a capital, without the word that begins the sentence."""
    for sentence in _SENTENCE.split(text):
        run: list[str] = []
        for word in _WORD.findall(sentence or "")[1:]:
            if word[0].isupper():
                run.append(word)
            elif run:
                yield run
                run = []
        if run:
            yield run


def _capitals(texts: Iterable[str]) -> float:
    """Share of words within sentences that begin with a capital."""
    seen: Counter[bool] = Counter()
    for text in texts:
        for sentence in _SENTENCE.split(text):
            seen.update(w[0].isupper() for w in _WORD.findall(sentence or "")[1:] if w[0].isalpha())
    return seen[True] / max(1, seen.total())


def _in_capitals(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _bare_word(word: str) -> str:
    return re.sub(r"['’]s?$", "", word)


# --- dates and numbers


def _dates(text: str) -> Iterator[tuple[str, date, bool]]:
    """Days and months in a text, as written: a month as its first day, and whether it is only a month."""
    for found in _DAY.finditer(text):
        if (day := date_of(found[0])) is not None:
            yield found[0], day, False
    for found in _MONTH.finditer(_DAY.sub(" ", text)):
        if (day := _first_of_month(found)) is not None:
            yield found[0], day, True


def _first_of_month(found: re.Match[str]) -> date | None:
    if found[5] is not None:
        return date_of(f"1 {found[5]}")
    month, year = (found[1], found[2]) if found[1] else (found[4], found[3])
    return date(int(year), int(month), 1) if 1 <= int(month) <= 12 and int(year) else None


def _without_dates(text: str) -> str:
    for written, _, _ in _dates(text):
        text = text.replace(written, " , ")
    return text


def _values_of(digits: str) -> set[Decimal]:
    """What the digits can mean: both readings of 1.234."""
    amount = amount_of(digits)
    if amount is None:
        return set()
    whole = re.sub(r"\D", "", amount.spelling)
    return {amount.number} | ({Decimal(whole)} if whole else set())


# --- whether a text holds a fact


def _added(text: str, facts: Iterable[str]) -> set[str]:
    return {fact for fact in facts if not _holds(text, fact)}


def _phrases(text: str, lengths: Mapping[str, set[int]]) -> Iterator[str]:
    """The parts of a text in normal form that begin with a word of `lengths` and have one of its numbers of words."""
    tokens = list(_TOKEN.finditer(text))
    for i, token in enumerate(tokens):
        for length in lengths.get(token[0], ()):
            if i + length <= len(tokens):
                yield text[token.start() : tokens[i + length - 1].end()]


@dataclass(frozen=True)
class _Held:
    """What a text holds: its normal form, its numbers, days and months."""

    text: str
    numbers: frozenset[Decimal]
    days: frozenset[date]
    months: frozenset[tuple[int, int]]


@lru_cache(maxsize=10_000)
def _held(text: str) -> _Held:
    plain = _plain(text)
    days = [(day, only_month) for _, day, only_month in _dates(plain)]
    numbers = {value for digits in _DIGITS.findall(plain.replace("-", " ")) for value in _values_of(digits)}
    return _Held(
        normal_text(plain),
        frozenset(numbers | {Decimal(day.year) for day, _ in days}),
        frozenset(day for day, only_month in days if not only_month),
        frozenset((day.year, day.month) for day, _ in days),
    )


def _holds(text: str, fact: str) -> bool:
    """Whether a text says the fact: as whole words, or the same number, day or month in another writing."""
    held = _held(text)
    normal = normal_text(_CAMEL.sub(" ", fact))
    if _DIGITS.fullmatch(fact) and (values := _values_of(fact)):
        return bool(values & held.numbers)  # as a text, 50 would stand in 1,234.50
    if normal in held.text and re.search(rf"(?<!\w){re.escape(normal)}(?!\w)", held.text):
        return True
    if not any(letter.isdigit() for letter in fact):
        return False
    if (amount := amount_of(fact)) is not None:
        return amount.number in held.numbers
    found = next(_dates(fact), None)
    if found is None:
        return False
    _, day, only_month = found
    return (day.year, day.month) in held.months if only_month else day in held.days
