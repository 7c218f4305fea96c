"""`clean`: what is wrong with the data, and a version in which it is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import inhouse.dataset as datasets
from inhouse.clean import CHECKS, find_in, still_open, summary
from inhouse.clean.card import fit_for, next_step
from inhouse.clean.personal import HIDDEN
from inhouse.core import Dataset, Finding, Reporter, Silent, Task, counted
from inhouse.errors import NotFound, RareLabels, TooFewExamples, UsageError
from inhouse.pipeline.cards import save_version, write_card
from inhouse.pipeline.masking import Masks, numbered, without_names
from inhouse.pipeline.privacy_report import require_report_file, write_report
from inhouse.pipeline.probabilities import embedder
from inhouse.pipeline.subject import subject_of
from inhouse.pipeline.task_form import with_form
from inhouse.store import Workspace, disk_guard, pool, records, traffic

# Findings in `--json`; the counts are of all, and the store keeps the rest.
SHOWN_FINDINGS = 1000
# Requests that the data is compared with.
NEWEST_SERVED = 5000


@dataclass(frozen=True)
class Cleaned:
    """What `clean` found, and the version that applying made, if that changed anything.

    `left` is open on the newest version: what was not applied, where its examples are there as they were. `removed` and
    `changed` examples are of the new version. `fit_for` says in five lines what the newest version is fit for, and
    `card` is its data card. `report` is the report on personal data, if one was asked for.
    """

    task: str
    dataset_fingerprint: str
    findings: tuple[Finding, ...]
    applied: tuple[str, ...]
    new_dataset: int | None
    removed: int
    changed: int
    new_fingerprint: str | None = None
    fit_for: tuple[str, ...] = ()
    card: str = ""
    left: tuple[Finding, ...] = ()
    report: str = ""

    @property
    def next(self) -> str:
        """The command that comes next, as the verdict in `fit_for` says."""
        return next_step(self.task, self.left)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; `contracts/clean.schema.json` is its shape. The counts are of all findings."""
        return {
            "task": self.task,
            "dataset_fingerprint": self.dataset_fingerprint,
            "findings": [f.model_dump(mode="json") for f in self.findings[:SHOWN_FINDINGS]],
            "summary": summary(self.findings),
            "applied": list(self.applied),
            "new_dataset": self.new_dataset,
            "new_fingerprint": self.new_fingerprint,
            "removed": self.removed,
            "changed": self.changed,
            "fit_for": list(self.fit_for),
            "card": self.card,
            "report": self.report,
        }


def clean(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    apply: Sequence[str] = (),
    whole: Sequence[str] = (),
    keep_map: bool = True,
    report: Path | None = None,
) -> Cleaned:
    """Look for problems in the newest dataset version; what is applied makes a new version.

    Args:
        apply: ids of findings, names of checks, `safe` (what needs no look) or `all`.
        whole: checks that a model makes, which are to look at all examples and not at a sample of many.
        keep_map: whether what placeholders stand for is kept, encrypted, so that they are the same in later versions.
        report: where to write a report on personal data and secrets, a name that ends with .md or .html.

    Raises:
        ConfigError: there is no usable key for the map of masks.
        InputError: the map was made with another key.
        UsageError: nothing was found that `apply` names, `whole` names no check, or the report's name ends otherwise.
        InputError: the report's folder is not there.
        Refused: two findings that are applied want different things of one example.
        TooFewExamples: what is left could not be learned from.
        NotFound, DiskFull
    """
    reporter = reporter or Silent()
    task = workspace.load_task(name)
    if odd := sorted(set(whole) - CHECKS.keys()):
        raise UsageError(f"no check is called {odd[0]!r}", f"there are {', '.join(CHECKS)}")
    if report is not None:
        require_report_file(report)
    with disk_guard(workspace.paths.root), workspace.changing_data():
        dataset = records.load_dataset(workspace, name)
        subject = replace(
            subject_of(workspace, task, dataset),
            embed=embedder(workspace, task, reporter),
            reporter=reporter,
            served=traffic.traces(workspace, name, newest=NEWEST_SERVED),
            unlabelled=[one.inputs for one in pool.unlabelled(workspace, name)],
        )
        found = find_in(subject, whole=whole, tell=reporter.say)
        applied = _applied(found, apply)
        names = {f.id for f in applied}
        remaining = [f for f in found if f.id not in names]
        hidden, other = [f for f in applied if f.check in HIDDEN], [f for f in applied if f.check not in HIDDEN]
        masks = Masks.of(workspace, dataset, keep=keep_map) if any(f.mask for f in hidden) else None
        newer = _edited(task, dataset, [*other, *(numbered(dataset, hidden, masks) if masks else hidden)])
        records.save_findings(workspace, dataset, found, names)
        card = write_card(workspace, task.kind, dataset, None, found, CHECKS)
        left = remaining
        if newer is not None:
            with workspace.undoing(workspace.paths.task_file(name), workspace.paths.mask_map(name)):
                if masks:
                    newer = without_names(newer, masks)
                    masks.save(reporter)
                workspace.save_task(with_form(task, newer))
                left = still_open(remaining, dataset, newer, {i for f in applied for i in f.drop})
                card = save_version(workspace, task.kind, newer, dataset, findings=left, checked=CHECKS)
                records.save_findings(workspace, newer, left, set())
    if report is not None:
        write_report(report, workspace, task, dataset, found, applied, newer)
    removed = len(dataset.examples) - len(newer.examples) if newer else 0
    changed = len({i for f in applied for i in f.touched}) - removed
    if newer is not None:
        reporter.say(
            f"dataset version {newer.number}: of version {dataset.number} {counted(removed, 'example')} left out, "
            f"{changed} changed"
        )
        if left:
            stay = "stays" if len(left) == 1 else "stay"
            reporter.say(f"{counted(len(left), 'finding')} {stay} open on it: `inhouse clean {name} --show all`")
        if others := len(remaining) - len(left):
            about = f"{counted(others, 'other')} concerned examples that are gone or changed"
            reporter.say(f"{about}: `inhouse clean {name}` looks again")
    return Cleaned(
        task=name,
        dataset_fingerprint=dataset.fingerprint,
        findings=tuple(found),
        applied=tuple(f.id for f in applied),
        new_dataset=newer.number if newer else None,
        removed=removed,
        changed=changed,
        new_fingerprint=newer.fingerprint if newer else None,
        fit_for=fit_for(newer or dataset, task.kind, left, CHECKS),
        card=str(card),
        left=tuple(left),
        report=str(report or ""),
    )


