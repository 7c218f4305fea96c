"""How far training moved a model on what is not of its task: the next tokens that it thinks of, against its base's."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inhouse.core import ForgettingResult, Metric
from inhouse.engine import Generation
from inhouse.scoring import Judged, summarise
from inhouse.scoring.intervals import positive_mean

# Of each answer of the base, at most.
TOKENS = 24
# That the base's answers may take; what is compared then takes about as long again.
SECONDS = 30.0
# Prompts that are answered together: time is looked at between them. The first of them are always asked, as fewer would
# say too little.
AT_ONCE = 16
# Nats a token under which a model is as it was, and over which it is another one; see docs/design/beyond.md.
LITTLE, MUCH = 0.1, 0.5

Floats = NDArray[np.float32]


class Thinker(Protocol):
    """A model that answers, and tells how likely every token was."""

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[Generation]:
        """Greedy answers."""
        ...

    def log_chances_along(self, answers: Sequence[tuple[list[int], list[int]]]) -> list[Floats]:
        """Log-probabilities of all tokens at each position of given answers, [tokens, vocabulary] each."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


def general_prompts() -> list[str]:
    """Everyday requests of no task in particular."""
    text = Path(__file__).with_name("general_prompts.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["prompts"])


def divergence(
    open_base: Callable[[], Thinker],
    open_tuned: Callable[[], Thinker],
    prompts: Sequence[list[int]],
    clock: Callable[[], float] = time.perf_counter,
) -> ForgettingResult:
    """The mean Kullback-Leibler divergence of the tuned model's next token from the base's, along the base's answers.

    The two are open one after the other. As many prompts are asked as there is time for. The interval is over prompts.
    """
    with closing(open_base()) as base:
        answers = _answered(base, prompts, clock)
        before = base.log_chances_along(answers)
    with closing(open_tuned()) as tuned:
        after = tuned.log_chances_along(answers)
    sums = np.array([_divergence(b, a).sum() for b, a in zip(before, after, strict=True)])
    sizes = np.array([len(b) for b in before], dtype=float)
    value = float(sums.sum() / sizes.sum())
    low, high = positive_mean(sums, sizes)
    same = _same_choice(before, after)
    return ForgettingResult(
        prompts=len(answers),
        divergence=value,
        low=low,
        high=high,
        loss_before=_loss(before, answers),
        loss_after=_loss(after, answers),
        same_choice=same,
        sentence=_told(len(answers), low, high, same.value),
    )


def _answered(
    base: Thinker, prompts: Sequence[list[int]], clock: Callable[[], float]
) -> list[tuple[list[int], list[int]]]:
    """Prompts with the base's answers to them, as many as there is time for."""
    found: list[tuple[list[int], list[int]]] = []
    begun = clock()
    while not found or (len(found) < len(prompts) and clock() - begun < SECONDS):
        part = prompts[len(found) : len(found) + AT_ONCE]
        given = base.generate(part, max_new_tokens=TOKENS)
        found += [(list(p), list(g.ids)) for p, g in zip(part, given, strict=True)]
    return found


def _divergence(before: Floats, after: Floats) -> NDArray[np.float64]:
    """Of each token, in nats; rounding can put it a hair under 0."""
    apart = np.einsum("tv,tv->t", np.exp(before), before - after, dtype=np.float64)
    return np.maximum(np.asarray(apart, dtype=np.float64), 0.0)


def _loss(chances: Sequence[Floats], answers: Sequence[tuple[list[int], list[int]]]) -> float:
    """What the answers cost, in nats a token."""
    given = [c[np.arange(len(ids)), ids] for c, (_, ids) in zip(chances, answers, strict=True)]
    return float(-np.concatenate(given).mean())


def _same_choice(before: Sequence[Floats], after: Sequence[Floats]) -> Metric:
    """The share of tokens of which both find the same one the likeliest; those of a prompt are right together."""
    same = [b.argmax(1) == a.argmax(1) for b, a in zip(before, after, strict=True)]
    groups = [str(prompt) for prompt, one in enumerate(same) for _ in one]
    return summarise(Judged((), {"same": np.concatenate(same).astype(float)}), (), "same", groups)


def _told(prompts: int, low: float, high: float, same: float) -> str:
    figures = (
        f"on {prompts} everyday prompts that are not of this task, its next word is still that of its base in "
        f"{100 * same:.0f} of 100 places"
    )
    if high < LITTLE:
        return f"{figures}: it has kept nearly all that its base could do"
    if low < MUCH:
        return f"{figures}: it has moved away from its base; look at its answers before it is used for anything else"
    return f"{figures}: it has forgotten much of what its base could do; use it for this task alone"
