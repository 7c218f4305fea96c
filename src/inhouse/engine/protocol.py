"""What every engine is: token ids in, token ids out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import repeat
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from inhouse.errors import EngineFault

Progress = Callable[[int], None]

NOBODY_WAITS = "nobody waits for the answer any more"


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


class Along(NamedTuple):
    """What a model thinks along given answers, per answer token.

    `ids` and `logprobs`: the likeliest tokens, the best first, and their log-probabilities; `given`: that of the token
    that the answer has there.
    """

    ids: list[list[int]]
    logprobs: list[list[float]]
    given: list[float]


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


@dataclass(frozen=True, slots=True)
class Sampling:
    """Tokens drawn by chance instead of the likeliest.

    Attributes:
        temperature: above 0; what the logits are divided by.
        top_p: above 0, at most 1: draw among the likeliest tokens that have so much of the chances together.
        seed: from 0 to 2**63 - 1. The same request with the same seed gives the same answer, as far as the engine's
            arithmetic does not differ with what else it computes.
    """

    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True, slots=True)
class Wishes:
    """How one request is to be answered: with at most so many tokens, kept inside the `grammar` where there is one.

    Without `sampling` each token is the likeliest.
    """

    most: int
    grammar: Grammar | None = None
    sampling: Sampling | None = None


# Who waits for a request: told the answer so far, and at last None, or the fault that ended it. The engine's own thread
# calls it, so it must be quick; one that raises is told nothing more.
Hear = Callable[[Generation | EngineFault | None], None]


class Ticket(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """Nobody waits any more: the engine drops the request at its next step."""
        ...


class StreamingEngine(Engine, Protocol):
    """An engine that also answers one request at a time, as `serve` needs. Requests that overlap share batches.

    Attributes:
        steps: a number that grows while it comes on with its requests: else it hangs.
    """

    steps: int = 0

    def submit(self, prompt: Sequence[int], wishes: Wishes, hear: Hear, *, every_token: bool) -> Ticket:
        """Take one request and return at once.

        Args:
            hear: is told the answer at every token, or only once it is whole.

        Raises:
            EngineFault: the engine is closed.
            InputError: the engine cannot do what is wished.
        """
        ...

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        grammar: Grammars = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """See `Engine.generate`; each prompt is a request of its own."""
        answers: list[Generation] = []
        box: list[SimpleQueue[Generation | EngineFault | None]] = [SimpleQueue() for _ in prompts]
        for prompt, one, hear in zip(prompts, of_each(grammar, len(prompts)), box, strict=False):
            self.submit(prompt, Wishes(max_new_tokens, one), hear.put, every_token=False)
        for told in box:
            answer = told.get()
            if not isinstance(answer, Generation):
                raise answer or EngineFault("the model gave no answer")
            answers.append(answer)
            if progress is not None:
                progress(len(answers))
        return answers

    def next_tokens(
        self, prompts: Sequence[Sequence[int]], progress: Progress | None = None
    ) -> tuple[list[int], list[float]]:
        """See `Engine.next_tokens`."""
        answers = self.generate(prompts, max_new_tokens=1, progress=progress)
        return [a.ids[0] for a in answers], [a.logprob for a in answers]

    def stream(
        self,
        prompt: Sequence[int],
        *,
        max_new_tokens: int,
        grammar: Grammar | None = None,
        sampling: Sampling | None = None,
        every_token: bool = True,
        left: Future[None] | None = None,
    ) -> Generator[Generation]:
        """One answer as it grows, for a thread that waits: each item holds the ids so far. See `submit`.

        One that stops waiting cancels the request.

        Args:
            left: done, by any thread, once nobody waits for the answer any more: then the thread need not either.

        Raises:
            EngineFault: the one that ended it.
        """
        box: SimpleQueue[Generation | EngineFault | None] = SimpleQueue()
        wishes = Wishes(max_new_tokens, grammar, sampling)
        ticket = self.submit(prompt, wishes, box.put, every_token=every_token)
        if left is not None:
            left.add_done_callback(lambda _: box.put(EngineFault(NOBODY_WAITS)))
        try:
            while (item := box.get()) is not None:
                if isinstance(item, EngineFault):
                    raise item
                yield item
        finally:
            ticket.cancel()

    def memory(self) -> int:
        """Bytes of memory that a process of its own holds; 0 where it has none."""
        return 0
