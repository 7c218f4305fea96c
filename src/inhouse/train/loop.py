"""Training a causal model on answers: what a step learns from, what a look sees, and the ways through a model."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import torch

from inhouse.core import Recipe, Reporter
from inhouse.engine.lora import (
    DoraLinear,
    Learner,
    LoraLinear,
    attach,
    learned_parameters,
)
from inhouse.engine.torch_model import answer_logits, empty_model, load_model, padded, side_by_side
from inhouse.errors import InputError, NothingToLearn
from inhouse.train.checkpoint import LoopResult, Position, checkpoint_step
from inhouse.train.epochs import drop_states, keep_state
from inhouse.train.fused import FusedTrunk, can_fuse
from inhouse.train.heap import tidy_heap
from inhouse.train.objectives import LIKELIHOOD, TOKEN_ACCURACY, Objective, objective_of, with_reference
from inhouse.train.plan import (
    TOKENS_AT_ONCE,
    Encoded,
    asked_at,
    begun_with,
    in_parts,
    look_every,
    looked_at,
    planned_steps,
    steps_per_epoch,
)
from inhouse.train.processes import ALONE, Processes, ShardedTrunk
from inhouse.train.trainer import Learned, Look, Steps, Trainer, Watch, unwatched

# How often memory that lies in pieces is given back: it costs a second, as it is soon asked for again.
TIDY_SECONDS = 60.0
# Overfitting is told where since the best look the training loss fell below, and the validation loss rose above, so
# much of what they were then; and by so much at least: a loss near zero doubles without an answer getting worse.
BY_HEART = (0.9, 1.05)
WORSE_BY = 0.02
# The estimate of a training rests on so much work.
PROBE_SECONDS = 0.75


def run_loop(
    trunk: Trunk,
    adapters: dict[str, Learner],
    train: Sequence[Encoded],
    validation: Sequence[Encoded],
    recipe: Recipe,
    checkpoint: Path,
    reporter: Reporter,
    *,
    judge: Judge | None = None,
    watch: Watch = unwatched,
    asked_to_stop: Callable[[], bool] = lambda: False,
    processes: Processes = ALONE,
    keep_epochs: int = 0,
) -> LoopResult:
    """Train the adapters; return those of the best step on validation examples.

    Args:
        trunk: of the base with `adapters` attached; frozen but for them.
        checkpoint: file to resume from, if it is there, and to save to.
        judge: asks for answers and scores them; without it an answer counts 1 if its every token is the likeliest after
            those before, which is when greedy generation gives it to the letter.
        watch: takes what each step measured.
        asked_to_stop: whether to end after this step, or this part of what a preference objective computes before it.
        processes: those that train together, each of which calls this with the same examples; the main one saves.
        keep_epochs: after each of so many last whole epochs what was learned by then is kept beside the checkpoint
            (`train.epochs`), and measured on all validation examples. It changes nothing in what is learned.

    Raises:
        NothingToLearn: no example, or no validation example.
        EngineFault: the training diverged, and once more at a smaller learning rate; or no look saw a number.
        KeyboardInterrupt: asked to stop before the first step.
    """
    if not train or not validation:
        raise NothingToLearn(
            f"{len(train)} training and {len(validation)} validation examples: both are needed", "add more examples"
        )
    trainer = _AnswerTrainer(
        trunk,
        adapters,
        train,
        validation,
        recipe,
        checkpoint,
        reporter,
        judge,
        watch,
        processes,
        asked_to_stop,
        keep_epochs,
    )
    return trainer.run(asked_to_stop)


class _AnswerTrainer(Trainer):
    """Of a causal model: learns the tokens of answers, by the recipe's objective."""

    def __init__(
        self,
        trunk: Trunk,
        adapters: dict[str, Learner],
        train: Sequence[Encoded],
        validation: Sequence[Encoded],
        recipe: Recipe,
        checkpoint: Path,
        reporter: Reporter,
        judge: Judge | None,
        watch: Watch,
        processes: Processes,
        asked_to_stop: Callable[[], bool],
        keep_epochs: int,
    ) -> None:
        learned = learned_parameters(adapters)
        optimizer = torch.optim.AdamW(
            learned.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True, betas=(0.9, 0.999)
        )
        planned = planned_steps(recipe, len(train))  # the schedule is of the whole plan: max_steps only cuts it off
        steps = Steps(planned, min(planned, recipe.max_steps or planned), look_every(train, validation, recipe))
        super().__init__(learned, optimizer, recipe, steps, checkpoint, reporter, watch, processes)
        self._trunk, self._recipe, self._objective = trunk, recipe, objective_of(recipe)
        self._judge, self._asked = judge, asked_at(train, validation, recipe)
        self._train: Sequence[Encoded] = train
        self._validation = validation
        self._looked_at: Sequence[Encoded] = looked_at(train, validation, recipe)
        self._asked_to_stop = asked_to_stop
        self._per_epoch, self._keep_epochs = steps_per_epoch(recipe, len(train)), keep_epochs
        self._epoch, self._batches = -1, list[list[int]]()
        self._tidied = time.monotonic()

    def begin(self) -> None:
        """Measure what training examples lose in the untrained model: a training that gets much worse diverges."""
        if (
            len(set(self._processes.joined([(self._checkpoint.parent.is_dir(), checkpoint_step(self._checkpoint))])))
            > 1
        ):
            raise InputError(
                f"not all of the {self._processes.count} processes see the checkpoint {self._checkpoint}",
                "put the workspace on a disk that all machines share",
            )
        self._train, self._looked_at = (
            self._with_reference(part, name) for part, name in ((self._train, "train"), (self._looked_at, "validation"))
        )
        super().begin()
        if self.position.step == 0:
            begun, few = time.monotonic(), begun_with(self._train, self._recipe)
            loss = _validate(self._trunk, few, self._objective, self._processes).loss
            self.position = replace(self.position, untrained_loss=self._objective.untrained(loss, few))
            share = sum(e.tokens for e in self._looked_at) / sum(e.tokens for e in few)
            self._a_look = share * (time.monotonic() - begun)

    def _with_reference(self, examples: Sequence[Encoded], name: str) -> Sequence[Encoded]:
        """With the reference, where the objective needs one: the adapters have learned nothing yet."""
        if not self._objective.needs_reference:
            return examples
        file = self._checkpoint.with_suffix(f".{name}.json")
        return with_reference(self._trunk, examples, file, self._reporter, self._processes, self._asked_to_stop)

    def step(self) -> None:
        """See `Trainer.step`; memory that lies in pieces is given back every so many seconds."""
        before = self.position.step
        super().step()
        if self._keep_epochs and self.position.step > before and self.position.step % self._per_epoch == 0:
            self._keep_epoch()
        if time.monotonic() - self._tidied >= TIDY_SECONDS:
            tidy_heap()
            self._tidied = time.monotonic()

    def _keep_epoch(self) -> None:
        """Keep what was learned by now, and what the whole validation split tells of it.

        A preference objective has no figure of the whole where the looks see a part: what the base thinks of the rest
        is not computed.
        """
        step = self.position.step
        measured = {"epoch": float(step // self._per_epoch)}
        seen_by_looks = len(self._looked_at) == len(self._validation)
        if seen_by_looks or not self._objective.needs_reference:
            whole = self._looked_at if seen_by_looks else sorted(self._validation, key=lambda e: e.tokens)
            seen = _validate(self._trunk, whole, self._objective, self._processes)
            accuracy = seen.measured[TOKEN_ACCURACY]
            measured |= {"full_validation_loss": seen.loss, f"full_validation_{TOKEN_ACCURACY}": accuracy}
        self._watch(step, measured)
        keep_state(self._checkpoint.parent, step, self._state(), writes=self._processes.main)

    def _save(self) -> None:
        """See `Trainer._save`. What the checkpoint may still go on to is kept, and no epoch before or beyond it."""
        super()._save()
        if self._keep_epochs and self._processes.main:
            done = self.position.step // self._per_epoch
            kept = range(max(1, done - self._keep_epochs + 1), done + 1)
            drop_states(self._checkpoint.parent, {epoch * self._per_epoch for epoch in kept})

    def learn(self) -> Learned:
        """See `Trainer.learn`."""
        epoch, place = divmod(self.position.step, self._per_epoch)
        if epoch != self._epoch:
            lengths = [e.tokens for e in self._train]
            self._epoch, self._batches = epoch, _batches(lengths, self._recipe.batch_size, self._recipe.seed, epoch)
        batch = [self._train[i] for i in self._batches[place]]
        loss, measured = _learn(self._trunk, batch, self._objective, self._processes)
        self._processes.add_gradients(list(self._learned.values()))
        return Learned(loss, sum(e.tokens for e in batch), measured)

    def seen(self) -> Look:
        """See `Trainer.seen`."""
        seen = _validate(self._trunk, self._looked_at, self._objective, self._processes)
        scores = self._scores() if self._judge else seen.right
        what = f"{self._judge.metric} of {len(scores)} answers" if self._judge else "right answers"
        return Look(seen.loss, scores, fmean(seen.right), seen.measured, (what, _preferred(seen.measured)))

    def _scores(self) -> list[float]:
        """The judge's, of answers of which every process writes its share."""
        mine = self._processes.share(self._asked)
        return self._processes.joined(self._judge.scores(mine) if self._judge and mine else [])


def _preferred(measured: Mapping[str, float]) -> str:
    if "reward_accuracy" not in measured:
        return ""
    return f", preferred {measured['reward_accuracy']:.1%} (margin {measured['reward_margin']:.2f})"


def overfitting(position: Position) -> str:
    """What shows that the examples began to be learned by heart, in a sentence; empty where nothing does."""
    after = [row for row in position.history if row["step"] >= position.best_step]
    if len(after) < 2:
        return ""
    best, last = after[0], after[-1]
    learns_on = last["train_loss"] < BY_HEART[0] * best["train_loss"]
    forgets = last["validation_loss"] > max(BY_HEART[1] * best["validation_loss"], best["validation_loss"] + WORSE_BY)
    if not (learns_on and forgets):
        return ""
    return (
        f"after step {best['step']:.0f} it learned the examples by heart: on them the loss fell on from "
        f"{best['train_loss']:.3g} to {last['train_loss']:.3g}, on validation examples it rose from "
        f"{best['validation_loss']:.3g} to {last['validation_loss']:.3g}; step {best['step']:.0f} is kept"
    )


def seconds_per_token(trunk: Trunk, adapters: dict[str, Learner], train: Sequence[Encoded], recipe: Recipe) -> float:
    """How long a token of training takes here, measured on parts of the first batches; nothing is learned by it.

    One example warms up (memory, threads, kernels) and does not count.
    """
    batches = _batches([e.tokens for e in train], recipe.batch_size, recipe.seed, 0)
    parts = (part for batch in batches for part in in_parts([train[i] for i in batch], TOKENS_AT_ONCE))
    objective = objective_of(recipe)
    if objective.needs_reference:  # what it is changes nothing in how long a step takes
        train = [replace(e, reference=(0.0, 0.0)) for e in train]
    _learn(trunk, [train[batches[0][0]]], objective)
    seconds, tokens = 0.0, 0
    for part in parts:
        begun = time.perf_counter()
        _learn(trunk, part, objective)
        seconds, tokens = seconds + time.perf_counter() - begun, tokens + sum(e.tokens for e in part)
        if seconds > PROBE_SECONDS:
            break
    for parameter in learned_parameters(adapters).values():
        parameter.grad = None
    return seconds / max(tokens, 1)


@dataclass(frozen=True)
class Judge:
    """The task's own metric on answers that the model in training writes.

    `scores` takes places in the validation examples and gives each answer's score, 0 to 1.
    """

    metric: str
    scores: Callable[[Sequence[int]], Sequence[float]]


class Trunk(Protocol):
    """What turns texts into the logits that are learned from, by way of a transformers `model`."""

    model: Any

    def logits(self, examples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [n, vocabulary] where tokens that carry loss are to be predicted, and those tokens [n]."""
        ...


def trunk_of(
    model: Any,  # noqa: ANN401 - a transformers model
    longest: int,
    *,
    mixed: bool = False,
    checkpointed: bool = False,
    compiled: bool = False,
) -> Trunk:
    """The fastest way through a model, for texts of up to `longest` tokens; all give the same gradients.

    Args:
        mixed: weights in float32 are multiplied in bfloat16.
        checkpointed: compute each layer again for its gradient, instead of keeping what it needs.
        compiled: see `PlainTrunk`.
    """
    if checkpointed or compiled:
        return PlainTrunk(model, mixed=mixed, checkpointed=checkpointed, compiled=compiled)
    kinds = {type(module) for module in model.modules()}
    plain = LoraLinear in kinds and DoraLinear not in kinds  # the fused pass is written for these
    return FusedTrunk(model) if plain and can_fuse(model, longest) else PlainTrunk(model, mixed=mixed)


def split_trunk(
    folder: Path,
    precision: str,
    recipe: Recipe,
    processes: Processes,
    *,
    mixed: bool = False,
    checkpointed: bool = False,
) -> tuple[Trunk, dict[str, Learner]]:
    """The model of a folder with new adapters, its weights split over the processes; the main one alone reads them.

    Args:
        precision: of the weights.
        mixed, checkpointed: see `trunk_of`.
    """

    def adapted(model: torch.nn.Module) -> dict[str, Learner]:
        return attach(model, recipe.rank, recipe.alpha, recipe.seed, recipe.method)

    model, weights = empty_model(folder, precision), None
    adapters = adapted(model)
    trunk = ShardedTrunk(PlainTrunk(model, mixed=mixed, checkpointed=checkpointed))
    if processes.main:
        base = load_model(folder, precision, on_cpu=True)
        adapted(base)
        weights = dict(base.named_parameters())
    trunk.fill(weights)
    return trunk, adapters


class PlainTrunk:
    """The model as transformers computes it: for families and methods that are not fused, and on a GPU.

    Texts are padded; under flash attention, which knows where each ends, they are side by side in one row.

    Args:
        mixed: weights in float32 are multiplied in bfloat16 (autocast): what is learned keeps all its digits.
        checkpointed: each layer is computed again for its gradient.
        compiled: torch.compile makes one program of each layer; of texts of any length, as compiling takes minutes.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - a transformers model
        *,
        mixed: bool = False,
        checkpointed: bool = False,
        compiled: bool = False,
    ) -> None:
        self.model = model
        self._mixed, self._checkpointed = mixed, checkpointed
        self._join = side_by_side if model.config._attn_implementation == "flash_attention_2" else padded
        if checkpointed:
            model.activation_checkpointing_enable()
        if compiled:
            for layer in model.model.layers:
                layer.compile(dynamic=True)

    def logits(self, examples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Trunk.logits`."""
        if self._checkpointed:  # transformers asks a layer's own mode; the parts in it would drop numbers out (Phi-2)
            for layer in self.model.model.layers:
                layer.training = torch.is_grad_enabled()
        device = next(self.model.parameters()).device
        inputs, positions = self._join([([*e.prompt, *e.answer], e.learned[0]) for e in examples], device)
        wanted = torch.tensor([token for e in examples for token in e.learned[1]], device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._mixed):
            return answer_logits(self.model, inputs, positions), wanted


def _learn(
    trunk: Trunk, batch: Sequence[Encoded], objective: Objective = LIKELIHOOD, processes: Processes = ALONE
) -> tuple[float, dict[str, float]]:
    """Add the gradients of this process's share of the batch's loss; return the loss of the whole batch, and what else
    the objective measured."""
    total = Counter[str]()
    for part, factor in processes.rounds(in_parts(processes.share(batch), TOKENS_AT_ONCE), batch[0]):
        share = objective.loss(trunk, part, batch)
        (share.loss * factor).backward()  # type: ignore[no-untyped-call]
        if factor:
            total.update({"loss": share.loss.item(), **share.measured})
    measured = processes.total(total)
    return measured.pop("loss"), measured


def right_answers(trunk: Trunk, examples: Sequence[Encoded]) -> list[float]:
    """Of each example whether greedy generation gives its answer to the letter (1 or 0)."""
    return _validate(trunk, examples, LIKELIHOOD).right


@dataclass(frozen=True)
class Seen:
    """What a look saw: the loss, of each example whether its every answer token comes first (1 or 0), and what else the
    objective measured."""

    loss: float
    right: list[float]
    measured: dict[str, float]


def _validate(trunk: Trunk, examples: Sequence[Encoded], objective: Objective, processes: Processes = ALONE) -> Seen:
    total, right = Counter[str](), list[float]()
    with torch.no_grad():
        for part, factor in processes.rounds(in_parts(processes.share(examples), TOKENS_AT_ONCE), examples[0]):
            share = objective.loss(trunk, part, examples)
            if factor:
                right += share.right
                total.update({"loss": share.loss.item(), **share.measured})
    measured = processes.total(total)
    return Seen(measured.pop("loss"), processes.joined(right), measured)


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
