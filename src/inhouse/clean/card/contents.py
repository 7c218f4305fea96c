"""What stands in a data card: counts, distributions, findings by check and versions. No text of an example, and no
personal data in the names of labels and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from inhouse.clean.card.fitness import fit_for
from inhouse.clean.veil import veiled_names
from inhouse.core import SPLITS, Dataset, Finding, Kind
from inhouse.core.json_schema import parse_object

# Examples that lengths and fields are counted of, evenly spread: a second for any size.
SAMPLE = 10_000
MOST, RAREST, MAX_NAME = 20, 10, 60
# With more sources than these their names would make a list of people, in a folder of CVs say.
MAX_SOURCES = 15

Row = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Counts by split, a bar each. `note`: what is left out, or that it is of a sample.

    `split`: whether a row is of several splits, so that the counts of each stand beside their sum.
    """

    title: str
    what: str
    rows: tuple[Row, ...]
    note: str = ""
    split: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check found: how many findings by severity, in how many examples, and of them safe ones."""

    check: str
    error: int
    warning: int
    info: int
    examples: int
    safe: int


@dataclass(frozen=True, slots=True)
class Change:
    """A dataset version and what made it; `change` says what differs from the one before, where that is known."""

    number: int
    reason: str
    created_at: str
    examples: int
    change: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """All that a card shows."""

    task: str
    kind: Kind
    number: int
    fingerprint: str
    created_at: str
    lines: tuple[str, ...]
    charts: tuple[Chart, ...]
    checks: tuple[Checked, ...]
    looked: bool
    versions: tuple[Change, ...]


def make_card(
    dataset: Dataset,
    kind: Kind,
    findings: Sequence[Finding],
    checked: Collection[str],
    versions: Sequence[Change],
    created_at: str,
) -> Card:
    """The card of a dataset version.

    Args:
        findings: what is open in it; `checked`: the checks that looked.
        versions: of the task up to this one, oldest first.
        created_at: when the card was made, in ISO 8601.
    """
    lines = fit_for(dataset, kind, findings, checked)
    charts = [chart for chart in _charts(dataset, kind) if chart.rows]
    told = [*lines, *(v.reason for v in versions), *(name for chart in charts for name, _ in chart.rows)]
    veil = veiled_names(dict.fromkeys(told))
    return Card(
        task=dataset.task,
        kind=kind,
        number=dataset.number,
        fingerprint=dataset.fingerprint,
        created_at=created_at,
        lines=tuple(veil[line] for line in lines),
        charts=tuple(replace(c, rows=tuple((veil[name], counts) for name, counts in c.rows)) for c in charts),
        checks=_by_check(findings),
        looked=bool(checked),
        versions=tuple(replace(v, reason=veil[v.reason]) for v in versions),
    )


def _charts(dataset: Dataset, kind: Kind) -> list[Chart]:
    step = max(1, -(-len(dataset.examples) // SAMPLE))
    sampled = [(dataset.examples[i], dataset.splits[i]) for i in range(0, len(dataset.examples), step)]
    note = f"Of {len(sampled):,} examples, evenly spread." if step > 1 else ""
    sizes = tuple((s, _of_split(s, n)) for s, n in dataset.counts().items())
    charts = [Chart("Splits", "split", sizes, split=False)]
    if kind == "classify":
        charts.append(
            _counted("Labels", "label", [(e.target, s) for e, s in zip(dataset.examples, dataset.splits, strict=True)])
        )
    elif kind == "extract":
        fields = [(name, s) for e, s in sampled for name, v in (parse_object(e.target) or {}).items() if _filled(v)]
        charts.append(_counted("Fields that are filled", "field", fields, note))
    else:
        charts.append(_lengths("Length of targets", [(len(e.target), s) for e, s in sampled], note))
    charts.append(_lengths("Length of inputs", [(sum(map(len, e.inputs.values())), s) for e, s in sampled], note))
    charts.append(_sources(dataset))
    return charts


def _of_split(split: str, number: int) -> tuple[int, ...]:
    return tuple(number if s == split else 0 for s in SPLITS)


def _filled(value: object) -> bool:
    return value not in (None, "", [], {})


def _counted(title: str, what: str, pairs: Sequence[tuple[str, str]], note: str = "") -> Chart:
    """How often each name stands, by split: the most frequent ones and, of many names, the rarest."""
    counts = Counter(pairs)
    totals = Counter(name for name, _ in pairs).most_common()
    shown = totals if len(totals) <= MOST + RAREST else [*totals[:MOST], *totals[-RAREST:]]
    if between := len(totals) - len(shown):
        many = sum(n for _, n in totals) - sum(n for _, n in shown)
        note = f"The {MOST} most frequent and the {RAREST} rarest; the {between:,} between have {many:,} in all. {note}"
    rows = [(_cut(name), tuple(counts[name, s] for s in SPLITS)) for name, _ in shown]
    return Chart(title, what, tuple(rows), note.strip())


def _lengths(title: str, pairs: Sequence[tuple[int, str]], note: str) -> Chart:
    """Characters, in bins that double."""
    counts = Counter((max(n, 1).bit_length(), split) for n, split in pairs)
    if not counts:
        return Chart(title, "characters", ())
    powers = [power for power, _ in counts]
    rows = [
        (
            f"{2 ** (power - 1):,} to {2**power - 1:,}" if power > 1 else "0 to 1",
            tuple(counts[power, s] for s in SPLITS),
        )
        for power in range(min(powers), max(powers) + 1)
    ]
    return Chart(title, "characters", tuple(rows), note)


def _sources(dataset: Dataset) -> Chart:
    pairs = [(e.provenance.file, s) for e, s in zip(dataset.examples, dataset.splits, strict=True)]
    if len({file for file, _ in pairs}) <= MAX_SOURCES:
        return _counted("Sources", "file", pairs)
    kinds = [(f"{PurePath(file).suffix.lower() or 'without ending'} files", split) for file, split in pairs]
    return _counted("Sources", "kind of file", kinds, "There are too many files to name them.")


def _cut(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= MAX_NAME else f"{line[: MAX_NAME - 3]}..."


def _by_check(findings: Sequence[Finding]) -> tuple[Checked, ...]:
    made = []
    for check in sorted({f.check for f in findings}):
        mine = [f for f in findings if f.check == check]
        severities = Counter(f.severity for f in mine)
        made.append(
            Checked(
                check=check,
                error=severities["error"],
                warning=severities["warning"],
                info=severities["info"],
                examples=len({i for f in mine for i in f.positions}),
                safe=sum(f.safe and f.edits for f in mine),
            )
        )
    return tuple(made)
