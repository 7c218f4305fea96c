"""The Corrections that people gave of served answers, as examples and as a dataset version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import inhouse.dataset as datasets
from inhouse.clean import leaking
from inhouse.core import Dataset, Example, Feedback, Provenance, Reporter, Split, Task, Trace, input_key, target_key
from inhouse.pipeline.cards import save_version
from inhouse.pipeline.task_form import tell_not_taken, with_form
from inhouse.store import Workspace, disk_guard, traffic
from inhouse.train import max_tokens_of

CORRECTIONS = "corrections"


@dataclass(frozen=True)
class Waiting:
    """The Corrections on what was served: `built` is the dataset version that they would make.

    `usable` is how many examples of it are new, or gone; `of_test` how many correct a test example, or what is nearly
    one: never learned from.
    """

    built: datasets.Built
    usable: int
    of_test: int


def waiting_corrections(workspace: Workspace, task: Task, dataset: Dataset) -> Waiting:
    """What the Corrections given so far would add to a dataset."""
    given = [_corrected(task, trace, opinion) for trace, opinion in traffic.judged(workspace, task.name)]
    meant = [e for e in given if e is not None]
    of_test = _of_test(dataset, meant)
    meant = [e for i, e in enumerate(meant) if i not in of_test]
    built = datasets.next_version(dataset, meant, dataset.number + 1, "corrections", kind=task.kind)
    if task.kind == "extract":  # people write JSON in their own way; the model learns, and may answer, in one
        built = replace(built, dataset=datasets.in_schema_order(built.dataset, task.json_schema))
    before, after = Counter(e.id for e in dataset.examples), Counter(e.id for e in built.dataset.examples)
    return Waiting(
        built=built,
        usable=max((after - before).total(), (before - after).total()),
        of_test=len(set(of_test.values())),
    )


def _of_test(dataset: Dataset, corrections: Sequence[Example]) -> dict[int, str]:
    """The input keys, by place, of the corrections that the check of leakage would drop."""
    tests = dataset.of("test")
    sides: tuple[Split, Split] = ("test", "train")
    splits = sides[:1] * len(tests) + sides[1:] * len(corrections)
    both = replace(dataset, examples=(*tests, *corrections), splits=splits, fingerprint="")
    return {i - len(tests): both.examples[i].input_key for i in leaking(both)} if tests and corrections else {}


def _corrected(task: Task, trace: Trace, opinion: Feedback) -> Example | None:
    """A correction as an example. An answer that was merely accepted is no new evidence of what is right.

    With the answer that it corrects it is a preference pair. Not of a label: making the right one likely makes all
    others unlikely, whichever was answered. And not where the answer ran away, beyond what a training reads.
    """
    if opinion.correction is None or opinion.correction == trace.output:
        return None
    inputs = {f: trace.inputs.get(f, "").strip() for f in task.input.fields}
    return Example(
        inputs=inputs,
        target=opinion.correction,
        group=input_key(inputs),
        provenance=Provenance(f"{CORRECTIONS}/{trace.id}", 1),
        rejected=_rejected(task, trace, opinion.correction),
    )


def _rejected(task: Task, trace: Trace, correction: str) -> str:
    """The answer that a correction is better than; empty where it makes no pair."""
    same = trace.output is None or target_key(trace.output, task.kind) == target_key(correction, task.kind)
    too_long = trace.prompt_tokens + trace.answer_tokens > max_tokens_of(task)
    return "" if task.kind == "classify" or same or too_long else (trace.output or "").strip()


def store_corrected(workspace: Workspace, task: Task, waiting: Waiting, reporter: Reporter) -> Dataset:
    """Make the version with the corrections real."""
    dataset = replace(waiting.built.dataset, reason=f"{waiting.usable} corrections")
    for warning in waiting.built.warnings:
        reporter.warn(warning)
    with disk_guard(workspace.paths.root):
        save_version(workspace, task.kind, dataset, None)
    changed = with_form(task, dataset)
    if changed != task:
        tell_not_taken(task, changed, reporter)
        workspace.save_task(changed)
    given = [e for e in dataset.learned if e.provenance.file.startswith(f"{CORRECTIONS}/")]
    pairs = sum(bool(e.rejected) for e in given)
    reporter.say(
        f"dataset version {dataset.number}: {waiting.usable} corrections joined the training data"
        + (f"; {pairs} of all {len(given)} are preference pairs, with the answer that was wrong" if pairs else "")
    )
    return dataset
