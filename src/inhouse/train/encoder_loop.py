"""Tuning a sentence encoder for labels: resumable after any kill with the same result.

The loss of a step is the sum of two. Each text of the batch goes through the encoder twice, under different dropout
(SimCSE, arXiv:2104.08821), and
- a cosine head over the labels, which begins as the mean vector of each label, answers both views (cross-entropy);
- every view is drawn towards those of its own label and away from all others (supervised contrast, arXiv:2004.11362).
The second is what SetFit (arXiv:2209.11055) does with pairs, over all pairs of a large batch at once.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from inhouse.core import EncoderRecipe, Reporter
from inhouse.engine.encoder_model import EncoderFacts, alike_in_length, padded_texts, pooled
from inhouse.engine.lora import copy_state
from inhouse.errors import EngineFault
from inhouse.train.checkpoint import LoopResult, Position, gone_back, read_checkpoint, write_checkpoint
from inhouse.train.encoder_needs import KEPT_AT_ONCE, PARTS, kept_for_gradient, parts_of
from inhouse.train.encoder_plan import LOOKED_AT, look_every, scheduled, taken
from inhouse.train.plan import sample

# A checkpoint holds some 200 MB.
CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class LabelledTexts:
    """Texts as token ids, with the number of each one's label."""

    ids: Sequence[Sequence[int]]
    labels: Sequence[int]

    def with_more(self, others: LabelledTexts) -> LabelledTexts:
        """Those and others."""
        return LabelledTexts([*self.ids, *others.ids], [*self.labels, *others.labels])

    def some(self, places: Sequence[int]) -> LabelledTexts:
        """Those at `places`."""
        return LabelledTexts([self.ids[i] for i in places], [self.labels[i] for i in places])


