"""What a training takes of memory and disk, from a model's shape alone: told before anything is loaded."""

from __future__ import annotations

from typing import Protocol

from inhouse.core import Method

GIB = 2**30
# Numbers of a layer that are kept for the backward pass, per token and hidden number: the layer's input, q, k and v
# twice, the attention's result, the gate and what it opens. By the fused pass 12 with SmolLM2-135M, 15 with Llama 3.2,
# 18 with Qwen3; by transformers' own, which keeps the norms' results too, 16 with SmolLM2-135M where all weights learn,
# and what each of DoRA's layers gives beside: 29.
KEPT_PER_HIDDEN = 15
KEPT_UNFUSED = 18
KEPT_OF_DORA = 30
# What a token attends to is kept for the gradient by the fused pass up to texts of so many tokens. It grows with their
# square: of longer ones it is computed again, which takes 5 % of a step. Of two texts that do not go through together
# any more (`TOKENS_AT_ONCE`), the one of this length takes no more memory than the longest does without.
KEPT_UP_TO = 704
# Python, torch and transformers before a weight is loaded; what the allocator holds between steps.
BASELINE = 0.6 * GIB
SLACK = 1.25
# What learns is kept in float32: itself, its gradient, two moments, the best of it.
COPIES_OF_LEARNED = 5
# Of a token's logits, in float32 too: they, their log-softmax, its gradient.
COPIES_OF_LOGITS = 3
# The parity gate reads the trained model in float32 (a weight of SmolLM2-135M took 4.5 bytes), and keeps logits and
# their log-softmax of so many tokens. The served file, which is closed by then, takes half as much (docs/log.md).
BYTES_COMPARED = 4.5
TOKENS_COMPARED = 1000
# A weight of a served file (Q8_0): 8 bits, and a 16-bit scale for each block of 32.
BYTES_SERVED = 34 / 32
# A weight of a base in 4 bits, with its scales; embedding and head, which stay as they are, are part of the average.
FOUR_BIT_BYTES = 0.8


class Shape(Protocol):
    """What the needs of a causal model follow from: the facts of a base model."""

    @property
    def parameters(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...


def memory_needed(
    shape: Shape,
    *,
    rank: int,
    precision: str,
    longest: int,
    at_once: int,
    answers: int,
    method: Method = "lora",
    checkpointed: bool = False,
    four_bit: bool = False,
    split_over: int = 1,
    fused: bool = True,
    scores: float = 0.0,
) -> float:
    """Bytes at the peak of a training, in each of its processes.

    Args:
        rank: of the adapters.
        longest: tokens of the longest example.
        at_once: tokens that go through the model together.
        answers: those of them that carry loss.
        checkpointed: of each layer its input alone is kept, and the rest computed again for the gradient.
        four_bit: the base's weights have 4 bits.
        split_over: so many processes have a part of the weights each, and of what belongs to them. Embedding, head and
            a layer are whole while they are computed.
        fused: computed by the hand-written pass (`train.fused`).
        scores: of attention, that are kept for the gradient, for each token and head: none where they are computed
            again, as the fused pass does with long texts.
    """
    size = 2 if precision == "bfloat16" else 4
    rows = max(longest, at_once)
    numbers = KEPT_PER_HIDDEN if fused else KEPT_OF_DORA if method == "dora" else KEPT_UNFUSED
    of_layer = numbers * shape.hidden + shape.heads * scores
    kept = rows * (shape.layers * shape.hidden + of_layer if checkpointed else shape.layers * of_layer) * size
    learned = learned_numbers(shape, rank, method) * 4 * COPIES_OF_LEARNED
    weights = shape.parameters * (FOUR_BIT_BYTES if four_bit else size)
    # Where all weights learn, those in bfloat16 are copies that one layer after another makes of the float32 ones.
    frozen = weights if method != "full" or precision == "bfloat16" else 0
    head = answers * shape.vocabulary * COPIES_OF_LOGITS * 4
    at_rest = (frozen + learned) / split_over
    together = 0 if split_over == 1 else (shape.parameters / shape.layers + shape.vocabulary * shape.hidden) * size
    return BASELINE + at_rest + together + SLACK * (kept + head)


def comparing_needed(shape: Shape) -> float:
    """Bytes at the peak of the parity gate, which follows the training."""
    return BASELINE + BYTES_COMPARED * shape.parameters + TOKENS_COMPARED * shape.vocabulary * 2 * 4


def disk_needed(shape: Shape, rank: int, method: Method = "lora") -> float:
    """Bytes that a training writes: two checkpoints while one replaces the other, then what was learned (weights in
    bfloat16) and the file, twice too."""
    learned = learned_numbers(shape, rank, method)
    return 2 * (COPIES_OF_LEARNED - 1) * learned * 4 + 2 * version_size(shape, rank, method)


def version_size(shape: Shape, rank: int, method: Method = "lora") -> float:
    """Bytes of what a version keeps: what was learned, and the file that serves."""
    return learned_numbers(shape, rank, method) * (2 if method == "full" else 4) + BYTES_SERVED * shape.parameters


def learned_numbers(shape: Shape, rank: int, method: Method = "lora") -> int:
    """How many numbers learn. Of adapters roughly: seven linear layers, whose inputs and outputs together are some 20
    times the hidden numbers; DoRA adds a number for each output, which counts for little."""
    return shape.parameters if method == "full" else 20 * shape.hidden * rank * shape.layers
