"""All checks over one dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from inhouse.clean.registry import CHECKS, CountTokens, Subject
from inhouse.core import Dataset, Finding, Kind

_ORDER = ("error", "warning", "info")


def find(dataset: Dataset, *, kind: Kind, count_tokens: CountTokens | None, max_tokens: int | None) -> list[Finding]:
    """What the checks find, errors first; within a severity by check, then in the dataset's order.

    Args:
        kind: of the dataset's task.
        count_tokens: tokens of each text; None leaves out the check `overlong`.
        max_tokens: how many tokens of input and target training reads.
    """
    subject = Subject(dataset, kind, count_tokens, max_tokens)
    found = [finding for check in CHECKS.values() for finding in check(subject)]
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))


def summary(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are by check; checks that found nothing are absent."""
    return dict(Counter(finding.check for finding in findings))
