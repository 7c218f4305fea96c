"""What the training of an encoder takes of memory, from shape and lengths alone: told before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from inhouse.train.needs import BASELINE, GIB

# A step's texts, sorted by length, go through the encoder in so many parts: half of the padding is saved.
PARTS = 16
# A part has at most so many padded tokens, or one text.
PART_TOKENS = 2048
# What a step keeps for its gradient at once; where it would be more, each part is computed twice and kept for itself,
# which takes a third longer.
KEPT_AT_ONCE = 1.0 * GIB
# Numbers that a layer keeps for the backward pass: for each token and unit of width (counted in BERT, whose inner width
# is four times the outer; ModernBERT keeps 14), and for each token, head and token that it looks at (eager attention).
KEPT_OF_WIDTH, KEPT_OF_SCORES = 18, 3
# Kept tensors of many sizes lie in a heap that they break into pieces (measured: 1.8 to 1.9 times the kept).
SLACK = 1.9
# Up to so many rows the head's features are turned into the rows' own space: a dense matrix of as many columns as rows,
# where logistic regression has the same solution, several times faster.
OWN_SPACE = 10_000
# So many rows are enough to choose by how the head's second classifier is made; in their own space too.
CHOSEN_ON = 2000
# Of each two rows: their likeness, sparse at first (12), and dense (8); then two dense ones.
BYTES_OF_LIKENESS = 20
# Weights while the head is fitted: the encoder as tuned and as it was, the best look, and what the file takes.
COPIES_FOR_HEAD = 4
# The encoder as tuned, its gradient, two moments, the best look, and the encoder as it was.
COPIES_OF_WEIGHTS = 6


class EncoderShape(Protocol):
    """What the needs of an encoder follow from."""

    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def parameters(self) -> int: ...


def parts_of(lengths: Sequence[int]) -> Iterator[range]:
    """Places of a step's texts, in the parts that go through the encoder at once.

    Args:
        lengths: of the texts in tokens, in rising order.
    """
    size, start = math.ceil(len(lengths) / PARTS), 0
    while start < len(lengths):
        end = start + 1
        while end < min(start + size, len(lengths)) and lengths[end] * (end + 1 - start) <= PART_TOKENS:
            end += 1
        yield range(start, end)
        start = end


def kept_for_gradient(shape: EncoderShape, lengths: Sequence[int], parts: Sequence[range]) -> list[float]:
    """Bytes that each part keeps for its gradient.

    Args:
        lengths: as in `parts_of`.
    """
    kept = []
    for part in parts:
        longest = lengths[part[-1]]
        of_token = KEPT_OF_WIDTH * shape.width + KEPT_OF_SCORES * shape.heads * longest
        kept.append(4.0 * len(part) * longest * shape.layers * of_token)
    return kept


def encoder_memory_needed(shape: EncoderShape, batch_size: int, lengths: Sequence[int]) -> float:
    """Bytes at the peak of a training, roughly: at a step, or while the head is fitted.

    Args:
        batch_size: texts of a step, each of which is seen twice.
        lengths: of the training texts in tokens, as they are read; a step may hold the longest.
    """
    longest = sorted([*lengths, *lengths])[-2 * batch_size :]
    kept = kept_for_gradient(shape, longest, list(parts_of(longest)))
    at_once = min(sum(kept), max(KEPT_AT_ONCE, max(kept)))
    weights, rows = 4.0 * shape.parameters, len(lengths) if len(lengths) <= OWN_SPACE else CHOSEN_ON
    step = COPIES_OF_WEIGHTS * weights + SLACK * at_once
    return BASELINE + max(step, COPIES_FOR_HEAD * weights + BYTES_OF_LIKENESS * rows**2)
