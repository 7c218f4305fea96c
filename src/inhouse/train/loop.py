"""The training loop: one flat function. Logging, validation and saving are plain calls inside it.

Everything that decides a step is a function of the recipe and the step's number, so a run that was killed and resumed
from any checkpoint goes on exactly as if nothing had happened.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.nn import functional

from inhouse.core import Recipe, Reporter
from inhouse.engine.lora import LoraLinear, adapter_state
from inhouse.engine.torch_model import answer_logits, padded
from inhouse.errors import EngineFault, NothingToLearn
from inhouse.train.checkpoint import Position, read_checkpoint, write_checkpoint
from inhouse.train.fused import FusedTrunk, can_fuse
from inhouse.train.plan import LOOK_SHARE, Encoded

CHECKPOINT_SECONDS = 15.0
# Padded tokens that go through the model at once: what is kept for the backward pass grows with them (and, in the
# attention, with their length), and less of it stays in the caches: 386 tokens/s at 2,200, 350 at 4,096 (receipts of
# 560 tokens, 2 cores).
TOKENS_AT_ONCE = 2048
# Looks at the validation split during training, each at so many examples: a larger split is sampled, evaluation uses
# all of it. A forward pass is a third of a step.
LOOKS = 8
LOOKED_AT = (40, 400)


@dataclass(frozen=True)
class LoopResult:
    """What came out of the loop. `state` holds the best checkpoint's adapter tensors under PEFT's names."""

    state: dict[str, torch.Tensor]
    position: Position
    stopped_because: str
    resumed: bool


def run_loop(
    model: Any,  # noqa: ANN401 - a transformers model
    adapters: dict[str, LoraLinear],
    train: Sequence[Encoded],
    validation: Sequence[Encoded],
    recipe: Recipe,
    checkpoint: Path,
    reporter: Reporter,
) -> LoopResult:
    """Train the adapters; return those of the step with the lowest validation loss.

    Args:
        model: the base with `adapters` attached; frozen but for them.
        checkpoint: file to resume from, if it is there, and to save to.

    Raises:
        NothingToLearn: no example, or no validation example.
        EngineFault: the loss is no number.
    """
    if not train or not validation:
        raise NothingToLearn(
            f"{len(train)} training and {len(validation)} validation examples: both are needed", "add more examples"
        )
    parameters = [p for layer in adapters.values() for p in (layer.down, layer.up)]
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True, betas=(0.9, 0.999)
    )
    per_epoch = math.ceil(len(train) / recipe.batch_size)
    planned = recipe.epochs * per_epoch  # the schedule is of the whole plan: max_steps only cuts it off
    last = min(planned, recipe.max_steps or planned)
    look_every = max(1, min(per_epoch, math.ceil(planned / LOOKS)))
    looked_at = _sample(validation, look_every * recipe.batch_size * _mean_tokens(train), recipe.seed)
    position, best = read_checkpoint(checkpoint, adapters, optimizer)
    resumed = position.step > 0
    bar = reporter.bar("training", last)
    bar.update(position.step)
    trunk = trunk_of(model, recipe.max_tokens)
    saved, begun, spent = time.monotonic(), time.monotonic(), position.seconds
    stopped = "all planned steps done"
    batches: list[list[int]] = []
    while position.step < last:
        if position.misses >= recipe.patience:
            stopped = f"validation loss has not fallen {recipe.patience} times running"
            break
        step = position.step
        if step % per_epoch == 0 or not batches:
            batches = _batches([e.tokens for e in train], recipe.batch_size, recipe.seed, step // per_epoch)
        batch = [train[i] for i in batches[step % per_epoch]]
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, planned, recipe.warmup_share)
        loss = _learn(trunk, batch)
        if not math.isfinite(loss):
            raise EngineFault(f"the training loss became {loss} at step {step + 1}", "lower train.learning_rate")
        torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        position = position.after_step(loss, sum(e.tokens for e in batch))
        bar.update(position.step, f"loss {position.running_loss:.3f}")
        if position.step % look_every == 0 or position.step == last:
            valid_loss, valid_right = _validate(trunk, looked_at)
            if valid_loss < position.best_loss:
                best = {name: tensor.clone() for name, tensor in adapter_state(adapters).items()}
            position = position.after_look(valid_loss, valid_right)
            reporter.say(
                f"step {position.step}/{last}: training loss {position.history[-1]['train_loss']:.4f}, "
                f"validation loss {valid_loss:.4f}, {valid_right:.1%} of answers whole"
            )
        if time.monotonic() - saved >= CHECKPOINT_SECONDS:
            position = position.after_seconds(spent + time.monotonic() - begun)
            write_checkpoint(checkpoint, adapters, optimizer, position, best)
            saved = time.monotonic()
    position = position.after_seconds(spent + time.monotonic() - begun)
    write_checkpoint(checkpoint, adapters, optimizer, position, best)
    return LoopResult(best, position, stopped, resumed)


class Trunk(Protocol):
    """What turns texts into the logits that are learned from."""

    def logits(self, examples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [n, vocabulary] where tokens that carry loss are to be predicted, and those tokens [n]."""
        ...


