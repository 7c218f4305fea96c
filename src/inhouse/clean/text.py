"""The check `text`: characters, planted tokens and instructions, markup; one finding per kind, however many examples.

Examples are looked at a few hundred at a time: what their texts, put together, do not hold, none of them holds. So a
million clean rows take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from inhouse.clean import characters, planted
from inhouse.clean.findings import TEST_STAYS, cut, finding, places
from inhouse.clean.personal.pieces import Columns, parts_of, rows_of
from inhouse.clean.registry import Subject, check
from inhouse.clean.shape import shape_findings
from inhouse.core import SHOWN, Dataset, Example, Finding, Masked
from inhouse.core.cores import MANY, over_cores
from inhouse.core.results import Severity

_AT_ONCE = 256
# Examples that a process is given at a time.
_PART = 20_000


@check("text", beside=True)
def text(subject: Subject) -> Iterator[Finding]:
    """Broken encodings, control and invisible characters, tokens of chat templates, instructions to a model, HTML left
    over, boilerplate, empty and constant fields, outliers in length."""
    kinds, rows = _Kinds(subject.limits.special_tokens), subject.dataset.examples
    parts = parts_of(rows, _PART)
    suspects = over_cores(partial(_suspects, brackets=kinds.brackets), parts, many=len(rows) > MANY)
    for number, of_part in enumerate(suspects):
        for place, signs in of_part.items():
            kinds.look(number * _PART + place, rows[number * _PART + place], signs)
    yield from kinds.findings(subject.dataset)
    yield from shape_findings(subject)


def _suspects(part: Columns, brackets: frozenset[str]) -> dict[int, list[str]]:
    """The places of the rows that hold a sign of something, each with the names of the signs."""
    rows, found = rows_of(part), dict[int, list[str]]()
    for start in range(0, len(rows), _AT_ONCE):
        texts = ["\n".join((*row.inputs.values(), row.target)) for row in rows[start : start + _AT_ONCE]]
        whole = "\n".join(texts)
        lower = whole.lower()
        needles = [needle for needle in ("style", *planted.NEEDLES) if needle in lower]
        signs: list[tuple[str, Callable[[str], bool]]] = []
        if any(c in whole for c in characters.CONTROLS):
            signs.append(("control", _holds_control))
        if not whole.isascii():
            signs.append(("foreign", _holds_foreign))
        if any(bracket in whole for bracket in brackets):
            signs.append(("bracket", partial(_holds_any, needles=brackets)))
        if "<" in whole or "&" in whole:
            signs.append(("markup", _holds_markup))
        if needles:
            signs.append(("instruction", partial(_holds_any_case, needles=needles)))
        for place, text in enumerate(texts if signs else (), start):
            if names := [name for name, holds in signs if holds(text)]:
                found[place] = names
    return found


@dataclass
class _Seen:
    """Where something was seen, what to see there, and what would mend it. Notes are kept as far as they are shown."""

    positions: list[int] = field(default_factory=list)
    notes: dict[int, str] = field(default_factory=dict)
    mask: dict[int, tuple[Masked, ...]] = field(default_factory=dict)

    def add(self, position: int, note: str, stretches: Iterable[Masked] = ()) -> None:
        if not self.positions or self.positions[-1] != position:
            self.positions.append(position)
        if len(self.notes) < SHOWN:
            self.notes.setdefault(position, note)
        if mends := tuple(stretches):
            self.mask[position] = (*self.mask.get(position, ()), *mends)


class _Kinds:
    """Everything that a look at the texts, one after the other, finds."""

    def __init__(self, special_tokens: frozenset[str]) -> None:
        self._tokens = planted.tokens_pattern(special_tokens)
        self.brackets = frozenset(t[0] for t in (*planted.COMMON_TOKENS, *special_tokens) if not t[0].isalnum())
        self.mojibake, self.lost, self.controls, self.invisible = _Seen(), _Seen(), _Seen(), _Seen()
        self.tokens, self.instructions, self.tags, self.markup = _Seen(), _Seen(), _Seen(), _Seen()
        self._see = {
            "control": self._see_controls,
            "foreign": self._see_foreign,
            "bracket": self._see_tokens,
            "markup": self._see_markup,
            "instruction": self._see_instructions,
        }

    def look(self, position: int, example: Example, signs: Sequence[str]) -> None:
        """Look at an example for what the signs are of."""
        for sign in signs:
            for name, value in (*example.inputs.items(), ("", example.target)):
                self._see[sign](position, name, value)

    def _see_controls(self, position: int, name: str, value: str) -> None:
        if characters.mojibake(value) is not None:  # what looks like one may be half of a letter
            return
        if mends := tuple(characters.mend_controls(value, name)):
            self.controls.add(position, ", ".join(sorted({_code(value[m.start]) for m in mends})), mends)

    def _see_foreign(self, position: int, name: str, value: str) -> None:
        if value.isascii():
            return
        if (fixed := characters.mojibake(value)) is not None:
            mends = tuple(characters.mend_mojibake(value, fixed, name))
            shown = (value[mends[0].start : mends[0].end], mends[0].text) if mends else (value, fixed)
            self.mojibake.add(position, f"{cut(shown[0], 40)} is {cut(shown[1], 40)}", mends)
        if characters.LOST in value:
            self.lost.add(position, f"{value.count(characters.LOST)} lost")
        if mends := tuple(characters.mend_invisible(value, name)):
            self.invisible.add(position, ", ".join(sorted({_code(value[m.start]) for m in mends})), mends)
        if mends := tuple(characters.mend_tags(value, name)):
            self.tags.add(position, cut(characters.read_tags(value)), mends)

    def _see_tokens(self, position: int, name: str, value: str) -> None:
        if mends := tuple(planted.mend_tokens(value, name, self._tokens)):
            self.tokens.add(position, ", ".join(sorted({value[m.start : m.end] for m in mends})), mends)

    def _see_markup(self, position: int, name: str, value: str) -> None:
        if found := planted.markup(value):
            self.markup.add(position, cut(found, 40))

    def _see_instructions(self, position: int, _name: str, value: str) -> None:
        if found := planted.instruction(value):
            self.instructions.add(position, cut(found))

    def findings(self, dataset: Dataset) -> Iterator[Finding]:
        """One per kind that was seen."""
        kinds: tuple[tuple[str, _Seen, Severity, str, str, str], ...] = (
            ("mojibake", self.mojibake, "warning", _MOJIBAKE, _MENDED, _SOURCE_TOO),
            ("lost", self.lost, "warning", _LOST, _ANEW, "what stood there cannot be known any more"),
            ("control", self.controls, "warning", _CONTROLS, _TAKEN_OUT, _SOURCE_TOO),
            ("invisible", self.invisible, "info", _INVISIBLE, _TAKEN_OUT, _SPLIT_WORDS),
            ("tokens", self.tokens, "warning", _TOKENS, _TAKEN_OUT, _AS_TEXT),
            ("tags", self.tags, "warning", _TAGS, _TAKEN_OUT, _OBEYED),
            ("markup", self.markup, "info", _MARKUP, _PLAIN, _MARKUP_COST),
        )
        for about, seen, severity, what, action, cost in kinds:
            if seen.positions:
                yield _finding(dataset, about, seen, severity, what, action, cost, mask=seen.mask)
        if self.instructions.positions:
            drop = tuple(i for i in self.instructions.positions if dataset.splits[i] != "test")
            action = f"drop {len(drop)} of the train side, where they are no part of the work" if drop else TEST_STAYS
            yield _finding(
                dataset, "instructions", self.instructions, "warning", _INSTRUCTIONS, action, _OBEYED, drop=drop
            )


_MOJIBAKE = "were read in a wrong encoding, such as 'Ã¼' for 'ü'"
_LOST = "hold the sign for a character that was lost on the way (U+FFFD)"
_CONTROLS = "hold control characters"
_INVISIBLE = "hold characters that are not to be seen (soft hyphens, zero-width spaces, turns of direction)"
_TOKENS = "hold special tokens of a chat template"
_TAGS = "hold text that is not to be seen, written in Unicode tag characters"
_MARKUP = "hold HTML that was left over"
_INSTRUCTIONS = "hold instructions to a model, or text that is hidden from a reader"
_MENDED = "put the right characters in, in the test too"
_TAKEN_OUT = "take them out, in the test too"
_ANEW = "nothing is changed: export the file anew, as UTF-8"
_PLAIN = "nothing is changed: export plain text, unless requests come with HTML too"
_SOURCE_TOO = "words with them are strange to the model; mend the source too, or requests come with them"
_SPLIT_WORDS = "words with them are other words to the model"
_AS_TEXT = "an answer may begin to write them; other programs may take them for the end of a turn"
_OBEYED = "a prompted model may obey them, and a trained one learns what they make of the answer"
_MARKUP_COST = "it takes room that the text could have"


def _finding(
    dataset: Dataset,
    about: str,
    seen: _Seen,
    severity: Severity,
    what: str,
    action: str,
    cost: str,
    **edits: Any,  # noqa: ANN401 - `mask` or `drop`
) -> Finding:
    number = len(seen.positions)
    mended = len(seen.mask)
    if about == "mojibake" and mended < number:
        action = f"{action}, where it is certain which they are ({mended} of {number})" if mended else _ANEW
    subject = "one example" if number == 1 else f"{number:,} examples"
    if number == 1:
        what = re.sub(r"^(hold|were) ", lambda verb: {"hold": "holds", "were": "was"}[verb[1]] + " ", what)
    first = seen.positions[0]
    return finding(
        dataset,
        "text",
        severity,
        seen.positions,
        f"{subject} {what}, at {places(dataset, seen.positions)}: {seen.notes[first]}",
        action,
        about=about,
        notes=seen.notes,
        cost=cost,
        **edits,
    )


def _holds_control(row: str) -> bool:
    return any(c in row for c in characters.CONTROLS)


def _holds_foreign(row: str) -> bool:
    return not row.isascii()


def _holds_markup(row: str) -> bool:
    return "<" in row or "&" in row


def _holds_any(row: str, needles: Collection[str]) -> bool:
    return any(needle in row for needle in needles)


def _holds_any_case(row: str, needles: Collection[str]) -> bool:
    return _holds_any(row.lower(), needles)


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
