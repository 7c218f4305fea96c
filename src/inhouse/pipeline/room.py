"""What memory a training takes and what is free for it: one reckoning for `train`, its dry run and `models list`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil

from inhouse.core import Method
from inhouse.train import KEPT_UP_TO, RANK, TOKENS_AT_ONCE, Shape, comparing_needed, memory_needed


def precision_here() -> str:
    """The numbers that a causal model is trained in on this machine; without torch those that every machine has."""
    if find_spec("torch") is None:
        return "float32"
    from inhouse.engine import torch_model

    return torch_model.best_precision()


def free_for(kind: str) -> float:
    """Bytes that are free where a base model of this kind is trained: an encoder by one process on the CPU."""
    if kind == "encoder" or find_spec("torch") is None:
        return float(psutil.virtual_memory().available)
    from inhouse.engine import torch_model

    return torch_model.free_memory()


def on_gpu() -> bool:
    """Whether causal models are trained on a GPU."""
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def four_bits() -> bool:
    """Whether a causal base's weights can be taken in 4 bits."""
    if find_spec("torch") is None:
        return False
    from inhouse.engine import torch_model

    return torch_model.can_have_four_bits()


def may_fuse(method: Method, *, checkpointed: bool, split_over: int) -> bool:
    """Whether the hand-written pass computes models that it knows: see `train.loop.trunk_of`."""
    return not (on_gpu() or checkpointed or split_over > 1) and method in ("lora", "rslora")


def family_is_fused(folder: Path, longest: int) -> bool:
    """Whether the hand-written pass knows the family of a base on this machine, for texts of up to `longest` tokens."""
    from transformers import AutoConfig

    from inhouse.train.fused import fuses

    return fuses(AutoConfig.from_pretrained(folder, local_files_only=True), longest)


def causal_memory(
    shape: Shape,
    *,
    longest: int,
    lengths: Sequence[int],
    answers: int,
    precision: str,
    rank: int = RANK,
    method: Method = "lora",
    checkpointed: bool = False,
    four_bit: bool = False,
    split_over: int = 1,
    known: bool = True,
) -> float:
    """Bytes that the training of a causal model takes at its peak on this machine, in each of its processes, roughly.

    Args:
        longest: tokens of the longest example; a pair's texts go through together.
        lengths: of the texts, in tokens.
        known: whether the hand-written pass knows the model's family.

    The others are those of `memory_needed`.
    """
    fused = known and may_fuse(method, checkpointed=checkpointed, split_over=split_over)
    return memory_needed(
        shape,
        rank=rank,
        precision=precision,
        longest=longest,
        at_once=TOKENS_AT_ONCE,
        answers=answers,
        method=method,
        checkpointed=checkpointed,
        four_bit=four_bit,
        split_over=split_over,
        fused=fused,
        scores=_scores_kept(lengths, precision, fused=fused),
    )


def with_comparing(training: float, shape: Shape) -> float:
    """Bytes at the peak of a training and of the parity gate after it, which leaves a GPU that has no room.

    Args:
        training: bytes at the peak of the training alone.
    """
    return training if on_gpu() else max(training, comparing_needed(shape))


def _scores_kept(lengths: Sequence[int], precision: str, *, fused: bool) -> float:
    """Attention scores that are kept for the gradient, for each token and head."""
    if on_gpu():  # its attention computes them again
        return 0.0
    if fused:  # the half that is not masked, of texts that are not too long
        return max((n for n in lengths if n <= KEPT_UP_TO), default=0) / 2
    # All of them in float32, and a copy where what follows is in bfloat16: three times as many of that.
    return max(lengths) * (3.0 if precision == "bfloat16" else 1.0)


def way_that_fits(
    memory: Callable[[bool, bool], float], free: float, ways: Sequence[tuple[bool, bool]]
) -> tuple[bool, bool]:
    """The first way to train whose memory is free; the last, where none fits.

    Args:
        memory: bytes that a way takes.
        ways: the fastest first; each says whether layers are computed again, and whether weights have 4 bits.
    """
    return next((way for way in ways if memory(*way) <= free), ways[-1])


def ways_to_train(*, recomputes: bool, four_bits: bool) -> list[tuple[bool, bool]]:
    """See `way_that_fits`.

    Args:
        recomputes: layers can be computed again for their gradient.
        four_bits: and weights can be taken in 4 bits.
    """
    more = [(True, False), *([(True, True)] if four_bits else [])]
    return [(False, False), *(more if recomputes else [])]
