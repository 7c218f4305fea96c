"""Whether examples are enough, and varied enough, to learn from and to test with."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence

from inhouse.core import Example, Kind, folded, target_key
from inhouse.errors import RareLabels, TooFewExamples

MIN_EXAMPLES = 10
# Labels so alike may be one that was written in two ways (difflib's ratio, case and white space folded).
_ALIKE = 0.85


def rare_labels(examples: Sequence[Example]) -> dict[str, Example]:
    """The labels that a single different example has, each with that example, in order of first sight."""
    first: dict[str, Example] = {}
    several: set[str] = set()
    for example in examples:
        if first.setdefault(example.target, example).id != example.id:
            several.add(example.target)
    return {label: example for label, example in first.items() if label not in several}


def check_learnable(
    examples: Sequence[Example], *, kind: Kind, test_given: bool, note: str = "", first: bool = False
) -> None:
    """Check that there are ten different examples, two answers, and what makes each label testable.

    Args:
        examples: what is trained, validated and, where no test file was given, tested on.
        kind: of the task; only a classify task has labels.
        test_given: the test examples are given elsewhere, so one example of a label is enough to learn it; otherwise
            two different ones are needed.
        note: said in parentheses after what is wrong, for instance why examples were left out.
        first: these would be the first data of their task, of which nothing is kept where they are too few.

    Raises:
        TooFewExamples: naming the number, or the label.
        RareLabels: naming the label with its file and line, and another that it may be meant to be.
    """
    note = f" ({note})" if note else ""
    different = len({e.id for e in examples})
    if different < MIN_EXAMPLES:
        raise TooFewExamples(
            f"{different} different examples; {MIN_EXAMPLES} are the least, and a few hundred are a good start{note}",
            "nothing was kept: add them with more, several files at once where need be (`inhouse add TASK FILE FILE`)"
            if first
            else "add more with `inhouse add`",
            file=_one_file(examples),
        )
    if len({target_key(e.target, kind) for e in examples}) == 1:
        raise _all_the_same(examples, kind, note)
    rare = rare_labels(examples) if kind == "classify" and not test_given else {}
    if rare:
        raise _too_rare(list(rare.values()), Counter(e.target for e in examples if e.target not in rare), note)


def _all_the_same(examples: Sequence[Example], kind: Kind, note: str) -> TooFewExamples:
    target = examples[0].target
    shown = repr(target if len(target) <= 60 else f"{target[:57]}...")
    if kind == "classify":
        what = f"all {len(examples)} examples have the label {shown}: there is nothing to tell apart"
        remedy = "add examples of other labels, or name another column with --target NAME"
    else:
        what = f"all {len(examples)} examples have the same answer, {shown}: there is nothing to learn"
        remedy = "add examples with other answers, or name another column with --target NAME"
    return TooFewExamples(f"{what}{note}", remedy, file=_one_file(examples))


def _one_file(examples: Sequence[Example]) -> str | None:
    """The file that all of them come from, if it is one."""
    files = {e.provenance.file for e in examples}
    return files.pop() if len(files) == 1 else None


def _too_rare(examples: list[Example], others: Mapping[str, int], note: str) -> RareLabels:
    first = examples[0]
    what = f"the label {first.target!r} appears once: it cannot be both learned and tested{note}"
    if len(examples) > 1:
        more_of_them = ", ".join(f"{e.target!r} ({e.provenance})" for e in examples[1:6])
        more = f" and {len(examples) - 6} more" if len(examples) > 6 else ""
        what += f"; so do {more_of_them}{more}"
    pairs = [(e.target, near) for e in examples[:6] if (near := _near(e.target, others))]
    meant = ", ".join(f"{near!r} ({others[near]} examples) in place of {label!r}" for label, near in pairs)
    remedy = "add examples of it, merge it into another label, or set such rows aside with --drop-rare"
    return RareLabels(
        what,
        f"write {meant}, if that is meant; else {remedy}" if meant else remedy,
        file=first.provenance.file,
        line=first.provenance.line,
    )


def _near(label: str, others: Mapping[str, int]) -> str:
    """The label that another may be meant to be; empty where none is near."""
    by_form = {folded(other): other for other in sorted(others, key=others.__getitem__)}
    near = difflib.get_close_matches(folded(label), by_form, n=1, cutoff=_ALIKE)
    return by_form[near[0]] if near else ""
