"""Test examples whose answer is probably wrong: they count all the same, and what they change is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from heapq import nsmallest

import numpy as np

from inhouse.clean import CHECKS, MODEL_ROWS
from inhouse.core import Dataset, Example, Finding, Metric, Reporter, Task
from inhouse.errors import NoMetric
from inhouse.pipeline.probabilities import embedder
from inhouse.pipeline.subject import subject_of
from inhouse.scoring import Judged, summarise
from inhouse.store import Workspace, records

# What `clean` looks for in the target of a single example.
_CHECKS = ("suspect_target", "broken_target")


def suspects_of(workspace: Workspace, task: Task, dataset: Dataset, reporter: Reporter) -> dict[int, str]:
    """By place in the test, why the answer of the example is probably wrong.

    As `clean` found on that dataset version; where it did not look at targets, it is looked now.
    """
    found = _kept(workspace, task, dataset) or _looked(workspace, task, dataset, reporter)
    why: dict[str, str] = {}
    for one in found:
        if one.count == 1 and one.evidence and one.evidence[0].split == "test":
            why.setdefault(one.examples[0], one.evidence[0].note or one.reason)
    return {place: why[e.id] for place, e in enumerate(dataset.of("test")) if e.id in why}


def without(
    judged: Mapping[str, Judged], test: Sequence[Example], primary: str, suspects: Mapping[int, str]
) -> dict[str, Metric]:
    """The primary metric of each contender on the test examples that are not suspect; empty where none is."""
    if not suspects:
        return {}
    kept = np.array([place not in suspects for place in range(len(test))])
    rest = [e for e, keep in zip(test, kept, strict=True) if keep]
    found: dict[str, Metric] = {}
    for name, one in judged.items():
        with suppress(NoMetric):
            found[name] = summarise(one.part(kept), [e.target for e in rest], primary, [e.group for e in rest])
    return found


def _kept(workspace: Workspace, task: Task, dataset: Dataset) -> list[Finding]:
    found: list[Finding] = []
    for check in _CHECKS:
        count, _ = records.findings(workspace, task.name, dataset.number, what=check, most=1)
        if count:
            found += [f for f, _ in records.findings(workspace, task.name, dataset.number, what=check, most=count)[1]]
    return found


def _looked(workspace: Workspace, task: Task, dataset: Dataset, reporter: Reporter) -> list[Finding]:
    part = _part(dataset)
    subject = replace(subject_of(workspace, task, part), embed=embedder(workspace, task, reporter), reporter=reporter)
    return [finding for check in _CHECKS for finding in CHECKS[check](subject)]


def _part(dataset: Dataset) -> Dataset:
    """The dataset; of more examples than `clean` looks at one by one, a quarter as many of either side, by chance."""
    if len(dataset.examples) <= MODEL_ROWS:
        return dataset
    places: list[int] = []
    for in_test in (True, False):
        side = [i for i, split in enumerate(dataset.splits) if (split == "test") == in_test]
        places += nsmallest(MODEL_ROWS // 4, side, key=lambda i: dataset.examples[i].id)
    places.sort()
    return replace(
        dataset,
        examples=tuple(dataset.examples[i] for i in places),
        splits=tuple(dataset.splits[i] for i in places),
    )
