"""From prompts to labels: what an engine generates, as Predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp

from inhouse.core import Prediction
from inhouse.engine.protocol import Engine, Generation, Progress

Decode = Callable[[Sequence[int]], str]


def longest_answer(labels: Sequence[str]) -> int:
    """A bound on an answer's tokens: at worst one per byte, and the one that ends the turn."""
    return max(len(label.encode()) for label in labels) + 1


def answer_labels(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    labels: Sequence[str],
    decode: Decode,
    progress: Progress | None = None,
) -> list[Prediction]:
    """One label per prompt, in order.

    `confidence` is the probability that the model itself gives to the whole answer, before the grammar.
    """
    allowed = frozenset(labels)
    given = engine.generate(prompts, max_new_tokens=longest_answer(labels), labels=labels, progress=progress)
    return [as_prediction(g, len(p), allowed, decode) for g, p in zip(given, prompts, strict=True)]


def as_prediction(given: Generation, prompt_tokens: int, labels: frozenset[str], decode: Decode) -> Prediction:
    """A generation as a prediction. An answer outside the labels is an error, never passed on as an answer."""
    text = decode(given.ids)
    if text in labels and given.finished:
        return Prediction(
            target=text,
            confidence=min(1.0, exp(given.logprob)),
            prompt_tokens=prompt_tokens,
            answer_tokens=len(given.ids),
        )
    reason = f"the model answered {text[:80]!r}, which is none of the labels"
    return Prediction(target=None, prompt_tokens=prompt_tokens, answer_tokens=len(given.ids), error=reason)
