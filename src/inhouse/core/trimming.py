"""Which parts of an over-long input a model reads: chosen by what the task asks for and by what training rows taught.

The same function trims in training, evaluation and service, and it never sees a row's target. A part (a line, or a
sentence of a long one) scores by BM25 (Robertson & Zaragoza 2009) against the words of the task, and by a logistic
model of which parts held values of the targets of training rows (`train.trimming` fits it). The best parts stay, in
their order, with a mark where text was left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field

from inhouse.core import bm25
from inhouse.core.example import render_input

MARK = "[…]"
# A line of more characters is cut into its sentences, and a sentence into pieces of so many.
LONGEST_PART = 400
# Of a part so many words count, and of the one before it the last few: a heading or a label stands there.
WORDS, WORDS_BEFORE = 60, 8
# So many parts running that do not fit any more end the choice.
TRIES = 50
# What the names of features about words begin with.
_HERE, _BEFORE = "word ", "before "

_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"\d")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")

CountTokens = Callable[[str], int]


class Trimming(BaseModel):
    """How inputs of more tokens than there is room for are trimmed; kept with the version that was trained so.

    Attributes:
        room: the most tokens of an input.
        query: words of the task, with how rare each is among parts.
        mean_words: of a part.
        weights: of a part's features, where training rows taught any; by BM25 alone else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    room: int = Field(ge=1)
    query: dict[str, float] = Field(default_factory=dict)
    mean_words: float = 1.0
    weights: dict[str, float] = Field(default_factory=dict)

    @property
    def words(self) -> set[str]:
        """The words that it goes by."""
        return {*self.query, *(word for word in map(_word_of, self.weights) if word)}

    def without(self, words: Collection[str]) -> Trimming:
        """The same, but for some words, which count for nothing any more."""
        query = {word: rarity for word, rarity in self.query.items() if word not in words}
        weights = {name: weight for name, weight in self.weights.items() if _word_of(name) not in words}
        return self.model_copy(update={"query": query, "weights": weights})

    def fits(self, inputs: Mapping[str, str], count: CountTokens) -> bool:
        """Whether an input is read whole."""
        text = render_input(inputs)
        return len(text.encode("utf-8", "surrogatepass")) <= self.room or count(text) <= self.room

    def __call__(self, inputs: Mapping[str, str], count: CountTokens) -> dict[str, str]:
        """The input with as many of its best parts as there is room for; as it is where it fits.

        Args:
            count: tokens of a text.
        """
        if self.fits(inputs, count):
            return dict(inputs)
        parts = parts_of(inputs)
        scores = self.scores(parts)
        order = sorted(range(len(parts)), key=lambda i: (-scores[i], i))
        kept = self._chosen(inputs, parts, order, count)
        while kept:
            text = _joined(inputs, parts, set(kept))
            over = count(render_input(text)) - self.room
            if over <= 0:
                return text
            while kept and over > 0:  # tokens of a whole are not exactly those of its parts
                over -= count(parts[kept.pop()].text)
        return self._begun(inputs, parts[order[0]], count)

    def scores(self, parts: Sequence[Part]) -> list[float]:
        """How much each part matters."""
        if not self.weights:
            return [self.relevance(part) for part in parts]
        weigh = self.weights.get
        return [sum(weigh(name, 0.0) * value for name, value in self.features(part).items()) for part in parts]

    def features(self, part: Part) -> dict[str, float]:
        """What the logistic model knows of a part: its words, those before it, where it stands, its BM25."""
        found = {f"{_HERE}{word}": 1.0 for word in part.words[:WORDS]}
        found |= {f"{_BEFORE}{word}": 1.0 for word in part.before}
        found[f"field {part.field}"] = 1.0
        found[f"tenth {int(10 * part.place)}"] = 1.0
        if part.first:
            found["first"] = 1.0
        found["task"] = self.relevance(part)
        return found

    def relevance(self, part: Part) -> float:
        """BM25 of a part against the task's words."""
        times = Counter(word for word in part.words if word in self.query)
        length = len(part.words)
        return sum(bm25.weight(self.query[word], n, length, self.mean_words) for word, n in times.items())

    def _chosen(
        self, inputs: Mapping[str, str], parts: Sequence[Part], order: Sequence[int], count: CountTokens
    ) -> list[int]:
        """The places of the best parts, the best first, that there is room for by their own tokens."""
        mark = count(f"{MARK}\n")
        left = self.room - count(render_input(dict.fromkeys(inputs, MARK)))
        kept: list[int] = []
        held, tries = set[int](), 0
        for place in order:
            cost = count(parts[place].text) + (0 if {place - 1, place + 1} & held else mark)
            if cost > left:
                tries += 1
                if tries > TRIES:
                    break
                continue
            tries = 0
            left -= cost
            kept.append(place)
            held.add(place)
        return kept

    def _begun(self, inputs: Mapping[str, str], part: Part, count: CountTokens) -> dict[str, str]:
        """What there is room for where no part fits whole: the beginning of the best one."""
        text = part.text
        while True:
            found = {name: f"{text} {MARK}" if name == part.field else MARK for name in inputs}
            if not text or count(render_input(found)) <= self.room:
                return found
            text = text[: len(text) // 2]


@dataclass(frozen=True, slots=True)
class Part:
    """A line of a field, or a piece of a long one.

    `place` is where it begins, from 0 to 1; `before` the last words of the part before it; `first` of its field.
    """

    field: str
    text: str
    place: float
    words: list[str]
    before: list[str]
    first: bool


def parts_of(inputs: Mapping[str, str]) -> list[Part]:
    """The parts of all fields, in order; joined they are the fields."""
    found: list[Part] = []
    for field, text in inputs.items():
        start, before = 0, list[str]()
        for piece in _pieces(text):
            words = words_of(piece)
            found.append(Part(field, piece, start / len(text), words, before, first=start == 0))
            start += len(piece)
            before = words[-WORDS_BEFORE:]
    return found


def _word_of(name: str) -> str:
    """The word that a feature is about; empty where it is about none."""
    return next((name.removeprefix(kind) for kind in (_HERE, _BEFORE) if name.startswith(kind)), "")


def words_of(text: str) -> list[str]:
    """The words in lower case, with 0 for every digit: that there is an amount matters, and not which."""
    return [_DIGIT.sub("0", word) for word in _WORD.findall(text.lower())]


def _pieces(text: str) -> Iterator[str]:
    """Lines with what ends them and the empty lines that follow; of long ones sentences, of long sentences pieces."""
    line = ""
    for one in text.splitlines(keepends=True):
        if line and one.strip():
            yield from _sentences(line)
            line = one
        else:
            line += one
    if line:
        yield from _sentences(line)


def _sentences(line: str) -> Iterator[str]:
    if len(line) <= LONGEST_PART:
        yield line
        return
    edges = [0, *(found.end() for found in _SENTENCE.finditer(line)), len(line)]
    for start, end in pairwise(edges):
        for begin in range(start, end, LONGEST_PART):
            yield line[begin : min(end, begin + LONGEST_PART)]


def _joined(inputs: Mapping[str, str], parts: Sequence[Part], kept: set[int]) -> dict[str, str]:
    """The fields with the parts that are kept, and a mark for each stretch that is not."""
    found: dict[str, list[str]] = {name: [] for name in inputs}
    for place, part in enumerate(parts):
        texts = found[part.field]
        if place in kept:
            texts.append(part.text)
        elif not texts or texts[-1].strip() != MARK:
            texts.append(f"{MARK}\n" if not texts or texts[-1].endswith("\n") else f" {MARK} ")
    return {name: "".join(texts).strip() if texts else inputs[name] for name, texts in found.items()}
