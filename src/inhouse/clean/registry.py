"""The registry of checks: what looks for a problem in a dataset, under the name that its findings carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from inhouse.core import Dataset, Finding, Kind, Outline, Reporter, Silent, Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CountTokens = Callable[[list[str]], list[int]]
# `model`: a model reads every example, at a hundred to a thousand a second; everything else reads a million in seconds.
Cost = Literal["cheap", "model"]
# Of more examples than these, a check of the cost `model` looks at a sample, unless it is asked for by name. The sample
# tells what share of the examples is at fault within two points, in some seconds; a look at 50,000 takes many minutes.
MODEL_ROWS = 50_000
MODEL_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class EncoderLimit:
    """The sentence encoder of a task: how many tokens of an input it `reads`, by its own count; whether it is what is
    `trained`; whether it `skips_spaces`, so that spaces are never tokens."""

    title: str
    reads: int
    count_tokens: CountTokens
    trained: bool = False
    skips_spaces: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the models of a task can read.

    `context` is the most tokens that the base reads (0: not known), and `longer` are other bases that there are facts
    about, with theirs, the smallest model first. `languages` the base knows, in words. `special_tokens` are those of
    its chat template.
    """

    title: str = ""
    context: int = 0
    longer: tuple[tuple[str, int], ...] = ()
    languages: str = ""
    special_tokens: frozenset[str] = frozenset()
    encoder: EncoderLimit | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What checks look at: a dataset and its task's kind.

    `count_tokens` and `max_tokens` are None where no tokenizer is at hand, `embed` (texts to vectors of unit length)
    where no sentence encoder is. `trimmed` says what becomes of inputs that are too long, where the task trims them.
    `schema` is an extract task's, `outline` a generate task's. `served` are requests that were answered, oldest first;
    `unlabelled` the inputs of records without a target. `reporter` is shown how far a check is that takes long. `memo`
    holds what one check has computed and others use too, by its name.
    """

    dataset: Dataset
    kind: Kind
    count_tokens: CountTokens | None = None
    max_tokens: int | None = None
    embed: Callable[[list[str]], NDArray[np.float32]] | None = None
    trimmed: Callable[[], str] | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    outline: Outline = field(default_factory=Outline)
    limits: Limits = Limits()
    served: Sequence[Trace] = ()
    unlabelled: Sequence[Mapping[str, str]] = ()
    reporter: Reporter = field(default_factory=Silent, compare=False, repr=False)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False, kw_only=True)


class Check(Protocol):
    """Looks for one problem, in linear time; never proposes to drop a test example."""

    def __call__(self, subject: Subject, /) -> Iterable[Finding]:
        """The findings, in order of the dataset."""
        ...


CHECKS: dict[str, Check] = {}
COSTS: dict[str, Cost] = {}
# Checks that of many examples run beside the others.
BESIDE: set[str] = set()


def check(name: str, *, cost: Cost = "cheap", beside: bool = False) -> Callable[[Check], Check]:
    """Register the decorated function as the check `name`.

    Args:
        cost: of a check of cost `model`, beyond `MODEL_ROWS` examples, `find` shows a sample alone: what its Subject
            has besides the dataset must take texts or examples, never positions.
        beside: whether of many examples it may run in a thread beside other checks: it leaves the memo alone.
    """

    def register(function: Check) -> Check:
        CHECKS[name] = function
        COSTS[name] = cost
        if beside:
            BESIDE.add(name)
        return function

    return register