def tune(
    encoder: nn.Module,
    facts: EncoderFacts,
    means: Tensor,
    train: LabelledTexts,
    validation: LabelledTexts | None,
    recipe: EncoderRecipe,
    checkpoint: Path,
    reporter: Reporter,
    *,
    watch: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> LoopResult:
    """Tune an encoder, which is changed in place; give back the weights of the best look at validation texts.

    Args:
        means: the mean vector of each label by the encoder as it is, [labels, width].
        validation: of labels that are trained, at least one; None to look at none and give back the last weights.
        checkpoint: file to resume from, if it is there, and to save to.
        watch: is told what every step and every look measured.
        asked_to_stop: whether the loop should end after this step.

    Raises:
        EngineFault: the training diverged, and once more at a smaller learning rate; or no look saw a number.
        KeyboardInterrupt: asked to stop before the first step.
    """
    tuning = _Tuning(encoder, facts, means, train, validation, recipe, checkpoint, reporter, watch)
    resumed = tuning.position.step > 0
    while not (stopped := tuning.reason_to_stop()) and not asked_to_stop():
        tuning.step()
        tuning.look_when_due()
        tuning.save_when_due()
    if not stopped and tuning.position.step == 0:
        raise KeyboardInterrupt
    if not stopped:  # saved before the look that an unbroken run would not have had
        tuning.save()
    tuning.look()
    if stopped:
        tuning.end(stopped)
    if validation is None:
        tuning.keep()
    told = stopped or f"you stopped it after {tuning.position.step} of {taken(recipe)} steps"
    if not tuning.best:
        raise EngineFault("no look at validation texts saw a loss that is a number", "take another encoder")
    tuned = {name: tensor for name, tensor in tuning.best.items() if name != "head"}
    return LoopResult(tuned, tuning.position, told, resumed, interrupted=not stopped)


class _Tuning:
    """A run between two steps: encoder, head, optimizer, where it is, and the best that was seen."""

    def __init__(
        self,
        encoder: nn.Module,
        facts: EncoderFacts,
        means: Tensor,
        train: LabelledTexts,
        validation: LabelledTexts | None,
        recipe: EncoderRecipe,
        checkpoint: Path,
        reporter: Reporter,
        watch: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        self._encoder, self._facts, self._train, self._recipe = encoder, facts, train, recipe
        self._validation = looked_at(validation, recipe) if validation else None
        self._checkpoint, self._reporter, self._watch = checkpoint, reporter, watch
        self._head = nn.Parameter(functional.normalize(means, dim=1))
        self._learned = {**tunable(encoder), "head": self._head}
        self._optimizer = _optimizer(self._learned, recipe)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._per_pass = math.ceil(len(train.ids) / recipe.batch_size)
        self._pass, self._batches = -1, list[list[int]]()
        self._untrained = _copied(self._state())
        self.position, self.best = read_checkpoint(checkpoint, self._state(), self._optimizer, reporter)
        self._begun, self._spent = time.monotonic(), self.position.seconds
        self._saved, self._a_step = self._begun, 0.0
        self._bar = reporter.bar("training", taken(recipe))
        self._bar.update(self.position.step)

    def reason_to_stop(self) -> str:
        """Why there is no further step; empty while there is one."""
        minutes, position = self._recipe.minutes, self.position
        if position.ended:
            return position.ended
        if position.step >= taken(self._recipe):
            return "all planned steps done"
        if position.misses >= self._recipe.patience:
            return f"validation has not become better {self._recipe.patience} times running"
        if minutes and position.step and self._seconds() + self._a_step > 60 * minutes:
            return f"the {minutes:g} minutes are over"
        return ""

    def step(self) -> None:
        """One batch, forward, back and learned from; or back to the best look, where the training has diverged.

        All that is drawn by lot depends on the seed and the step.
        """
        begun, step = time.monotonic(), self.position.step
        share = self.position.rate * _schedule(step, scheduled(self._recipe), self._recipe.warmup_share)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        torch.manual_seed(self._recipe.seed * 1_000_003 + step)
        batch = self._batch(step)
        loss = _learn(self._encoder.train(), self._head, self._facts, self._train, batch, self._recipe)
        norm = torch.nn.utils.clip_grad_norm_(self._learned.values(), self._recipe.max_grad_norm).item()
        tokens = sum(len(self._train.ids[i]) for i in batch)
        after = self.position.after_step(loss, tokens)
        if step == 0 and not self.position.diverged_at:  # nothing was learned before this loss
            after = replace(after, untrained_loss=loss)
        if after.has_diverged(loss, norm):
            self._roll_back(after, loss)
            return
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.position = after
        self._a_step = time.monotonic() - begun
        rate = tokens / max(self._a_step, 1e-9)
        self._watch(
            step + 1,
            {"loss": loss, "learning_rate": share * self._recipe.learning_rate, "tokens_per_second": rate},
        )
        self._bar.update(step + 1, f"loss {self.position.running_loss:.3f}, {rate:.0f} tokens/s")

    def look_when_due(self) -> None:
        """Look at the validation texts at every so many steps."""
        if self.position.step % look_every(self._recipe) == 0:
            self.look()

    def look(self) -> None:
        """Look at the validation texts, unless nothing was learned since; keep what is better than before."""
        if self._validation is None or self.position.since_look[1] == 0:
            return
        loss, right = _answers(self._encoder.eval(), self._head, self._facts, self._validation, self._recipe)
        if self.position.better(loss, right):
            self.keep()
        self.position = self.position.after_look(loss, sum(right) / len(right), right)
        row = self.position.history[-1]
        self._watch(self.position.step, {key: value for key, value in row.items() if key != "step"})
        self._reporter.say(
            f"step {self.position.step}/{taken(self._recipe)}: training loss {row['train_loss']:.4f}, validation loss "
            f"{loss:.4f}, right answers {row['validation_score']:.1%}"
        )

    def keep(self) -> None:
        """Hold what is learned by now to be the best."""
        self.best, self._untrained = _copied(self._state()), {}

    def save_when_due(self) -> None:
        """Write a checkpoint every so many seconds."""
        if time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        self.position = self.position.after_seconds(self._seconds())
        write_checkpoint(self._checkpoint, self._state(), self._optimizer, self.position, self.best)
        self._saved = time.monotonic()

    def end(self, reason: str) -> None:
        """Keep why it ended: what was resumed later would end for the same reason."""
        self.position = replace(self.position, ended=reason)
        self.save()

    def _roll_back(self, diverged: Position, loss: float) -> None:
        """Go on from the best look: see `gone_back`."""
        self.position = gone_back(self.position, diverged, loss, self._recipe.learning_rate, self._reporter)
        copy_state(self._state(), self.best or self._untrained)
        self._optimizer.zero_grad(set_to_none=True)
        self._optimizer.state.clear()
        self.save()

    def _state(self) -> dict[str, Tensor]:
        """What learns, detached."""
        return {name: parameter.detach() for name, parameter in self._learned.items()}

    def _batch(self, step: int) -> list[int]:
        number, place = divmod(step, self._per_pass)
        if number != self._pass:
            self._pass = number
            self._batches = batches_of(self._train.labels, self._recipe.batch_size, self._recipe.seed, number)
        return self._batches[place]

    def _seconds(self) -> float:
        """Spent on this run, in earlier processes too."""
        return self._spent + time.monotonic() - self._begun


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}


def seconds_per_step(encoder: nn.Module, facts: EncoderFacts, train: LabelledTexts, recipe: EncoderRecipe) -> float:
    """How long a step takes on this machine, from one that is measured after a small one; nothing is learned."""
    head = nn.Parameter(torch.ones(max(train.labels) + 1, facts.width))
    learned = {**tunable(encoder), "head": head}
    optimizer = _optimizer(learned, recipe)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    batch = batches_of(train.labels, recipe.batch_size, recipe.seed, 0)[0]
    seconds = 0.0
    for texts in (batch[: math.ceil(len(batch) / PARTS)], batch):  # the first one warms up memory and threads
        begun = time.perf_counter()
        _learn(encoder.train(), head, facts, train, texts, recipe)
        norm = torch.nn.utils.clip_grad_norm_(learned.values(), recipe.max_grad_norm)
        if math.isfinite(norm.item()):  # a rate of 0 times NaN is NaN
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - begun
    encoder.eval()
    return seconds


def _learn(
    encoder: nn.Module,
    head: Tensor,
    facts: EncoderFacts,
    train: LabelledTexts,
    batch: Sequence[int],
    recipe: EncoderRecipe,
) -> float:
    """Add the gradients of a batch's loss, of two views of each text; return the loss.

    A loss over all pairs of a batch needs all vectors at once, but not all that led to them: where that is too much,
    the gradient of the vectors is computed first, and then that of each part, which goes through the encoder again
    under the same dropout (GradCache, Gao et al. 2021, arXiv:2101.06983). Both ways give the same gradients.
    """
    places = sorted((*batch, *batch), key=lambda i: len(train.ids[i]))
    lengths = [len(train.ids[i]) for i in places]
    parts = list(parts_of(lengths))
    wanted = torch.tensor([train.labels[i] for i in places])

    def vectors_of(part: range) -> Tensor:
        return pooled(encoder, *padded_texts([train.ids[places[i]] for i in part], facts.pad), facts.pooling)

    if sum(kept_for_gradient(facts, lengths, parts)) <= KEPT_AT_ONCE:
        loss = _loss(torch.cat([vectors_of(part) for part in parts]), wanted, head, recipe)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()
    states, found = list[Tensor](), list[Tensor]()
    with torch.no_grad():
        for part in parts:
            states.append(torch.get_rng_state())
            found.append(vectors_of(part))
    vectors = torch.cat(found).requires_grad_()
    loss = _loss(vectors, wanted, head, recipe)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    for part, state, gradient in zip(parts, states, torch.split(vectors.grad, [len(p) for p in parts]), strict=True):
        torch.set_rng_state(state)
        vectors_of(part).backward(gradient)  # type: ignore[no-untyped-call]
    return loss.item()


def _loss(vectors: Tensor, wanted: Tensor, head: Tensor, recipe: EncoderRecipe) -> Tensor:
    """Cross-entropy of the cosine head plus the supervised contrast.

    Args:
        vectors: of unit length, [n, width].
        wanted: their labels, [n].
        head: [labels, width].
    """
    logits = recipe.scale * vectors @ functional.normalize(head, dim=1).T
    plain = functional.cross_entropy(logits, wanted, label_smoothing=recipe.label_smoothing)
    return plain + recipe.contrast * supervised_contrast(vectors, wanted, recipe.temperature)


def supervised_contrast(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The loss of arXiv:2004.11362 (its L_out), the mean over texts; a text alone of its label adds nothing.

    Args:
        vectors: of unit length, [n, width].
        labels: [n].
    """
    own = torch.eye(len(vectors), dtype=torch.bool)
    likeness = (vectors @ vectors.T / temperature).masked_fill(own, -math.inf)
    logs = (likeness - torch.logsumexp(likeness, dim=1, keepdim=True)).masked_fill(own, 0.0)
    alike = (labels[:, None] == labels[None, :]) & ~own
    return -((logs * alike).sum(1) / alike.sum(1).clamp(min=1)).mean()


def looked_at(validation: LabelledTexts, recipe: EncoderRecipe) -> LabelledTexts:
    """The validation texts of every look: some of all, whatever order they stand in."""
    return validation.some(sample(validation.ids, min(LOOKED_AT, len(validation.ids)), recipe))


def batches_of(labels: Sequence[int], size: int, seed: int, number: int) -> list[list[int]]:
    """A pass's batches of places: shuffled, but two by two of one label, so that each meets another of its own."""
    rng = random.Random(f"{seed}:{number}")
    by_label: defaultdict[int, list[int]] = defaultdict(list)
    for place in rng.sample(range(len(labels)), len(labels)):
        by_label[labels[place]].append(place)
    pairs = [places[i : i + 2] for places in by_label.values() for i in range(0, len(places), 2)]
    rng.shuffle(pairs)
    order = [place for pair in pairs for place in pair]
    return [order[i : i + size] for i in range(0, len(order), size)]


def _answers(
    encoder: nn.Module, head: Tensor, facts: EncoderFacts, texts: LabelledTexts, recipe: EncoderRecipe
) -> tuple[float, list[float]]:
    """Mean loss of the cosine head on texts, and of each whether it is right (1 or 0)."""
    total, right = 0.0, [0.0] * len(texts.ids)
    with torch.inference_mode():
        labels = functional.normalize(head, dim=1).T
        for part in alike_in_length(texts.ids):
            vectors = pooled(encoder, *padded_texts([texts.ids[i] for i in part], facts.pad), facts.pooling)
            wanted = torch.tensor([texts.labels[i] for i in part])
            logits = recipe.scale * vectors @ labels
            total += functional.cross_entropy(logits, wanted, reduction="sum").item()
            for place, hit in zip(part, (logits.argmax(1) == wanted).tolist(), strict=True):
                right[place] = float(hit)
    return total / len(right), right


def tunable(encoder: nn.Module) -> dict[str, nn.Parameter]:
    """What is tuned, by name: all but the vectors of words, which most texts never touch, and a pooler that nothing
    reads. The rest is frozen."""
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad = not (depth_of(name) is None or "pooler" in name)
    return {name: p for name, p in encoder.named_parameters() if p.requires_grad}


def depth_of(name: str) -> int | None:
    """The layer that a weight belongs to, from 1; None of what stands before the layers; 0 of what stands after."""
    parts = name.split(".")
    for before, number in pairwise(parts):
        if before in ("layer", "layers") and number.isdecimal():
            return int(number) + 1
    return None if "embeddings" in parts[0] else 0


def _optimizer(learned: Mapping[str, nn.Parameter], recipe: EncoderRecipe) -> torch.optim.AdamW:
    """AdamW with the rate of each layer falling from the last one down (arXiv:1801.06146)."""
    last = max((depth_of(name) or 0 for name in learned), default=0)
    groups: list[dict[str, Any]] = [
        {
            "params": [parameter],
            "lr": recipe.head_learning_rate
            if name == "head"
            else recipe.learning_rate * recipe.layer_decay ** (last - (depth_of(name) or last)),
            "weight_decay": recipe.weight_decay if parameter.ndim > 1 and name != "head" else 0.0,
        }
        for name, parameter in learned.items()
    ]
    return torch.optim.AdamW(groups, fused=True)


def _schedule(step: int, steps: int, warmup_share: float) -> float:
    """Linear warm-up, then linear decay to zero."""
    warmup = max(1, round(steps * warmup_share))
    return (step + 1) / warmup if step < warmup else (steps - step) / max(1, steps - warmup)
