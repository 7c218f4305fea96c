"""Structure checks of a generated text: what its Outline sets, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from inhouse.core import Outline

_BULLET = re.compile(r"\s*(?:[-*+•–‣▪◦]|\d{1,2}[.)])\s+\S")
_SPACE = re.compile(r"\s+")


def outline_checks(outline: Outline, text: str) -> dict[str, bool]:
    """Which checks of the outline `text` passes; only those that it sets.

    - sections: every section stands on a line of its own, or begins a line where it ends with a colon.
    - order: the sections that are there stand in the given order.
    - words, lines, bullets: within the given range; lines without blank ones.
    - patterns: each is found (`^` and `$` are the text's, unless the pattern says otherwise).
    - forbidden: none of the phrases stands in it as whole words, whatever its case.
    """
    return {name: _CHECKS[name](outline, text) for name in check_names(outline)}


def check_names(outline: Outline) -> tuple[str, ...]:
    """The checks that an outline sets, in the order of `outline_checks`."""
    names = ("sections", "words", "lines", "bullets", "patterns", "forbidden")
    given = [name for name in names if getattr(outline, name) not in ((), None)]
    if len(outline.sections) > 1:
        given.insert(1, "order")
    return tuple(given)


def text_lines(text: str) -> list[str]:
    """The lines that hold something, white space folded."""
    folded = (_SPACE.sub(" ", line).strip() for line in text.splitlines())
    return [line for line in folded if line]


def word_count(text: str) -> int:
    """Words as white space parts them."""
    return len(text.split())


def bullet_count(text: str) -> int:
    """Lines that begin with a bullet sign or with a number and a dot."""
    return sum(1 for line in text.splitlines() if _BULLET.match(line))


def opens(section: str, line: str) -> bool:
    """Whether `line` is where `section` begins; both with white space folded."""
    return line == section or (section.endswith(":") and line.startswith(section))


def _places(outline: Outline, text: str) -> Iterator[int | None]:
    """The first line of each section."""
    lines = text_lines(text)
    for section in outline.sections:
        name = _SPACE.sub(" ", section).strip()
        yield next((place for place, line in enumerate(lines) if opens(name, line)), None)


def _in_order(outline: Outline, text: str) -> bool:
    places = [place for place in _places(outline, text) if place is not None]
    return places == sorted(places)


def _within(span: tuple[int, int] | None, count: int) -> bool:
    return span is None or span[0] <= count <= span[1]


@lru_cache(maxsize=1000)
def _phrase(phrase: str) -> re.Pattern[str]:
    """The phrase as whole words: "here is the" does not stand in "where is the"."""
    folded = _SPACE.sub(" ", phrase).strip().casefold()
    before = r"(?<!\w)" if folded[:1].isalnum() else ""
    after = r"(?!\w)" if folded[-1:].isalnum() else ""
    return re.compile(before + re.escape(folded) + after)


def _says(text: str, phrase: str) -> bool:
    return _phrase(phrase).search(_SPACE.sub(" ", text).casefold()) is not None


_CHECKS: dict[str, Callable[[Outline, str], bool]] = {
    "sections": lambda outline, text: None not in _places(outline, text),
    "order": _in_order,
    "words": lambda outline, text: _within(outline.words, word_count(text)),
    "lines": lambda outline, text: _within(outline.lines, len(text_lines(text))),
    "bullets": lambda outline, text: _within(outline.bullets, bullet_count(text)),
    "patterns": lambda outline, text: all(re.search(pattern, text) for pattern in outline.patterns),
    "forbidden": lambda outline, text: not any(_says(text, phrase) for phrase in outline.forbidden),
}