# Findings of a page.
PAGE = 100


@dataclass(frozen=True)
class FindingsPage:
    """A page of the kept findings on a dataset version, each with its status, `open` or `accepted`."""

    task: str
    dataset: int
    show: str
    page: int
    pages: int
    count: int
    findings: tuple[tuple[Finding, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        kept = [{**finding.model_dump(mode="json"), "status": status} for finding, status in self.findings]
        return {
            **{key: getattr(self, key) for key in ("task", "dataset", "show", "page", "pages", "count")},
            "findings": kept,
        }


def findings(
    workspace: Workspace, name: str, reporter: Reporter | None = None, *, show: str = "all", page: int = 1
) -> FindingsPage:
    """Kept findings on the newest dataset version, however many there are, without looking again.

    Args:
        show: a check, a finding's id, or `all`.
        page: of `PAGE` findings each, from 1 on.

    Raises:
        NotFound: there is no such task, the version was not looked at, or nothing of that was found, or no such page.
    """
    del reporter  # what is kept is read in no time
    workspace.load_task(name)
    number = records.latest_dataset(workspace, name)
    what = "" if show == "all" else show
    count, found = records.findings(workspace, name, number, what=what, start=(page - 1) * PAGE, most=PAGE)
    pages = -(-count // PAGE)
    if not count:
        raise NotFound(
            f"no finding of {show!r} is kept on dataset version {number} of {name!r}",
            f"look first: `inhouse clean {name}`; show a finding's id, all, or one of {', '.join(CHECKS)}",
        )
    if not found:
        raise NotFound(f"there is no page {page} of these findings", f"there are {pages}, from 1 on")
    return FindingsPage(name, number, show, page, pages, count, tuple(found))


def _edited(task: Task, dataset: Dataset, applied: Sequence[Finding]) -> Dataset | None:
    """The next version with what was applied; None when that changes nothing.

    Raises:
        Refused, TooFewExamples: see `clean`.
    """
    if not any(f.edits for f in applied):
        return None
    reason = f"cleaned: {', '.join(sorted({f.check for f in applied}))}"
    newer = datasets.apply_findings(dataset, applied, dataset.number + 1, reason)
    try:
        datasets.check_edited(newer, task.kind)
    except RareLabels as error:
        raise TooFewExamples(
            f"with these findings applied {error.what}",
            "apply others alone (--apply ID), or add examples of the label first",
            file=error.file,
            line=error.line,
        ) from None
    return newer


def _applied(found: Sequence[Finding], wanted: Sequence[str]) -> list[Finding]:
    names = set(wanted)
    known = {f.id for f in found} | {*CHECKS, "safe", "all"}
    if odd := sorted(names - known):
        raise UsageError(
            f"no finding or check is called {odd[0]!r}",
            f"apply a finding's id, `safe`, `all`, or one of {', '.join(CHECKS)}",
        )
    return [
        f
        for f in found
        if f.edits and ("all" in names or (f.safe and "safe" in names) or f.id in names or f.check in names)
    ]
