"""Representativeness: what requests have that the data lacks, what cannot be measured, and how many to gather."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from inhouse.clean.findings import cut, finding
from inhouse.clean.language import language_name, language_of
from inhouse.clean.registry import Subject, check
from inhouse.core import Dataset, Example, Finding, render_input, spread
from inhouse.core.results import Severity
from inhouse.scoring import examples_to_tell, holm, shares_differ

# As in drift monitoring: fewer requests tell nothing, and the alarm is for less than one false one in a hundred looks.
MIN_SERVED, ALPHA = 20, 0.01
# Examples and requests that are looked at, evenly spread: a share of them is that of all within three points.
SAMPLE = 1000
# A kind of request is missing if it is so much more of the requests than of the data.
_POINTS, _TIMES, _LEAST = 0.05, 3.0, 0.01
# The difference that a test should be able to tell, where two models answer this share of it differently.
DIFFERENCE, DIFFERENTLY = 0.05, 0.15
MIN_EXAMPLES, MIN_PER_LABEL, IMBALANCE = 20, 5, 20
_MANY_SOURCES, _OF_SOURCE = 20, 10
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?=$|[T ])")


@check("representativeness")
def representativeness(subject: Subject) -> Iterator[Finding]:
    """The data against the requests that were served: languages, lengths, classes, words and time; where there are too
    few, against the unlabelled records. And, of the data alone: a test too small, labels too rare to be measured,
    imbalance, labels that come from one source."""
    dataset = subject.dataset
    if len(dataset.examples) < MIN_EXAMPLES:
        return
    if len(subject.served) >= MIN_SERVED:
        compared = _compared(subject, [_Asked(t.inputs, t.output) for t in subject.served], "requests")
        yield from _against(dataset, compared)
        yield from _change(dataset, compared.aspects)
    elif len(subject.unlabelled) >= MIN_SERVED:
        records = [_Asked(inputs, None) for inputs in subject.unlabelled]
        yield from _against(dataset, _compared(subject, records, "unlabelled records"))
    if "test" in dataset.splits:
        yield from _small_test(dataset)
    if subject.kind == "classify":
        yield from _labels(dataset)


# --- against what was served, or is not labelled


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request with what was answered, or an unlabelled record."""

    inputs: Mapping[str, str]
    output: str | None


@dataclass(frozen=True, slots=True)
class _Aspect:
    """What each example and each request is, in one respect; None where it cannot be told."""

    name: str
    data: tuple[str | None, ...]
    served: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Compared:
    """Examples and what they are compared with, some of each; `called` is what the user calls the latter."""

    examples: Sequence[Example]
    served: Sequence[_Asked]
    aspects: Sequence[_Aspect]
    called: str


def _compared(subject: Subject, asked: Sequence[_Asked], called: str) -> _Compared:
    examples, served = spread(subject.dataset.examples, SAMPLE), spread(asked, SAMPLE)
    return _Compared(examples, served, _aspects(subject, examples, served), called)


def _against(dataset: Dataset, compared: _Compared) -> Iterator[Finding]:
    counts = [(Counter(_known(a.data)), Counter(_known(a.served))) for a in compared.aspects]
    for aspect, differs in zip(compared.aspects, _different(counts), strict=True):
        if differs and (finding_ := _missing(dataset, aspect, compared.called)):
            yield finding_
    yield from _new_words(dataset, compared)
    yield from _later_dates(dataset, compared)


def _aspects(subject: Subject, examples: Sequence[Example], served: Sequence[_Asked]) -> list[_Aspect]:
    ours, theirs = [render_input(e.inputs) for e in examples], [render_input(t.inputs) for t in served]
    middle = median(len(text) for text in (*ours, *theirs))
    edges = [times * middle for times in (0.25, 0.5, 2.0, 4.0)]  # what differs by less than that is no other kind
    made = [
        _Aspect("language", tuple(map(language_of, ours)), tuple(map(language_of, theirs))),
        _Aspect("length", tuple(_bin(t, edges) for t in ours), tuple(_bin(t, edges) for t in theirs)),
    ]
    if subject.kind == "classify":
        made.append(_Aspect("label", tuple(e.target for e in examples), tuple(t.output for t in served)))
    return made


def _bin(text: str, edges: Sequence[float]) -> str:
    place = bisect_right(edges, len(text))
    low = math.ceil(edges[place - 1]) if place else 0
    return f"{low:,} characters and more" if place == len(edges) else f"{low:,} to {math.ceil(edges[place]) - 1:,}"


def _known(values: Sequence[str | None]) -> list[str]:
    return [value for value in values if value is not None]


