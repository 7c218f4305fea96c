"""Generate: texts without the sections, the style or the facts that the others keep.

What most texts keep is learned from the examples: lines that stand in nearly all of them and their order, how they
begin and end, their language, length and bullets, and that they say what their input says and nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import numpy as np

from inhouse.clean.findings import cut, finding
from inhouse.clean.language import classified
from inhouse.clean.registry import Subject
from inhouse.clean.suspects.read_back import ReadBack, read_back
from inhouse.clean.suspects.told import Fault
from inhouse.core import SHOWN, Finding, Outline, render_input
from inhouse.scoring.attributes import attributes_of
from inhouse.scoring.facts import FactFinder
from inhouse.scoring.outlines import bullet_count, outline_checks, text_lines, word_count

# Fewer texts than these have no habit.
LEAST = 20
# A line that so many texts have is a section of all; a way of writing that so many keep is the house's.
SECTION = 0.8
# A section that so many texts have is one of all, even where the outline of the task goes without it: what `add` infers
# leaves out what one text in a hundred breaks.
OWN_SECTION = 0.95
STYLE = 0.97
# Where so many texts invent nothing, one that does is broken.
NOTHING_INVENTED = 0.9
# What fewer texts than these keep is no rule: those that break it are told together, and none of them by itself.
MOSTLY = 0.8
# An attribute that is read otherwise with this chance is told.
READ_OTHERWISE = 0.5
SPREADS = 6.0
_LONGEST_SECTION = 60
# A shorter text is of many languages.
_TELLING_WORDS, _CERTAIN = 8, 0.99
_STRUCTURE = ("sections", "order")


def broken_texts(subject: Subject) -> Iterator[Fault]:
    """Sections that are missing or in another order, and facts that the input does not hold where that is rare."""
    yield from _structures(subject)
    yield from _invented(subject, broken=True)


def suspect_texts(subject: Subject) -> Iterator[Fault]:
    """Texts that break what the outline or nearly all others keep, or do not say what their attributes say."""
    examples = subject.dataset.examples
    texts = [e.target for e in examples]
    for name, positions in _outline_broken(subject).items():
        for position in positions if _is_rare(positions, texts) else ():
            yield Fault(position, f"the outline's {name} are not kept", 0.9, broken=False)
    # What lacks a section begins or ends otherwise too: that is told once.
    cut_up = {fault.position for fault in _structures(subject)}
    yield from (fault for fault in _styles(texts) if fault.position not in cut_up)
    yield from _lengths(texts)
    yield from _invented(subject, broken=False)
    yield from _left_out(subject)
    yield from _read_otherwise(subject)


def outline_often_broken(subject: Subject) -> Iterator[Finding]:
    """One finding where so many texts break a check of the outline that it is the outline which does not fit them."""
    texts = subject.dataset.examples
    often = {name: found for name, found in _outline_broken(subject).items() if not _is_rare(found, texts)}
    if not often:
        return
    told = ", ".join(f"{name} ({len(found)} of {len(texts)})" for name, found in often.items())
    yield finding(
        subject.dataset,
        "suspect_target",
        "info",
        sorted({position for found in often.values() for position in found}),
        f"many targets do not keep what the outline asks for: {told}; none of them is called wrong for it",
        "nothing is changed: mend the outline in task.toml, or the texts",
        about="outline often broken",
        cost="answers are checked for what the examples do not show",
    )


def _outline_broken(subject: Subject) -> dict[str, list[int]]:
    """By check of the task's outline, its sections aside, the texts that do not keep it."""
    found: dict[str, list[int]] = {}
    for position, example in enumerate(subject.dataset.examples):
        for name, kept in outline_checks(subject.outline, example.target).items():
            if not kept and name not in _STRUCTURE:
                found.setdefault(name, []).append(position)
    return found


def _is_rare(broken: Sequence[int], texts: Sequence[object]) -> bool:
    """Whether so few break a rule that they are at fault and not the rule; of few texts nothing else is known."""
    return len(texts) < LEAST or len(texts) - len(broken) >= MOSTLY * len(texts)


def suspicion(subject: Subject) -> list[float]:
    """How likely each text does not say what its attributes say, from 0 to 1: the chance that one at least is wrong."""
    right = np.ones(len(subject.dataset.examples))
    for one in _attributes(subject):
        right *= 1.0 - one.unlikely
    return [float(chance) for chance in 1.0 - right]


