"""Documents as passages: pieces that are long enough to tell something, short enough to be shown, and can be cited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A longer paragraph is parted at its sentences; a shorter one than a heading's words goes with the next.
MOST_WORDS, HEADING_WORDS = 120, 8

_PARAGRAPHS = re.compile(r"\n\s*\n|\f")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document: its text, the document's name, and the how many-th of it this is, from 1."""

    file: str
    number: int
    text: str

    @property
    def cited(self) -> str:
        """How an answer names it."""
        return f"{self.file}#{self.number}"


def passages_of(file: str, text: str) -> list[Passage]:
    """The passages of a document's text, in order: its paragraphs, long ones parted, headings with what they head.

    Args:
        file: what the document is called.
    """
    return [Passage(file, number, piece) for number, piece in enumerate(_pieces(text), 1)]


def _pieces(text: str) -> Iterator[str]:
    heading = ""
    for paragraph in filter(None, (one.strip() for one in _PARAGRAPHS.split(text))):
        whole = f"{heading}\n{paragraph}" if heading else paragraph
        heading = ""
        if len(whole.split()) < HEADING_WORDS:
            heading = whole
        else:
            yield from _short(whole)
    if heading:
        yield heading


def _short(paragraph: str) -> Iterator[str]:
    """The paragraph, or as many of its sentences at a time as a passage may have words."""
    kept: list[str] = []
    words = 0
    for sentence in _sentences(paragraph):
        size = len(sentence.split())
        if kept and words + size > MOST_WORDS:
            yield "\n".join(kept)
            kept, words = [], 0
        kept.append(sentence)
        words += size
    yield "\n".join(kept)


def _sentences(paragraph: str) -> Iterator[str]:
    if len(paragraph.split()) <= MOST_WORDS:
        yield paragraph
        return
    for sentence in filter(None, (one.strip() for one in _SENTENCE.split(paragraph))):
        words = sentence.split()
        for start in range(0, len(words), MOST_WORDS):
            yield sentence if len(words) <= MOST_WORDS else " ".join(words[start : start + MOST_WORDS])
