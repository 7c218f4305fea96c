"""Which inputs of a dataset are the same or nearly so: found once, and used by several checks."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from inhouse.clean.registry import Subject
from inhouse.core import Dataset, folded
from inhouse.scoring.twins import near_twins

N = TypeVar("N", bound=Hashable)

_APOSTROPHE = re.compile("['’‘`´]")
# A sign or point right before a digit stays: -50 is not 50, and 1.5 is not 15.
_MARK = re.compile(r"[^\w\s](?!\d)|_")
_ASCII_MARK = re.compile(r"[!\"#%&()*,\-./:;?@\[\\\]{}](?!\d)|_")
_BEFORE_DIGIT = re.compile(r"[!\"#%&()*,\-./:;?@\[\\\]{}](?=\d)")
_ASCII_MARKS = b'!"#%&()*,-./:;?@[\\]{}_'
_TO_SPACES = bytes.maketrans(_ASCII_MARKS, b" " * len(_ASCII_MARKS))


@dataclass(frozen=True, slots=True)
class Twins:
    """The different inputs of a dataset, and which of them are nearly the same.

    Attributes:
        texts: inputs, case and white space folded; every one is there once.
        places: by text, the positions of the examples that have it, in order.
        links: pairs of texts, each with how alike they are; 1.0 where punctuation alone tells them apart.
        bare: by text, the first one that punctuation alone tells from it, where that is another.
    """

    texts: list[str]
    places: list[list[int]]
    links: list[tuple[int, int, float]]
    bare: dict[int, int]


def texts_of(dataset: Dataset) -> tuple[list[str], list[list[int]]]:
    """`Twins.texts` and `Twins.places`; two inputs have one text exactly where they have one `input_key`."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for i, example in enumerate(dataset.examples):
        places[_SEPARATOR.join(map(folded, example.inputs.values()))].append(i)
    return list(places), list(places.values())


# Between the fields of an input; folded text holds no such line break.
_SEPARATOR = " \n "


def twins_of(subject: Subject) -> Twins:
    """The twins among all examples, whatever their split; looked for once per subject."""
    if "twins" not in subject.memo:
        texts, places = texts_of(subject.dataset)
        first = first_bare(texts)
        links = [(i, j, 1.0) for j, i in first.items()]
        links += (link for link in near_twins(texts) if first.get(link[1]) not in (link[0], first.get(link[0], -1)))
        subject.memo["twins"] = Twins(texts, places, links, first)
    found: Twins = subject.memo["twins"]
    return found


def first_bare(texts: Iterable[str]) -> dict[int, int]:
    """See `Twins.bare`."""
    seen: dict[str, int] = {}
    first = ((i, seen.setdefault(bare(text), i)) for i, text in enumerate(texts))
    return {i: one for i, one in first if i != one}


def bare(text: str) -> str:
    """Folded text without punctuation; as it is where it has nothing else."""
    fields = text.split(_SEPARATOR)
    found = [_one_spaced(_without_marks(field)) for field in fields]
    return _SEPARATOR.join(found) if any(found) else text


def _one_spaced(text: str) -> str:
    """Folded text with one space at most in a row, and none at its ends."""
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip(" ")


def _without_marks(text: str) -> str:
    if text.isascii():
        text = text.replace("'", "").replace("`", "")
        if _BEFORE_DIGIT.search(text):
            return _ASCII_MARK.sub(" ", text)
        # Where no sign stays all of them can be exchanged at once, which takes a tenth of the time.
        return text.encode().translate(_TO_SPACES).decode()
    text = _APOSTROPHE.sub("", text)
    return _MARK.sub(lambda mark: " " if unicodedata.category(mark[0]).startswith("P") else mark[0], text)


def clusters(links: Iterable[tuple[N, N]]) -> list[list[N]]:
    """What links join, each set in order of first sight (union-find with path halving, Tarjan and van Leeuwen 1984)."""
    above: dict[N, N] = {}

    def top(one: N) -> N:
        above.setdefault(one, one)
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for one, other in links:
        a, b = top(one), top(other)
        if a != b:
            above[b] = a
    found: defaultdict[N, list[N]] = defaultdict(list)
    for one in list(above):
        found[top(one)].append(one)
    return list(found.values())


def neighbours(links: Iterable[tuple[N, N, float]]) -> Mapping[N, dict[N, float]]:
    """By one end of a link, the other ends with their likeness."""
    found: defaultdict[N, dict[N, float]] = defaultdict(dict)
    for one, other, likeness in links:
        found[one][other] = found[other][one] = likeness
    return found
