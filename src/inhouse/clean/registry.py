"""The registry of checks: what looks for a problem in a dataset, under the name that its findings carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from inhouse.core import Dataset, Finding, Kind

CountTokens = Callable[[list[str]], list[int]]


@dataclass(frozen=True, slots=True)
class Subject:
    """What checks look at: a dataset and its task's kind.

    `count_tokens` and `max_tokens` are None where no tokenizer is at hand.
    """

    dataset: Dataset
    kind: Kind
    count_tokens: CountTokens | None = None
    max_tokens: int | None = None


class Check(Protocol):
    """Looks for one problem, in linear time; never proposes to drop a test example."""

    def __call__(self, subject: Subject, /) -> Iterable[Finding]:
        """The findings, in order of the dataset."""
        ...


CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register the decorated function as the check `name`."""

    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register
