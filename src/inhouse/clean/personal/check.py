"""The checks `personal_data` and `secret`: one finding a kind, with what masking it would replace."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from inhouse.clean.findings import finding
from inhouse.clean.personal.found import KINDS, Found, hidden, placeholder
from inhouse.clean.personal.look import personal, secret
from inhouse.clean.personal.pieces import Piece
from inhouse.clean.registry import Subject, check
from inhouse.core import SHOWN, SPLITS, Dataset, Evidence, Finding, Masked
from inhouse.core.results import Severity

Stretches = Mapping[int, Sequence[tuple[Piece, Found]]]
# Characters on both sides of what was found that evidence shows.
AROUND = 60


@check("personal_data", beside=True)
def personal_data(subject: Subject) -> Iterator[Finding]:
    """Data about persons: addresses of all kinds, numbers, names, dates of birth."""
    return _by_kind(
        subject,
        personal(subject.dataset, subject.kind),
        "warning",
        "what a model has learned it can repeat to whoever asks it",
    )


@check("secret", beside=True)
def secret_found(subject: Subject) -> Iterator[Finding]:
    """Keys and passwords."""
    return _by_kind(
        subject,
        secret(subject.dataset, subject.kind),
        "error",
        "whoever reads the data or the answers of the model can use it; change it where it is valid",
    )


def _by_kind(subject: Subject, stretches: Stretches, severity: Severity, cost: str) -> Iterator[Finding]:
    by_kind: defaultdict[str, dict[int, list[tuple[Piece, Found]]]] = defaultdict(dict)
    for position, found in stretches.items():
        for piece, one in found:
            by_kind[one.kind].setdefault(position, []).append((piece, one))
    for kind in KINDS:
        if kind in by_kind:
            yield _finding(subject.dataset, kind, by_kind[kind], stretches, severity, cost)


def _finding(
    dataset: Dataset, kind: str, of_kind: Stretches, all_kinds: Stretches, severity: Severity, cost: str
) -> Finding:
    positions = sorted(of_kind)
    number = sum(map(len, of_kind.values()))
    splits = Counter(dataset.splits[i] for i in positions)
    where = ", ".join(f"{splits[split]} in {split}" for split in SPLITS if splits[split])
    piece, first = of_kind[positions[0]][0]
    called = KINDS[kind].one if number == 1 else f"{number} {KINDS[kind].several}"
    made = finding(
        dataset,
        KINDS[kind].check,
        severity,
        positions,
        f"{called} in {len(positions)} example{'s' if len(positions) > 1 else ''} ({where}), the first "
        f"{hidden(piece.text[first.start : first.end])!r} at {dataset.examples[positions[0]].provenance}",
        f"mask: put {placeholder(kind, 1)} and so on in the place of each, in inputs and answers, in the test too",
        about=kind,
        cost=cost,
        mask=masks(of_kind),
    )
    shown = [_evidence(dataset, i, kind, of_kind[i], all_kinds[i]) for i in positions[:SHOWN]]
    return made.model_copy(update={"evidence": tuple(shown)})


def masks(stretches: Stretches) -> dict[int, tuple[Masked, ...]]:
    """What replaces every stretch by its placeholder, which has no number yet: see `pipeline.masking`."""
    return {
        position: tuple(piece.masked(one.start, one.end, placeholder(one.kind)) for piece, one in found)
        for position, found in stretches.items()
    }


def _evidence(
    dataset: Dataset,
    position: int,
    kind: str,
    of_kind: Sequence[tuple[Piece, Found]],
    all_kinds: Sequence[tuple[Piece, Found]],
) -> Evidence:
    """The text around the first stretch of the kind, with the middle of everything that was found hidden."""
    piece, one = of_kind[0]
    excerpt = _around(piece, one, [f for p, f in all_kinds if p == piece])
    note = f"{KINDS[kind].one} in `{piece.label}`" if piece.label else f"{KINDS[kind].one} in the answer"
    note += f": {hidden(piece.text[one.start : one.end])}"
    in_target = not piece.field
    return Evidence(
        place=str(dataset.examples[position].provenance),
        split=dataset.splits[position],
        input="" if in_target else excerpt,
        target=excerpt if in_target else "",
        position=position,
        note=note if len(of_kind) == 1 else f"{note}, and {len(of_kind) - 1} more in this example",
    )


def _around(piece: Piece, one: Found, found: Sequence[Found]) -> str:
    """The text around a stretch; everything that was found in it is hidden, that at the borders as a whole."""
    first, last = max(0, one.start - AROUND), min(len(piece.text), one.end + AROUND)
    parts: list[str] = ["..."] if first else []
    position = first
    for other in found:
        if other.end <= first or other.start >= last:
            continue
        parts += [piece.text[position : max(position, other.start)], hidden(piece.text[other.start : other.end])]
        position = other.end
    parts += [piece.text[position:last], "..." if last < len(piece.text) else ""]
    return "".join(parts)