def _different(pairs: Sequence[tuple[Counter[str], Counter[str]]]) -> list[bool]:
    """Which pairs of counts differ beyond chance, over all of them (Holm)."""
    tested = [i for i, pair in enumerate(pairs) if all(side.total() >= MIN_SERVED for side in pair)]
    p_values = holm([shares_differ(*pairs[i])[1] for i in tested])
    differ = {i for i, p in zip(tested, p_values, strict=True) if p < ALPHA}
    return [i in differ for i in range(len(pairs))]


def _missing(dataset: Dataset, aspect: _Aspect, called: str) -> Finding | None:
    """What the requests have more of, and how many examples of it would give the data the same share."""
    before, after = Counter(_known(aspect.data)), Counter(_known(aspect.served))
    told = []
    for value, n in after.most_common():
        share, had = n / after.total(), before[value] / before.total()
        if share - had < _POINTS and not (share >= _LEAST and share >= _TIMES * had):
            continue
        have = round(had * len(dataset.examples))
        gather = math.ceil((share * len(dataset.examples) - have) / (1 - share)) if share < 1 else None
        name = language_name(value) if aspect.name == "language" else cut(value) if aspect.name == "label" else value
        told.append((f"{name}: {share:.0%} of the {called}, {had:.0%} of the examples", name, gather))
    if not told:
        return None
    gathered = ", ".join(
        f"{gather:,} of {name}" if gather is not None else f"as many as you can of {name}" for _, name, gather in told
    )
    guess = " (by what was answered, which may be wrong)" if aspect.name == "label" else ""
    return _told(
        dataset,
        f"{called} differ from the data in {aspect.name}{guess}: {'; '.join(line for line, _, _ in told[:5])}",
        f"gather examples: {gathered}",
        about=f"served {aspect.name}",
        cost=f"the test tells little about {called} that it has too few of",
    )


def _new_words(dataset: Dataset, compared: _Compared) -> Iterator[Finding]:
    """Words of many requests that no example has: a new product, a new form."""
    examples, served = compared.examples, compared.served
    known = {word for e in dataset.examples for word in _words(e.inputs)}
    counts = Counter(word for t in served for word in _words(t.inputs) - known)
    # A word that the data's texts had as often would have shown: (1 - share)^examples is under 1 % then.
    least = max(5, _LEAST * len(served))
    often = [word for word, n in counts.items() if n >= least and _unlikely(n / len(served), len(examples))]
    unknown = _in_no_example(dataset, often)
    new = [(word, n) for word, n in counts.most_common() if word in unknown]
    if not new:
        return
    asked = sum(bool(_words(t.inputs) & {word for word, _ in new}) for t in served)
    share = asked / len(served)
    gather = math.ceil(share * len(dataset.examples) / (1 - share)) if share < 1 else len(dataset.examples)
    yield _told(
        dataset,
        f"{share:.0%} of the {compared.called} have words that no example has: "
        f"{', '.join(f'{w} ({n})' for w, n in new[:10])}",
        f"gather examples: {gather:,} with such words",
        about="served words",
        cost="nothing was learned about them",
    )


def _in_no_example(dataset: Dataset, words: Sequence[str]) -> set[str]:
    left = set(words)
    for start in range(0, len(dataset.examples), 256):
        if not left:
            break
        text = "\n".join(render_input(e.inputs) for e in dataset.examples[start : start + 256]).lower()
        left = {word for word in left if word not in text}
    return left


def _unlikely(share: float, examples: int) -> bool:
    return examples * math.log1p(-min(share, 1 - 1e-9)) < math.log(ALPHA)


def _words(inputs: Mapping[str, str]) -> set[str]:
    return set(re.findall(r"[^\W\d_]{4,}", render_input(inputs).lower()))


def _later_dates(dataset: Dataset, compared: _Compared) -> Iterator[Finding]:
    """A field of days in which the requests are later than all of the data."""
    examples, served = compared.examples, compared.served
    for name in examples[0].inputs:
        ours, theirs = (
            [found[0] for values in (inputs.get(name, "") for inputs in side) if (found := _DAY.match(values))]
            for side in ([e.inputs for e in examples], [t.inputs for t in served])
        )
        if len(ours) < 0.9 * len(examples) or len(theirs) < 0.9 * len(served):
            continue
        last = max(match[0] for e in dataset.examples if (match := _DAY.match(e.inputs.get(name, ""))))
        later = sum(day > last for day in theirs) / len(theirs)
        if later >= _POINTS:
            yield _told(
                dataset,
                f"{later:.0%} of the {compared.called} have a later {name!r} than all examples, which end at {last}",
                f"gather examples from {last} to {max(theirs)}",
                about=f"served time {name}",
                cost="what changed since then was not learned",
            )


