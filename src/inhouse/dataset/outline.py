"""The Outline of a generate task: the structure that its training targets share."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

from inhouse.core import Outline
from inhouse.errors import TooFewExamples
from inhouse.scoring.outlines import bullet_count, opens, outline_checks, text_lines, word_count

# A training target may break the outline as rarely as this; a section that more of them lack is none.
MAY_FAIL = 0.01
SLACK = 0.2
_LONGEST_HEADING = 60
_MOST_WORDS = 8
# A shared beginning or ending says something from this length on, and only if this many different texts share it.
_SHARED_LETTERS = 12
_SHARED_BY = 5
_LABEL = re.compile(r"[^\W\d_][^:.!?]{0,40}:(?= )")
_BULLET_OR_NUMBER = re.compile(r"[-+•–‣▪◦]\s|\*\s|\d+[.)]\s")
_BOILERPLATE = (
    "as an ai", "as a language model", "i cannot", "i'm sorry, but", "here is the", "here's the", "sure, here",
    "certainly!", "als ki-", "als sprachmodell", "ich kann leider nicht", "hier ist die", "hier ist der",
    "gerne! hier", "als ai-", "als taalmodel", "ik kan helaas niet", "hier is de", "hier is het", "natuurlijk! hier",
    "en tant qu'ia", "en tant que modèle", "je ne peux pas", "voici le", "voici la", "bien sûr !", "[insert",
)  # fmt: skip


def infer_outline(targets: Sequence[str]) -> Outline:
    """What nearly all training targets share: headings and their order, ranges of length, fixed first or last words.

    At least 99 % of the targets pass all checks of the result. Ranges reach a fifth beyond what was seen.

    Raises:
        TooFewExamples: if there is no target.
    """
    if not targets:
        raise TooFewExamples("an outline of no examples was asked for", "add at least one example")
    sections = _sections(targets)
    return Outline(
        sections=sections,
        words=_range(targets, word_count),
        lines=_range(targets, lambda t: len(text_lines(t))) if any(len(text_lines(t)) > 1 for t in targets) else None,
        bullets=_range(targets, bullet_count) if any(map(bullet_count, targets)) else None,
        patterns=_patterns(targets, sections),
        forbidden=_forbidden(targets),
    )


def describe_outline(outline: Outline) -> list[str]:
    """The checks as lines for a person."""
    told = []
    if outline.sections:
        told.append("sections, in this order: " + " | ".join(outline.sections))
    for name in ("words", "lines", "bullets"):
        span = getattr(outline, name)
        if span is not None:
            told.append(f"{name}: {span[0]}" if span[0] == span[1] else f"{name}: {span[0]} to {span[1]}")
    told += [f"must match: {pattern}" for pattern in outline.patterns]
    if outline.forbidden:
        told.append("must not say: " + ", ".join(f'"{phrase}"' for phrase in outline.forbidden))
    return told


def _sections(targets: Sequence[str]) -> tuple[str, ...]:
    """Headings that nearly all have, in the order that nearly all keep."""
    lines = [text_lines(target) for target in targets]
    seen = Counter(heading for text in lines for heading in dict.fromkeys(_headings(text)))
    kept = [heading for heading, times in seen.items() if times >= 0.95 * len(targets)]
    while kept:
        kept = _by_usual_order(kept, lines)
        outline = Outline(sections=tuple(kept))
        failing = [text for text, target in zip(lines, targets, strict=True) if not _passes(outline, target)]
        if len(failing) <= MAY_FAIL * len(targets):
            break
        kept.remove(max(kept, key=lambda heading: _faults(heading, kept, failing)))
    return tuple(kept)


def _headings(lines: Sequence[str]) -> list[str]:
    """What of a text's lines may be a heading: whole short lines, and what stands before a colon."""
    found = []
    for line in lines:
        if label := _LABEL.match(line):
            found.append(label[0])
        elif _is_heading(line):
            found.append(line)
    return found


def _is_heading(line: str) -> bool:
    if len(line) > _LONGEST_HEADING or len(line.split()) > _MOST_WORDS:
        return False
    if not any(letter.isalpha() for letter in line):
        return False
    if line.startswith("#") or re.fullmatch(r"\*\*.+\*\*:?", line):
        return True
    return line[-1] not in ".!?;," and not _BULLET_OR_NUMBER.match(line)


def _place(heading: str, lines: Sequence[str]) -> int | None:
    return next((place for place, line in enumerate(lines) if opens(heading, line)), None)


def _by_usual_order(headings: Sequence[str], texts: Sequence[Sequence[str]]) -> list[str]:
    orders: Counter[tuple[str, ...]] = Counter()
    for lines in texts:
        places = {heading: _place(heading, lines) for heading in headings}
        there = [heading for heading in headings if places[heading] is not None]
        if len(there) == len(headings):
            orders[tuple(sorted(there, key=lambda heading: places[heading] or 0))] += 1
    return list(orders.most_common(1)[0][0]) if orders else list(headings)


def _faults(heading: str, kept: Sequence[str], failing: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How often a heading is missing, and how many of the other headings it stands on the wrong side of."""
    missing = crossed = 0
    mine = kept.index(heading)
    for lines in failing:
        here = _place(heading, lines)
        if here is None:
            missing += 1
            continue
        for other, name in enumerate(kept):
            there = _place(name, lines)
            crossed += there is not None and other != mine and (here < there) != (mine < other)
    return missing + crossed, missing


def _passes(outline: Outline, target: str) -> bool:
    return all(outline_checks(outline, target).values())


def _range(targets: Sequence[str], count: Callable[[str], int]) -> tuple[int, int]:
    """The least and the most of what was seen, a fifth wider; a number that never varies stays as it is."""
    counts = [count(target) for target in targets]
    low, high = min(counts), max(counts)
    if low == high and len(targets) >= _SHARED_BY:
        return low, high
    return max(min(low, 1), math.floor(low * (1 - SLACK))), math.ceil(high * (1 + SLACK))


def _patterns(targets: Sequence[str], sections: Sequence[str]) -> tuple[str, ...]:
    """The words that all begin with and all end with, where a section does not say so already."""
    texts = [target.strip() for target in targets]
    if len(set(texts)) < _SHARED_BY:
        return ()
    beginning = _whole_words(_common_beginning(texts))
    ending = _whole_words(_common_beginning([text[::-1] for text in texts]))[::-1]
    found = []
    if _says_something(beginning, sections):
        found.append(rf"\A\s*{re.escape(beginning)}")
    if _says_something(ending, sections):
        found.append(rf"{re.escape(ending)}\s*\Z")
    return tuple(found)


def _common_beginning(texts: Sequence[str]) -> str:
    low, high = min(texts), max(texts)
    return low[: next((i for i, letter in enumerate(low) if letter != high[i]), len(low))]


def _whole_words(shared: str) -> str:
    """What all share, up to the last gap in it: the word after it is only begun."""
    cut = max(shared.rfind(" "), shared.rfind("\n"))
    return shared[:cut].strip() if cut > 0 else ""


def _says_something(shared: str, sections: Sequence[str]) -> bool:
    lines = text_lines(shared)
    told = all(any(opens(section, line) for section in sections) for line in lines)
    return len(shared) >= _SHARED_LETTERS and not told


def _forbidden(targets: Sequence[str]) -> tuple[str, ...]:
    """Phrases of chat assistants that no target holds."""
    outline = Outline(forbidden=_BOILERPLATE)
    if all(_passes(outline, target) for target in targets):
        return _BOILERPLATE
    return tuple(p for p in _BOILERPLATE if all(_passes(Outline(forbidden=(p,)), target) for target in targets))