# --- sections


def usual_sections(texts: Sequence[str], share: float = SECTION) -> tuple[str, ...]:
    """Short lines that this share of the texts have, in the order that most keep; none of few texts."""
    if len(texts) < LEAST:
        return ()
    lines = [list(dict.fromkeys(text_lines(text))) for text in texts]
    times = Counter(line for one in lines for line in one if len(line) <= _LONGEST_SECTION and not bullet_count(line))
    kept = [line for line, n in times.items() if n >= share * len(texts) and any(map(str.isalpha, line))]
    places = {line: [one.index(line) for one in lines if line in one] for line in kept}
    return tuple(sorted(kept, key=lambda line: median(places[line])))


def _structures(subject: Subject) -> Iterator[Fault]:
    texts = [e.target for e in subject.dataset.examples]
    sections = subject.outline.sections or usual_sections(texts)
    if set(sections) < set(own := usual_sections(texts, OWN_SECTION)):
        sections = own
    outline = Outline(sections=sections)
    for position, text in enumerate(texts):
        yield from _structure(position, outline, text)


def _structure(position: int, outline: Outline, text: str) -> Iterator[Fault]:
    kept = outline_checks(outline, text)
    if not kept.get("sections", True):
        there = [s for s in outline.sections if outline_checks(Outline(sections=(s,)), text)["sections"]]
        missing = ", ".join(cut(s) for s in outline.sections if s not in there)
        yield Fault(position, f"the target has no {missing}, which others have", 0.99, broken=True)
    if not kept.get("order", True):
        usual = ", ".join(map(cut, outline.sections))
        yield Fault(position, f"its sections stand in another order than {usual}", 0.99, broken=True)


# --- style


def _styles(texts: Sequence[str]) -> Iterator[Fault]:
    """Ways of writing that nearly all texts keep, and those that do not."""
    if len(texts) < 2 * LEAST:
        return
    for says, trait in _TRAITS.items():
        found = [trait(text) for text in texts]
        usual, times = Counter(found).most_common(1)[0]
        share = times / len(texts)
        for position, one in enumerate(found):
            if share >= STYLE and usual and one and one != usual:
                told = f"{says} is {cut(one)}, in {share:.1%} of the others {cut(usual)}"
                yield Fault(position, told, share, broken=False)


def _greeting(text: str) -> str:
    """The first word of the text."""
    return next(iter(text.split()), "").strip(",.!:").casefold()


def _closing(text: str) -> str:
    """The last line but a name: of a letter, what stands above it."""
    lines = text_lines(text)
    return lines[-2] if len(lines) > 3 and len(lines[-2]) <= _LONGEST_SECTION else "none"


def _ending(text: str) -> str:
    last = text.rstrip()[-1:]
    return "a letter" if last.isalpha() else "a digit" if last.isdigit() else last


def _language(text: str) -> str:
    """The language of a text long enough to tell, where it is certain."""
    if word_count(text) < _TELLING_WORDS:
        return ""
    language, chance = classified(text)
    return language if chance >= _CERTAIN else ""


def _bullets(text: str) -> str:
    return "bullets" if bullet_count(text) else "no bullets"


def _bullet_sign(text: str) -> str:
    starts = [line.lstrip()[0] for line in text.splitlines() if bullet_count(line)]
    signs = Counter("1." if start.isdigit() else start for start in starts)
    return signs.most_common(1)[0][0] if signs else ""


_TRAITS: dict[str, Callable[[str], str]] = {
    "its first word": _greeting,
    "its closing": _closing,
    "what it ends in": _ending,
    "its language": _language,
    "its form": _bullets,
    "its bullet": _bullet_sign,
}


def _lengths(texts: Sequence[str]) -> Iterator[Fault]:
    """Texts far longer or shorter than the others (median and spread of the logarithm of their words)."""
    if len(texts) < LEAST:
        return
    lengths = [math.log(1 + word_count(text)) for text in texts]
    middle = median(lengths)
    spread = max(1.4826 * median(abs(length - middle) for length in lengths), 0.1)
    for position, length in enumerate(lengths):
        far = abs(length - middle) / spread
        if far > SPREADS:
            says = f"it has {word_count(texts[position])} words, and half of the others {round(math.exp(middle)) - 1}"
            yield Fault(position, f"{says} or fewer", 1 - SPREADS / (2 * far), broken=False)


