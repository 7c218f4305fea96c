"""One answer of a contender or of a served model."""

from __future__ import annotations

from pydantic import Field

from inhouse.core.frozen import Frozen


class Prediction(Frozen):
    """One answer. `target` is None when the contender could not answer; then `error` says why.

    A text may be there and still have an `error`: it was cut off (not `finished`), or fails a check of the outline.

    Attributes:
        confidence: the probability, from 0 to 1, that the answer is right, as far as the model tells.
        prompt_tokens, answer_tokens: how many it took; 0 where no language model was asked.
        alternatives: the likeliest other labels with their probabilities, the likeliest first.
        parts: of an object, the confidence in each field by its path.
        sources: the passages that it was answered from, as they are cited.
        raw: the confidence before it was calibrated; 0 where it was not.
        asked: whether the question was put at all; where it was not, nothing is known, and nothing counts.
    """

    target: str | None
    finished: bool = True
    confidence: float = 0.0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    error: str | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    parts: dict[str, float] = Field(default_factory=dict)
    sources: tuple[str, ...] = ()
    raw: float = 0.0
    asked: bool = True
