"""Personal data and secrets hidden in what other checks show, as in the evidence of the checks that find them.

What a check shows is kept, printed and passed on: it must not spread what masking is about to take out of the data.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from inhouse.clean.findings import excerpt
from inhouse.clean.personal import HIDDEN, hidden, personal
from inhouse.core import Dataset, Evidence, Example, Finding, Masked, Provenance, Split, render_input

# Of a value that an excerpt ends within, fewer characters are no part that anybody could know it by.
_LEAST_CUT = 3
# Numbers are written with and without separators.
_NUMBERS = ("IBAN", "CARD", "NATIONAL_ID", "VAT", "PHONE")
_WORD = re.compile(r"[^\W_]+")
_SIGN = re.compile(r"[^\W_]")

Original = tuple[str, str]


def veiled(dataset: Dataset, findings: Sequence[Finding]) -> list[Finding]:
    """Findings of all checks on a dataset without the personal data and secrets that some of them found."""
    shown = {one.position for finding in findings for one in finding.evidence}
    stretches: defaultdict[int, set[Masked]] = defaultdict(set)
    for finding in findings:
        for position, masks in finding.mask.items() if finding.check in HIDDEN else ():
            if position in shown:
                stretches[position].update(masks)
    return [
        finding
        if not any(one.position in stretches for one in finding.evidence)
        else _over(dataset, finding, stretches)
        for finding in findings
    ]


def veiled_names(texts: Collection[str]) -> dict[str, str]:
    """Labels, names of files and short sentences, by what they are, with the personal data in them hidden."""
    examples = tuple(
        Example({"text": text.replace("_", " ")}, "", "", Provenance("", i)) for i, text in enumerate(texts)
    )
    splits = tuple[Split, ...]("train" for _ in examples)
    found = personal(Dataset("", 0, examples, splits), "generate")
    made = {}
    for position, text in enumerate(texts):
        spans = {(one.start, one.end) for _, one in found.get(position, ())}
        made[text] = _without(text, spans)
    return made


def _over(dataset: Dataset, finding: Finding, stretches: Mapping[int, Collection[Masked]]) -> Finding:
    positions = dict.fromkeys(one.position for one in finding.evidence if one.position in stretches)
    originals = sorted(
        {_original(dataset.examples[i], mask) for i in positions for mask in stretches[i]},
        key=lambda one: (-len(one[1]), one),
    )
    return finding.model_copy(
        update={
            "reason": _hide(finding.reason, originals),
            "action": _hide(finding.action, originals),
            "cost": _hide(finding.cost, originals),
            "evidence": tuple(
                # The checks that find it show the text around it, and hide what they found themselves.
                _evidence(dataset, one, () if finding.check in HIDDEN else stretches.get(one.position, ()), originals)
                for one in finding.evidence
            ),
        }
    )


def _evidence(dataset: Dataset, one: Evidence, masks: Collection[Masked], originals: Sequence[Original]) -> Evidence:
    shown = {"input": one.input, "target": one.target}
    if masks:  # cut after it is hidden, as an excerpt may end within a name
        example = dataset.examples[one.position]
        inputs = {
            name: _without(text, {(m.start, m.end) for m in masks if m.field == name})
            for name, text in example.inputs.items()
        }
        answer = {(m.start, m.end) for m in masks if not m.field and not m.rejected}
        shown = {"input": excerpt(render_input(inputs)), "target": excerpt(_without(example.target, answer))}
    shown["note"] = one.note
    return one.model_copy(update={name: _hide(text, originals) for name, text in shown.items()})


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """A text with stretches of it hidden."""
    parts, position = list[str](), 0
    for start, end in sorted(spans):
        if start >= position:
            parts += [text[position:start], hidden(text[start:end])]
            position = end
    return "".join((*parts, text[position:]))


def _original(example: Example, mask: Masked) -> Original:
    answer = example.rejected if mask.rejected else example.target
    return mask.text.strip('"[]'), (example.inputs[mask.field] if mask.field else answer)[mask.start : mask.end]


def _hide(text: str, originals: Sequence[Original]) -> str:
    """A sentence without what was found in the examples that it is about, however it is written there or cut."""
    if not originals:
        return text
    folded, cut = text.casefold(), "..." in text
    for kind, original in originals:
        pattern = _pattern(kind, original)
        if pattern and _begins(kind, original) in folded:
            text = pattern.sub(lambda m: hidden(m[0]), text)
        if pattern and cut:
            text = _without(text, _cut(text, " ".join(original.split())))
    return text


@lru_cache(maxsize=4096)
def _begins(kind: str, original: str) -> str:
    """What stands in every writing of a value: its first word, or its first digit."""
    first = (_SIGN if kind in _NUMBERS else _WORD).search(original)
    return first[0].casefold() if first else ""


@lru_cache(maxsize=4096)
def _pattern(kind: str, original: str) -> re.Pattern[str] | None:
    """What finds a value in other writings of it: another case, other spaces and separators."""
    signs, between = (_SIGN, r"[\W_]{0,3}") if kind in _NUMBERS else (_WORD, r"[\W_]{1,3}")
    parts = [re.escape(part) for part in signs.findall(original)]
    if not parts:
        return None
    return re.compile(rf"(?<![^\W_]){between.join(parts)}(?![^\W_])", re.IGNORECASE)


def _cut(text: str, original: str) -> Iterable[tuple[int, int]]:
    """Where excerpts within a text end or begin in the midst of a value."""
    folded = text.casefold()
    if all(part.casefold() not in folded for part in (original[:_LEAST_CUT], original[-_LEAST_CUT:])):
        return
    for mark in re.finditer(r"\.\.\.", text):
        start, end = mark.span()
        for size in range(len(original) - 1, _LEAST_CUT - 1, -1):
            if _same(text[max(0, start - size) : start], original[:size]) and not text[: start - size][-1:].isalnum():
                yield start - size, start
                break
        for size in range(len(original) - 1, _LEAST_CUT - 1, -1):
            if _same(text[end : end + size], original[-size:]) and not text[end + size :][:1].isalnum():
                yield end, end + size
                break


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