# --- facts


def _finder(subject: Subject) -> FactFinder:
    if "facts" not in subject.memo:
        examples = subject.dataset.examples
        inputs = [render_input(e.inputs) for e in examples]
        subject.memo["facts"] = FactFinder.learn(inputs, [e.target for e in examples])
    found: FactFinder = subject.memo["facts"]
    return found


def _facts_added(subject: Subject) -> list[tuple[str, ...]]:
    """Of each text the facts that its input does not hold."""
    if "invented" not in subject.memo:
        finder = _finder(subject)
        subject.memo["invented"] = [finder.invented(render_input(e.inputs), e.target) for e in subject.dataset.examples]
    found: list[tuple[str, ...]] = subject.memo["invented"]
    return found


def _share_without(found: Sequence[tuple[str, ...]]) -> float:
    """Of the texts, those that add no fact."""
    return sum(not facts for facts in found) / max(1, len(found))


def _invented(subject: Subject, *, broken: bool) -> Iterator[Fault]:
    """Facts that the input does not hold, where that is rare; how rare decides whether it breaks a text."""
    found = _facts_added(subject)
    share = _share_without(found)
    if len(found) < LEAST or share < MOSTLY or broken != (share >= NOTHING_INVENTED):
        return
    for position, facts in enumerate(found):
        if facts:
            says = f"it says {', '.join(map(cut, facts))}, which the input does not ({share:.1%} add nothing)"
            yield Fault(position, says, share, broken)


def often_invented(subject: Subject) -> Iterator[Finding]:
    """One finding where so many texts say more than their inputs that no single one can be called wrong for it."""
    found = _facts_added(subject)
    if len(found) < LEAST or _share_without(found) >= MOSTLY:
        return
    adding = [position for position, facts in enumerate(found) if facts]
    yield finding(
        subject.dataset,
        "suspect_target",
        "info",
        adding,
        f"{len(adding)} of {len(found)} targets say names, numbers or dates that their input does not, so none of them "
        "is called wrong for it",
        "nothing is changed: where such facts are to be right, add the column that they come from to the inputs",
        about="often invented",
        notes={position: f"not in the input: {', '.join(map(cut, found[position]))}" for position in adding[:SHOWN]},
        cost="what is learned from them is to make such facts up; `evaluate` tells of how many answers that is true",
    )


def _left_out(subject: Subject) -> Iterator[Fault]:
    """Texts that tell far less of their input's facts than the others do of theirs."""
    examples, finder = subject.dataset.examples, _finder(subject)
    told = [finder.told_share(render_input(e.inputs), e.target) for e in examples]
    shares = [share for share in told if share is not None]
    if len(shares) < LEAST:
        return
    middle = median(shares)
    spread = max(1.4826 * median(abs(share - middle) for share in shares), 0.05)
    for position, share in enumerate(told):
        if share is not None and (far := (middle - share) / spread) > SPREADS:
            says = f"it tells {share:.0%} of the names, numbers and dates of its input, and others {middle:.0%}"
            yield Fault(position, says, 1 - SPREADS / (2 * far), broken=False)


def _attributes(subject: Subject) -> list[ReadBack]:
    examples = subject.dataset.examples
    attributes = [attributes_of(e.inputs) for e in examples]
    if sum(map(bool, attributes)) < STYLE * len(attributes):
        return []
    return read_back([e.target for e in examples], attributes, [e.input_key for e in examples])


def _read_otherwise(subject: Subject) -> Iterator[Fault]:
    examples = subject.dataset.examples
    for one in _attributes(subject):
        for position, chance in enumerate(one.unlikely):
            if chance < READ_OTHERWISE:
                continue
            given, read = attributes_of(examples[position].inputs).get(one.name, ""), one.read[position]
            says = f"{one.name} is {cut(given)}" if given else f"the input has no {one.name}"
            seems = cut(read) if read and read != given else "something else" if given == read else "not there"
            yield Fault(position, f"{says}, and in the target it seems to be {seems}", float(chance), broken=False)
