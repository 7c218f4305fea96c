"""Which inputs of a dataset are the same or nearly so: found once, and used by several checks."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from inhouse.clean.registry import Subject
from inhouse.core import Dataset, folded
from inhouse.core.cores import MANY, over_cores
from inhouse.scoring.twins import near_twins

N = TypeVar("N", bound=Hashable)

# Inputs that a process is given at a time.
_PART = 20_000

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


def texts_of(dataset: Dataset) -> tuple[list[str], list[list[int]], dict[int, int]]:
    """`Twins.texts`, `Twins.places` and `Twins.bare`; two inputs have one text exactly where they have one
    `input_key`."""
    rows = dataset.examples
    parts = ([tuple(e.inputs.values()) for e in rows[at : at + _PART]] for at in range(0, len(rows), _PART))
    places: defaultdict[str, list[int]] = defaultdict(list)
    firsts: dict[str, int] = {}
    bare_of: dict[int, int] = {}
    for i, (text, stripped) in enumerate(chain.from_iterable(over_cores(_folded, parts, many=len(rows) > MANY))):
        if text not in places and (first := firsts.setdefault(stripped, len(places))) != len(places):
            bare_of[len(places)] = first
        places[text].append(i)
    return list(places), list(places.values()), bare_of


def _folded(inputs: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    """The text of each input, and that without punctuation."""
    texts = [_SEPARATOR.join(map(folded, values)) for values in inputs]
    return [(text, bare(text)) for text in texts]


# Between the fields of an input; folded text holds no such line break.
_SEPARATOR = " \n "


def twins_of(subject: Subject) -> Twins:
    """The twins among all examples, whatever their split; looked for once per subject."""
    if "twins" not in subject.memo:
        subject.memo["twins"] = find_twins(subject.dataset)
    found: Twins = subject.memo["twins"]
    return found


def find_twins(dataset: Dataset) -> Twins:
    """The twins among all examples of a dataset."""
    texts, places, first = texts_of(dataset)
    links = [(i, j, 1.0) for j, i in first.items()]
    links += (link for link in near_twins(texts) if first.get(link[1]) not in (link[0], first.get(link[0], -1)))
    return Twins(texts, places, links, first)


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
