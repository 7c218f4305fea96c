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
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from inhouse.core import EncoderRecipe, Reporter
from inhouse.engine.encoder import alike_in_length
from inhouse.engine.encoder_facts import EncoderFacts
from inhouse.engine.encoder_model import padded_texts, pooled
from inhouse.train.checkpoint import LoopResult
from inhouse.train.encoder_needs import KEPT_AT_ONCE, PARTS, kept_for_gradient, parts_of
from inhouse.train.encoder_plan import LOOKED_AT, look_every, scheduled, taken
from inhouse.train.plan import sample
from inhouse.train.trainer import Learned, Look, Steps, Trainer, Watch, unwatched

# The cosine head's name among what learns.
HEAD = "head"


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
    watch: Watch = unwatched,
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
    tuner = _LabelTrainer(encoder, facts, means, train, validation, recipe, checkpoint, reporter, watch)
    outcome = tuner.run(asked_to_stop)
    return replace(outcome, state={name: tensor for name, tensor in outcome.state.items() if name != HEAD})


class _LabelTrainer(Trainer):
    """Of a sentence encoder and its cosine head."""

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
        watch: Watch,
    ) -> None:
        self._encoder, self._facts, self._train, self._recipe = encoder, facts, train, recipe
        self._validation = looked_at(validation, recipe) if validation else None
        self._head = nn.Parameter(functional.normalize(means, dim=1))
        learned = {**tunable(encoder), HEAD: self._head}
        every = look_every(recipe) if validation else scheduled(recipe)
        steps = Steps(scheduled(recipe), taken(recipe), every)
        super().__init__(learned, _optimizer(learned, recipe), recipe, steps, checkpoint, reporter, watch)
        self._per_pass = math.ceil(len(train.ids) / recipe.batch_size)
        self._pass, self._batches = -1, list[list[int]]()

    def learn(self) -> Learned:
        """See `Trainer.learn`; what is drawn by lot depends on the seed and the step too."""
        step = self.position.step
        torch.manual_seed(self._recipe.seed * 1_000_003 + step)
        number, place = divmod(step, self._per_pass)
        if number != self._pass:
            self._pass = number
            self._batches = batches_of(self._train.labels, self._recipe.batch_size, self._recipe.seed, number)
        batch = self._batches[place]
        loss = _learn(self._encoder.train(), self._head, self._facts, self._train, batch, self._recipe)
        return Learned(loss, sum(len(self._train.ids[i]) for i in batch))

    def seen(self) -> Look | None:
        """See `Trainer.seen`."""
        if self._validation is None:
            return None
        loss, right = _answers(self._encoder.eval(), self._head, self._facts, self._validation, self._recipe)
        return Look(loss, right, fmean(right))


def seconds_per_step(encoder: nn.Module, facts: EncoderFacts, train: LabelledTexts, recipe: EncoderRecipe) -> float:
    """How long a step takes on this machine, from one that is measured after a small one; nothing is learned."""
    head = nn.Parameter(torch.ones(max(train.labels) + 1, facts.width))
    learned = {**tunable(encoder), HEAD: head}
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
            if name == HEAD
            else recipe.learning_rate * recipe.layer_decay ** (last - (depth_of(name) or last)),
            "weight_decay": recipe.weight_decay if parameter.ndim > 1 and name != HEAD else 0.0,
        }
        for name, parameter in learned.items()
    ]
    return torch.optim.AdamW(groups, fused=True)