def trunk_of(model: Any, longest: int) -> Trunk:  # noqa: ANN401
    """The fastest way through a model, for texts of up to `longest` tokens; all give the same gradients."""
    return FusedTrunk(model) if can_fuse(model, longest) else PaddedTrunk(model)


class PaddedTrunk:
    """The model as transformers computes it, on padded texts: for families that are not fused, and on a GPU."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        self._model = model

    def logits(self, examples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Trunk.logits`."""
        device = next(self._model.parameters()).device
        ids, mask, positions = padded([([*e.prompt, *e.answer], e.learned[0]) for e in examples], device)
        wanted = torch.tensor([token for e in examples for token in e.learned[1]], device=device)
        return answer_logits(self._model, ids, mask, positions), wanted


def _learn(trunk: Trunk, batch: Sequence[Encoded]) -> float:
    """Add the gradients of the batch's mean cross-entropy over its answer tokens; return that mean."""
    count = sum(len(e.learned[1]) for e in batch)
    if count == 0:
        raise NothingToLearn("a batch holds no answer token", "mend the examples' targets")
    total = 0.0
    for part in _parts(batch, TOKENS_AT_ONCE):
        logits, wanted = trunk.logits(part)
        loss = functional.cross_entropy(logits, wanted, reduction="sum") / count
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def _validate(trunk: Trunk, examples: Sequence[Encoded]) -> tuple[float, float]:
    """Mean loss per answer token, and the share of examples whose every answer token comes first."""
    total, tokens, right = 0.0, 0, 0
    with torch.inference_mode():
        for part in _parts(examples, TOKENS_AT_ONCE):
            logits, wanted = trunk.logits(part)
            total += functional.cross_entropy(logits, wanted, reduction="sum").item()
            tokens += wanted.numel()
            hits = torch.split(logits.argmax(-1) == wanted, [len(e.learned[1]) for e in part])
            right += sum(bool(h.all()) for h in hits)
    return total / tokens, right / len(examples)


def _parts(examples: Sequence[Encoded], most: int) -> Iterator[Sequence[Encoded]]:
    """The examples, in order, in runs of at most `most` padded tokens and at least one example."""
    start, width = 0, 0
    for place, example in enumerate(examples):
        wider = max(width, example.tokens)
        if place > start and wider * (place - start + 1) > most:
            yield examples[start:place]
            start, wider = place, example.tokens
        width = wider
    if examples:
        yield examples[start:]


def _schedule(step: int, steps: int, warmup_share: float) -> float:
    """Linear warm-up, then linear decay to zero."""
    warmup = max(1, round(steps * warmup_share))
    return min(1.0, (step + 1) / warmup) * (1.0 - step / steps)


def _batches(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """One epoch's batches of indices: shuffled, then alike in length within windows of eight batches.

    Sorting within a window saves most of the padding that random batches have and keeps the order random.
    """
    rng = random.Random(f"{seed}:{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    window = size * 8
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        alike = sorted(order[start : start + window], key=lambda i: lengths[i])
        batches += [alike[i : i + size] for i in range(0, len(alike), size)]
    rng.shuffle(batches)
    return batches


def _mean_tokens(examples: Sequence[Encoded]) -> float:
    return sum(e.tokens for e in examples) / len(examples)


def _sample(examples: Sequence[Encoded], between: float, seed: int) -> list[Encoded]:
    """The examples of every look, `between` two of which so many tokens are trained; the shortest first."""
    affordable = int(3 * LOOK_SHARE * between / _mean_tokens(examples))
    count = min(max(affordable, LOOKED_AT[0]), LOOKED_AT[1], len(examples))
    chosen = random.Random(f"{seed}:validation").sample(range(len(examples)), count)
    return sorted((examples[i] for i in chosen), key=lambda e: e.tokens)
