"""All checks over one dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from heapq import nsmallest

from inhouse.clean.findings import moved
from inhouse.clean.registry import BESIDE, CHECKS, COSTS, MODEL_ROWS, MODEL_SAMPLE, Check, CountTokens, Subject
from inhouse.clean.veil import veiled
from inhouse.core import Dataset, Finding, Kind
from inhouse.core.collector import no_collections

_ORDER = {"error": 0, "warning": 1, "info": 2}


def find(
    dataset: Dataset,
    *,
    kind: Kind,
    count_tokens: CountTokens | None,
    max_tokens: int | None,
    whole: Collection[str] = (),
    tell: Callable[[str], None] | None = None,
) -> list[Finding]:
    """What the checks find, errors first; within a severity by check, then in the dataset's order.

    Args:
        kind: of the dataset's task.
        count_tokens: tokens of each text; None leaves out the check `overlong`.
        max_tokens: how many tokens of input and target training reads.
        whole: checks of the cost `model` that are to look at all examples, however many there are.
        tell: given a sentence on what was looked at in part alone.
    """
    return find_in(Subject(dataset, kind, count_tokens, max_tokens), whole=whole, tell=tell)


def find_in(
    subject: Subject, *, whole: Collection[str] = (), tell: Callable[[str], None] | None = None
) -> list[Finding]:
    """What `find` does, over a subject."""
    many = len(subject.dataset.examples) > MODEL_ROWS
    sampled = [name for name, cost in COSTS.items() if cost == "model" and many and name not in whole]
    positions = _sample(subject.dataset) if sampled else []
    sample = replace(subject, dataset=_only(subject.dataset, positions), memo={}) if sampled else subject
    found: list[Finding] = []
    with no_collections(), ThreadPoolExecutor(1) as thread:
        # What other processes find for these checks comes in while this one is at the next.
        beside = {name: thread.submit(_all, CHECKS[name], subject) for name in CHECKS if many and name in BESIDE}
        for name, check in CHECKS.items():
            if name in sampled:
                found += (moved(finding, positions) for finding in check(sample))
            elif name in beside:
                found += beside[name].result()
            else:
                found += check(subject)
    if sampled and tell:
        tell(
            f"{', '.join(sampled)}: looked at {MODEL_SAMPLE:,} of the {len(subject.dataset.examples):,} examples, "
            f"drawn at random; all of them with --whole {sampled[0]}"
        )
    return sorted(veiled(subject.dataset, found), key=lambda finding: _ORDER[finding.severity])


def _all(check: Check, subject: Subject) -> list[Finding]:
    return list(check(subject))


def _sample(dataset: Dataset) -> list[int]:
    """`MODEL_SAMPLE` positions, in order, of the smallest ids: these are hashes, so it is chance, always the same."""
    ids = [example.id for example in dataset.examples]
    return sorted(nsmallest(MODEL_SAMPLE, range(len(ids)), key=ids.__getitem__))


def _only(dataset: Dataset, positions: Sequence[int]) -> Dataset:
    return replace(
        dataset,
        examples=tuple(dataset.examples[i] for i in positions),
        splits=tuple(dataset.splits[i] for i in positions),
    )


def summary(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are by check; checks that found nothing are absent."""
    return dict(Counter(finding.check for finding in findings))
