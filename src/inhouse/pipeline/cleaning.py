"""`clean`: what is wrong with the data, and a version in which it is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import inhouse.dataset as datasets
from inhouse.clean import CHECKS, Subject, find_in, summary
from inhouse.core import Dataset, Finding, Reporter, Silent, Task
from inhouse.engine import find_spec, get_base
from inhouse.errors import UsageError
from inhouse.pipeline.adding import with_form
from inhouse.pipeline.probabilities import embedder
from inhouse.store import Workspace, disk_guard, records

# Findings in `--json`; the counts are of all, and the store keeps the rest.
SHOWN_FINDINGS = 1000


@dataclass(frozen=True)
class Cleaned:
    """What `clean` found, and the version that applying made, if that changed anything.

    `removed` and `changed` examples are of the new version.
    """

    task: str
    dataset_fingerprint: str
    findings: tuple[Finding, ...]
    applied: tuple[str, ...]
    new_dataset: int | None
    removed: int
    changed: int
    new_fingerprint: str | None = None

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
        }


def clean(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    apply: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> Cleaned:
    """Look for problems in the newest dataset version; what is applied makes a new version.

    Args:
        apply: ids of findings, names of checks, `safe` (what needs no look) or `all`.
        whole: checks that a model makes, which are to look at all examples and not at a sample of many.

    Raises:
        UsageError: nothing was found that `apply` names, or `whole` names no check.
        Refused: two findings that are applied want different things of one example.
        TooFewExamples: what is left could not be learned from.
        NotFound, DiskFull
    """
    reporter = reporter or Silent()
    task = workspace.load_task(name)
    if odd := sorted(set(whole) - CHECKS.keys()):
        raise UsageError(f"no check is called {odd[0]!r}", f"there are {', '.join(CHECKS)}")
    with disk_guard(workspace.paths.root), workspace.changing_data():
        dataset = records.load_dataset(workspace, name)
        subject = Subject(
            dataset,
            task.kind,
            _token_counter(workspace, task),
            _max_tokens(task),
            embed=embedder(workspace, task, reporter),
            schema=task.json_schema,
            outline=task.outline,
        )
        found = find_in(subject, whole=whole, tell=reporter.say)
        applied = _applied(found, apply)
        newer = _edited(task, dataset, applied)
        records.save_findings(workspace, dataset, found, {f.id for f in applied})
        if newer is not None:
            with workspace.undoing(workspace.paths.task_file(name)):
                workspace.save_task(with_form(task, newer))
                records.save_dataset(workspace, newer)
    removed = len(dataset.examples) - len(newer.examples) if newer else 0
    changed = len({i for f in applied for i in f.touched}) - removed
    if newer is not None:
        reporter.say(
            f"dataset version {newer.number}: of version {dataset.number} {removed} examples left out, {changed} "
            "changed"
        )
    return Cleaned(
        task=name,
        dataset_fingerprint=dataset.fingerprint,
        findings=tuple(found),
        applied=tuple(f.id for f in applied),
        new_dataset=newer.number if newer else None,
        removed=removed,
        changed=changed,
        new_fingerprint=newer.fingerprint if newer else None,
    )


def _edited(task: Task, dataset: Dataset, applied: Sequence[Finding]) -> Dataset | None:
    """The next version with what was applied; None when that changes nothing.

    Raises:
        Refused, TooFewExamples: see `clean`.
    """
    if not any(f.edits for f in applied):
        return None
    reason = f"cleaned: {', '.join(sorted({f.check for f in applied}))}"
    newer = datasets.apply_findings(dataset, applied, dataset.number + 1, reason)
    learned = datasets.without_leaks(newer)[0].learned
    datasets.check_learnable(learned, kind=task.kind, test_given=datasets.test_was_given(dataset))
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


def _max_tokens(task: Task) -> int:
    from inhouse.train import max_tokens_of

    return max_tokens_of(task)


def _token_counter(workspace: Workspace, task: Task) -> Any:  # noqa: ANN401 - a function, or None
    """Counts tokens with the base's own tokenizer; None while the base is not on this machine."""
    from inhouse.engine import is_here

    if not is_here(find_spec(task.base_model), workspace.settings):
        return None
    from inhouse.engine.chat_template import ChatTemplate

    base = get_base(task.base_model, workspace.settings)
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    return lambda texts: [len(template.text_ids(text)) for text in texts]
