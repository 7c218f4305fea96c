"""Five lines on what a dataset is fit for: size, balance, cleanliness, privacy, verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from statistics import median

from inhouse.clean.representative import DIFFERENTLY
from inhouse.core import Dataset, Finding, Kind, counted
from inhouse.scoring import examples_to_tell

# Lengths are told of so many examples, evenly spread.
_SAMPLE = 10_000
# Targets that these call wrong bound what can be right.
_TARGETS = ("contradiction", "suspect_target", "broken_target")
# A label with fewer examples than these is learned from a handful.
_FEW = 10


def fit_for(dataset: Dataset, kind: Kind, findings: Sequence[Finding], checked: Collection[str]) -> tuple[str, ...]:
    """Five lines for a person who decides whether to train on it.

    Args:
        findings: what is open in this version.
        checked: names of the checks that looked; none before the first look.
    """
    return (
        _size(dataset, kind),
        _balance(dataset, kind),
        _cleanliness(findings, checked),
        _privacy(findings, checked),
        _verdict(dataset, kind, findings, checked),
    )


def _size(dataset: Dataset, kind: Kind) -> str:
    counts = dataset.counts()
    step = max(1, len(dataset.examples) // _SAMPLE)
    lengths = [sum(map(len, e.inputs.values())) for e in dataset.examples[::step]] or [0]
    labels = f" of {len({e.target for e in dataset.examples}):,} labels" if kind == "classify" else ""
    return (
        f"size: {len(dataset.examples):,} examples{labels} ({counts['train']:,} training, {counts['validation']:,} "
        f"validation, {counts['test']:,} test); inputs of about {median(lengths):,.0f} characters"
    )


def _balance(dataset: Dataset, kind: Kind) -> str:
    if kind != "classify":
        groups = Counter(e.group for e in dataset.examples)
        largest = groups.most_common(1)[0][1] if groups else 0
        grouped = len(groups) < len(dataset.examples)
        return (
            f"balance: {len(groups):,} groups, the largest of {largest:,} examples"
            if grouped
            else "balance: every example is of its own, with no group that returns"
        )
    by_label = Counter(e.target for e in dataset.learned).most_common()
    if not by_label:
        return "balance: nothing to learn from"
    (most, n), (least, few) = by_label[0], by_label[-1]
    rare = sum(count < _FEW for _, count in by_label)
    told = f"; {rare} labels have fewer than {_FEW}" if rare > 1 else f"; one has fewer than {_FEW}" if rare else ""
    return f"balance: from {n:,} examples to learn from ({_short(most)}) to {few:,} ({_short(least)}){told}"


def _short(label: str) -> str:
    return label if len(label) <= 40 else f"{label[:37]}..."


def _cleanliness(findings: Sequence[Finding], checked: Collection[str]) -> str:
    if not checked:
        return "cleanliness: not looked at yet"
    if not findings:
        return "cleanliness: nothing was found"
    by_severity = Counter(f.severity for f in findings)
    named = (("error", by_severity["error"]), ("warning", by_severity["warning"]), ("note", by_severity["info"]))
    told = ", ".join(f"{n:,} {name}{'s' if n > 1 else ''}" for name, n in named if n)
    safe = [f for f in findings if f.safe and f.edits]
    if not safe:
        return f"cleanliness: {told}; nothing of it can be applied without a look"
    dropped = {i for f in safe for i in f.drop}
    changed = {i for f in safe for i in f.touched} - dropped
    changes = f" and change {len(changed):,}" if changed else ""
    return f"cleanliness: {told}; `--apply safe` would drop {counted(len(dropped), 'example')}{changes}"


def _privacy(findings: Sequence[Finding], checked: Collection[str]) -> str:
    if "personal_data" not in checked:
        return "privacy: personal data was not looked for"
    found = {
        check: sum(f.count for f in findings if f.check == check and f.severity != "info")
        for check in ("personal_data", "secret")
    }
    if not any(found.values()):
        return "privacy: no personal data and no secret was found"
    secrets = f", and secrets in {found['secret']:,}" if found["secret"] else ""
    if not found["personal_data"]:
        where = counted(found["secret"], "example")
        return f"privacy: keys or passwords stand in {where}; mask them before anybody trains"
    where = counted(found["personal_data"], "place")
    return f"privacy: personal data stands in {where}{secrets}; mask it, or keep the model in"


def _verdict(dataset: Dataset, kind: Kind, findings: Sequence[Finding], checked: Collection[str]) -> str:
    if not checked:
        return f"verdict: look before training: `inhouse clean {dataset.task}`"
    if errors := sum(f.severity == "error" for f in findings):
        what = "error" if errors == 1 else f"{errors:,} errors"
        return f"verdict: not fit for a fair test yet: mend the {what} first{_safely(dataset, findings)}"
    test = dataset.counts()["test"]
    gain = _told_by(test)
    use = {"classify": "sorting", "extract": "reading out fields", "generate": "writing"}[kind]
    fit = (
        f"fit to train and to prove {use}: its test tells gains of {100 * gain:.0f} points and more"
        if gain is not None
        else f"fit for a first try at {use}, not to prove it: {test} test examples show no gain that is likely"
    )
    wrong = len({i for f in findings if f.check in _TARGETS and f.severity != "info" for i in f.positions})
    doubtful = f"; up to {wrong:,} target{' is' if wrong == 1 else 's are'} in doubt" if wrong else ""
    missing = next((f"; {f.action}" for f in findings if f.check == "representativeness"), "")
    first, train = next_step(dataset.task, findings), f"inhouse train {dataset.task}"
    then = f", then `{train}`" if first != train else ""
    return f"verdict: {fit}{doubtful}{missing}; next: `{first}`{then}"


def next_step(task: str, findings: Sequence[Finding]) -> str:
    """The command that comes after a look, by what is open: apply what is safe, look at the rest, or train."""
    if any(f.safe and f.edits for f in findings):
        return f"inhouse clean {task} --apply safe"
    if any(f.severity != "info" for f in findings):
        return f"inhouse clean {task} --show all"
    return f"inhouse train {task}"


def _safely(dataset: Dataset, findings: Sequence[Finding]) -> str:
    """How errors are mended that need no look."""
    safe = all(f.safe and f.edits for f in findings if f.severity == "error")
    return f": `inhouse clean {dataset.task} --apply safe`" if safe else ""


def _told_by(test: int) -> float | None:
    """The smallest gain in whole points that a test of so many can tell; None if it tells none."""
    for points in range(1, round(100 * DIFFERENTLY) + 1):
        if examples_to_tell(points / 100, DIFFERENTLY) <= test:
            return points / 100
    return None