def _change(dataset: Dataset, aspects: Sequence[_Aspect]) -> Iterator[Finding]:
    """Requests of which the newer half differs from the older one."""
    halves = []
    for aspect in aspects:
        middle = len(aspect.served) // 2
        halves.append((Counter(_known(aspect.served[:middle])), Counter(_known(aspect.served[middle:]))))
    for aspect, (older, newer), differs in zip(aspects, halves, _different(halves), strict=True):
        if not differs:
            continue
        value = max(newer, key=lambda v: newer[v] / newer.total() - older[v] / older.total())
        name = language_name(value) if aspect.name == "language" else value
        yield _told(
            dataset,
            f"requests change in {aspect.name}: {cut(name)} is {older[value] / older.total():.0%} of the older half "
            f"and {newer[value] / newer.total():.0%} of the newer one",
            "gather examples of the newest requests first",
            about=f"served change {aspect.name}",
            cost="a model of the older ones gets worse with time",
        )


# --- the data alone


def _small_test(dataset: Dataset) -> Iterator[Finding]:
    needed = examples_to_tell(DIFFERENCE, DIFFERENTLY)
    there = dataset.splits.count("test")
    if there >= needed:
        return
    gather = math.ceil((needed - there) * len(dataset.examples) / there)
    yield _told(
        dataset,
        f"the test has {there} examples: to tell a difference of {DIFFERENCE:.0%} between two models that answer "
        f"{DIFFERENTLY:.0%} of them differently takes {needed}",
        f"gather {gather:,} more examples, {needed - there} of which go to the test; or give a file with --test",
        about="test size",
        severity="info",
        cost="a gain of a few points cannot be told from chance, and the verdict is to collect more",
    )


def _labels(dataset: Dataset) -> Iterator[Finding]:
    everywhere = Counter(e.target for e in dataset.examples)
    tested = Counter(e.target for e, split in zip(dataset.examples, dataset.splits, strict=True) if split == "test")
    share = tested.total() / len(dataset.examples)
    rare = [label for label in everywhere if share and tested[label] < MIN_PER_LABEL]
    if rare:
        lacking = [(label, math.ceil((MIN_PER_LABEL - tested[label]) / share)) for label in sorted(rare)]
        yield _told(
            dataset,
            f"{_labels_of(len(rare), len(everywhere))} fewer than {MIN_PER_LABEL} test examples: "
            f"{', '.join(f'{cut(label)} ({tested[label]})' for label, _ in lacking[:5])}",
            f"gather examples: {', '.join(f'{n} of {cut(label)}' for label, n in lacking[:10])}",
            about="rare labels",
            severity="info",
            cost="how well they are answered cannot be measured",
        )
    (most, n), (least, few) = everywhere.most_common()[0], everywhere.most_common()[-1]
    if n >= IMBALANCE * few:
        small = [(label, have) for label, have in everywhere.items() if n >= IMBALANCE * have]
        yield _told(
            dataset,
            f"{cut(most)} has {n:,} examples, {cut(least)} has {few}: {n // few} times as many",
            "gather examples: "
            + ", ".join(f"{math.ceil(n / IMBALANCE) + 1 - have} of {cut(label)}" for label, have in sorted(small)[:10]),
            about="imbalance",
            severity="info",
            cost="the rare ones are learned badly, and accuracy hardly counts them (macro_f1 does)",
        )
    yield from _one_source(dataset)


def _labels_of(number: int, all_of_them: int) -> str:
    return f"one label of {all_of_them} has" if number == 1 else f"{number} of {all_of_them} labels have"


def _one_source(dataset: Dataset) -> Iterator[Finding]:
    """Labels whose examples are all of one file among several."""
    files = Counter(e.provenance.file for e in dataset.examples)
    if not 1 < len(files) <= _MANY_SOURCES or min(files.values()) < MIN_EXAMPLES:
        return
    sources: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for example in dataset.examples:
        sources[example.target][example.provenance.file] += 1
    total = len(dataset.examples)
    alone = []
    for label, where in sources.items():
        file, n = where.most_common(1)[0]
        # By chance all n come from a file with the share s of the data at s^n.
        if len(where) == 1 and n >= _OF_SOURCE and n * math.log(files[file] / total) < math.log(ALPHA / len(sources)):
            alone.append((label, file))
    if alone:
        yield _told(
            dataset,
            f"{_labels_of(len(alone), len(sources))} examples from one of the {len(files)} files alone: "
            f"{', '.join(f'{cut(label)} ({file})' for label, file in sorted(alone)[:5])}",
            "gather examples of them from the other sources",
            about="one source",
            severity="info",
            cost="a model may learn what the file looks like in place of what the label means",
        )


def _told(
    dataset: Dataset, reason: str, action: str, *, about: str, cost: str, severity: Severity = "warning"
) -> Finding:
    return finding(dataset, "representativeness", severity, [], reason, action, about=about, cost=cost)
