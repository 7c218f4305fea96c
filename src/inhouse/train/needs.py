"""What a training takes of memory and disk, from a model's shape alone: told before anything is loaded."""

from __future__ import annotations

from typing import Protocol

GIB = 2**30
# Numbers of a layer that are kept for the backward pass, per token and hidden number: the layer's input, q, k and v
# twice, the attention's result, the gate and what it opens. 12 with SmolLM2-135M, 15 with Llama 3.2, 18 with Qwen3.
KEPT_PER_HIDDEN = 15
# Python, torch and transformers before a weight is loaded; what the allocator holds between steps.
BASELINE = 0.6 * GIB
SLACK = 1.25
# Adapters are kept in float32: themselves, their gradient, two moments, the best of them.
COPIES_OF_ADAPTER = 5
# A weight of a served file (Q8_0): 8 bits, and a 16-bit scale for each block of 32.
BYTES_SERVED = 34 / 32


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


def memory_needed(shape: Shape, *, rank: int, precision: str, longest: int, at_once: int) -> float:
    """Bytes at the peak of a training.

    Args:
        rank: of the adapters.
        longest: tokens of the longest example.
        at_once: tokens that go through the model together.
    """
    size = 2 if precision == "bfloat16" else 4
    rows = max(longest, at_once)
    scores = shape.heads * longest / 2  # causal: half of them
    kept = rows * shape.layers * (KEPT_PER_HIDDEN * shape.hidden + scores) * size
    adapters = adapter_parameters(shape, rank) * 4 * COPIES_OF_ADAPTER
    return BASELINE + shape.parameters * size + adapters + SLACK * kept


def disk_needed(shape: Shape, rank: int) -> float:
    """Bytes that a training writes: two checkpoints while one replaces the other, then adapter and file, twice too."""
    adapters = adapter_parameters(shape, rank) * 4
    return 2 * (COPIES_OF_ADAPTER - 1) * adapters + 2 * (adapters + BYTES_SERVED * shape.parameters)


def adapter_parameters(shape: Shape, rank: int) -> int:
    """Roughly: seven linear layers, whose inputs and outputs together are some 20 times the hidden numbers."""
    return 20 * shape.hidden * rank * shape.layers
