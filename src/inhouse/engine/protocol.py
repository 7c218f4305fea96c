"""What every engine is: token ids in, token ids out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Protocol

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer: its token ids (with the end-of-turn token where it was given) and their summed log-probability.

    The log-probability is the model's own, before any grammar: an answer that the grammar had to force is unlikely.
    `logprobs` are those of the single tokens, where the engine tells.
    """

    ids: list[int]
    logprob: float
    finished: bool
    logprobs: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer may be: EBNF text in the dialect that xgrammar and llama.cpp (GBNF) share, its root called `root`.

    `labels` are all the answers of the language, where they can be listed.
    """

    text: str
    labels: tuple[str, ...] = ()


# One for all prompts, or one for each, which is taken when its prompt's turn comes.
Grammars = Grammar | Iterable[Grammar | None] | None


def of_each(grammar: Grammars, count: int) -> Iterable[Grammar | None]:
    """The grammar of each of `count` prompts."""
    return repeat(grammar, count) if grammar is None or isinstance(grammar, Grammar) else grammar


class Engine(Protocol):
    """Runs one model. Prompts are token ids, so no engine's own tokenizer or template can differ from training."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        grammar: Grammars = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """Greedy answers, in the order of the prompts; kept inside their `grammar` where there is one."""
        ...

    def next_tokens(
        self, prompts: Sequence[Sequence[int]], progress: Progress | None = None
    ) -> tuple[list[int], list[float]]:
        """The most likely next token of each prompt and its log-probability (for the parity gate)."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class StreamingEngine(Engine, Protocol):
    """An engine that also answers one request at a time, as `serve` needs."""

    def stream(
        self, prompt: Sequence[int], *, max_new_tokens: int, grammar: Grammar | None = None
    ) -> Iterator[Generation]:
        """One answer as it grows: each item holds the ids so far."""
        ...
