"""Changes of an input that leave its meaning as it was: a model that knows its task answers alike."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inhouse.core import Kind

# Of so many words one gets a typing error.
WORDS_A_TYPO = 8
# Numbers with a separator of thousands, of decimals, or both: as 1,234.50 or 0.75, as 1.234,50 or 0,75, and such as can
# be either, as 1,234. Not dates, nor parts of others.
_NUMBER = re.compile(
    r"(?<![\w.,/:-])(?:"
    r"(?P<point>\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,}|\d+\.\d{1,2})"
    r"|(?P<comma>\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2}|\d+,\d{1,2})"
    r"|(?P<either>\d{1,3}[.,]\d{3})"
    r")(?![\w/:-]|[.,]\d)"
)

# What says the same, each way round. In one pass, so that nothing is turned round twice.
_SAYINGS = (
    ("i'm", "i am"),
    ("i've", "i have"),
    ("i'd like to", "i want to"),
    ("it's", "it is"),
    ("what's", "what is"),
    ("don't", "do not"),
    ("doesn't", "does not"),
    ("didn't", "did not"),
    ("can't", "cannot"),
    ("won't", "will not"),
    ("isn't", "is not"),
    ("haven't", "have not"),
    ("how do i", "how can i"),
    ("is there a way to", "is it possible to"),
    ("i need to", "i have to"),
    ("ich möchte", "ich würde gern"),
    ("ich brauche", "ich benötige"),
    ("ik wil graag", "ik zou graag willen"),
    ("je veux", "je voudrais"),
    ("vorrei", "voglio"),
    ("quiero", "quisiera"),
)
_OTHERWISE = dict(_SAYINGS) | {b: a for a, b in _SAYINGS}
_SAID = re.compile(rf"\b(?:{'|'.join(sorted(_OTHERWISE, key=len, reverse=True))})\b", re.IGNORECASE)
# The change that changes nothing.
AGAIN = "again"

_ALL: tuple[Kind, ...] = ("classify", "extract", "generate")

Inputs = Mapping[str, str]


@dataclass(frozen=True)
class Bounds:
    """What a change is made by: a source of chance, and the values of the input that belong in the answer."""

    dice: random.Random
    answer: str = ""

    def keeps(self, words: str) -> bool:
        """Whether the answer holds these words of the input, so that with others it would be another one."""
        return words.casefold() in self.answer.casefold()


Changed = Callable[[Inputs, Bounds], Inputs | None]


@dataclass(frozen=True)
class Change:
    """A change, and the kinds of task whose answers it must leave alone.

    `apply` takes an input and its bounds, and gives the changed input; None where nothing is to change in it.
    """

    name: str
    told: str
    kinds: tuple[Kind, ...]
    apply: Changed


CHANGES: dict[str, Change] = {}


def change(name: str, told: str, kinds: tuple[Kind, ...] = _ALL) -> Callable[[Changed], Changed]:
    """Register a change under the name that reports use; `told` says what it does, in a few words."""

    def register(apply: Changed) -> Changed:
        CHANGES[name] = Change(name, told, kinds, apply)
        return apply

    return register


def changed(inputs: Inputs, one: Change, seed: str, answer: str = "") -> Inputs | None:
    """The input with the change made, always the same of the same seed; None where it says the same as before.

    Args:
        answer: the values of the expected one, where it takes them from the input.
    """
    found = one.apply(inputs, Bounds(random.Random(f"{one.name}:{seed}"), answer))
    return None if found is None or (one.name != AGAIN and list(found.items()) == list(inputs.items())) else found


@change(AGAIN, "the same question three times more")
def again(inputs: Inputs, _bounds: Bounds) -> Inputs:
    return inputs


@change("spaces", "more white space")
def spaces(inputs: Inputs, _bounds: Bounds) -> Inputs:
    return {name: re.sub(r"(?<=\w) (?=\w)", "  ", value) + " \n" for name, value in inputs.items()}


@change("case", "all in small letters", ("classify",))  # of other kinds the answer holds words of the input
def case(inputs: Inputs, _bounds: Bounds) -> Inputs:
    return {name: value.lower() for name, value in inputs.items()}


@change("typos", "typing errors", ("classify", "extract"))
def typos(inputs: Inputs, bounds: Bounds) -> Inputs:
    return {name: _misspelt(value, bounds) for name, value in inputs.items()}


@change("reordered", "fields in another order")
def reordered(inputs: Inputs, _bounds: Bounds) -> Inputs | None:
    return dict(reversed(list(inputs.items()))) if len(inputs) > 1 else None


@change("greeting", "a greeting and thanks around it", ("classify", "extract"))
def greeting(inputs: Inputs, bounds: Bounds) -> Inputs | None:
    if len(inputs) != 1:
        return None
    ((name, value),) = inputs.items()
    before, after = bounds.dice.choice(
        (("Hello, ", " Thank you."), ("Good morning, ", " Kind regards"), ("Hi, ", " Thanks!"))
    )
    return {name: f"{before}{value}{after}"}


@change("paraphrase", "the same in other words", ("classify", "extract"))
def paraphrase(inputs: Inputs, bounds: Bounds) -> Inputs | None:
    plain = {name: value.replace("\u2019", "'") for name, value in inputs.items()}
    said = {phrase for value in plain.values() for phrase in _SAID.findall(value)}
    if not said or any(map(bounds.keeps, said)):
        return None
    return {name: _SAID.sub(_said_otherwise, value) for name, value in plain.items()}


@change("numbers", "numbers as other countries write them", ("classify", "extract"))
def numbers(inputs: Inputs, _bounds: Bounds) -> Inputs | None:
    ways = {found.lastgroup for value in inputs.values() for found in _NUMBER.finditer(value)}
    if len(ways) != 1 or "either" in ways:  # in which way they are written cannot be told
        return None
    swapped = str.maketrans(",.", ".,")
    return {name: _NUMBER.sub(lambda m: m[0].translate(swapped), value) for name, value in inputs.items()}


def _said_otherwise(found: re.Match[str]) -> str:
    """The other way to say it, with a capital where there was one."""
    other = _OTHERWISE[found[0].lower()]
    if found[0][0].isupper() or other.startswith(("i ", "i'")):
        return other[0].upper() + other[1:]
    return re.sub(r"\bi\b", "I", other)


def _misspelt(text: str, bounds: Bounds) -> str:
    """Two letters swapped in one of eight words, and in one word at least where one has five letters.

    Words that belong in the answer stay: misspelt, they would be copied so.
    """
    dice, words = bounds.dice, text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha() and not bounds.keeps(word)]
    for i in dice.sample(long, min(len(long), max(1, len(words) // WORDS_A_TYPO))):
        word, at = words[i], dice.randrange(1, len(words[i]) - 2)
        words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
