"""The training loop. Logging, validation and saving are plain calls inside it.

Everything that decides a step is a function of the recipe and the step's number, so a run that was killed and resumed
from any checkpoint goes on exactly as if nothing had happened.
"""

from __future__ import annotations

import math
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
    adapter_state,
    attach,
    learned_parameters,
    load_adapter_state,
)
from inhouse.engine.torch_model import answer_logits, empty_model, load_model, padded
from inhouse.errors import InputError, NothingToLearn
from inhouse.train.checkpoint import (
    LoopResult,
    Position,
    checkpoint_step,
    gathered,
    gone_back,
    read_checkpoint,
    write_checkpoint,
)
from inhouse.train.fused import FusedTrunk, can_fuse
from inhouse.train.heap import tidy_heap
from inhouse.train.objectives import LIKELIHOOD, Objective, objective_of, with_reference
from inhouse.train.plan import TOKENS_AT_ONCE, Encoded, asked_at, in_parts, look_every, looked_at, planned_steps
from inhouse.train.processes import ALONE, Processes, ShardedTrunk, whole

CHECKPOINT_SECONDS = 15.0
# How often memory that lies in pieces is given back: it costs a second, as it is soon asked for again.
TIDY_SECONDS = 60.0
# Where all weights learn, a checkpoint has gigabytes: writing them takes at most this share of the time.
SAVE_SHARE = 0.05
# Overfitting is told where since the best look the training loss fell below, and the validation loss rose above, so
# much of what they were then.
BY_HEART = (0.9, 1.05)
# The estimate of a training rests on so much work.
PROBE_SECONDS = 3.0


Watch = Callable[[int, Mapping[str, float]], None]


def _unwatched(step: int, metrics: Mapping[str, float]) -> None:
    """Nobody looks."""


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
    watch: Watch = _unwatched,
    asked_to_stop: Callable[[], bool] = lambda: False,
    processes: Processes = ALONE,
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

    Raises:
        NothingToLearn: no example, or no validation example.
        EngineFault: the training diverged, and once more at a smaller learning rate.
        KeyboardInterrupt: asked to stop before the first step.
    """
    if not train or not validation:
        raise NothingToLearn(
            f"{len(train)} training and {len(validation)} validation examples: both are needed", "add more examples"
        )
    training = _Training(
        trunk, adapters, train, validation, recipe, checkpoint, reporter, judge, watch, processes, asked_to_stop
    )
    resumed = training.position.step > 0
    training.begin()
    while not (stopped := training.reason_to_stop()) and not processes.agreed(asked_to_stop()):
        training.step()
        training.look_when_due()
        training.save_when_due()
        training.tidy_when_due()
    if not stopped and training.position.step == 0:
        raise KeyboardInterrupt
    if not stopped:  # saved before the look that an unbroken run would not have had
        training.save()
    training.look()
    if stopped:
        training.end(stopped)
    return LoopResult(
        gathered(training.best, keep=processes.main),
        training.position,
        stopped or f"you stopped it after {training.position.step} of {training.last} steps",
        resumed,
        interrupted=not stopped,
    )


class _Training:
    """A run between two steps: adapters, optimizer, where it is, and the best that was seen."""

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
    ) -> None:
        self._trunk, self._adapters, self._recipe = trunk, adapters, recipe
        self._objective, self._processes = objective_of(recipe), processes
        self._watch = watch
        self._judge, self._asked = judge, asked_at(train, validation, recipe)
        self._checkpoint, self._reporter = checkpoint, reporter
        self._parameters = list(learned_parameters(adapters).values())
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True, betas=(0.9, 0.999)
        )
        self._per_epoch = math.ceil(len(train) / recipe.batch_size)
        self._planned = planned_steps(
            recipe, len(train)
        )  # the schedule is of the whole plan: max_steps only cuts it off
        self.last = min(self._planned, recipe.max_steps or self._planned)
        self._look_every = look_every(train, validation, recipe)
        looked = looked_at(train, validation, recipe)
        if len(set(processes.joined([(checkpoint.parent.is_dir(), checkpoint_step(checkpoint))]))) > 1:
            raise InputError(
                f"not all of the {processes.count} processes see the checkpoint {checkpoint}",
                "put the workspace on a disk that all machines share",
            )
        self._begun = time.monotonic()
        self._train, self._looked_at = (
            self._ready(part, name, asked_to_stop) for part, name in ((train, "train"), (looked, "validation"))
        )
        self._untrained = _copy(adapters)
        self.position, self.best = read_checkpoint(checkpoint, adapter_state(adapters), self._optimizer, reporter)
        self._epoch, self._batches = -1, list[list[int]]()
        self._spent = self.position.seconds
        self._a_step = self._a_look = self._a_save = 0.0  # seconds that the last of each took
        self._saved = self._tidied = time.monotonic()
        self._bar = reporter.bar("training", self.last)
        self._bar.update(self.position.step)

    def _ready(self, examples: Sequence[Encoded], name: str, asked_to_stop: Callable[[], bool]) -> Sequence[Encoded]:
        """With the reference, where the objective needs one: the adapters have learned nothing yet."""
        if not self._objective.needs_reference:
            return examples
        file = self._checkpoint.with_suffix(f".{name}.json")
        return with_reference(self._trunk, examples, file, self._reporter, self._processes, asked_to_stop)

    def begin(self) -> None:
        """Measure what the untrained model makes of the validation examples: a training that gets worse diverges."""
        if self.position.step == 0:
            begun = time.monotonic()
            loss = _validate(self._trunk, self._looked_at, self._objective, self._processes).loss
            self.position = replace(self.position, untrained_loss=self._objective.untrained(loss, self._looked_at))
            self._a_look = time.monotonic() - begun

    def end(self, reason: str) -> None:
        """Keep why it ended: what was resumed later would end for the same reason."""
        self.position = replace(self.position, ended=reason)
        self.save()

    def reason_to_stop(self) -> str:
        """Why there is no further step; empty while there is one."""
        return self._processes.agreed(self._reason_to_stop())

    def _reason_to_stop(self) -> str:
        minutes = self._recipe.minutes
        if self.position.ended:
            return self.position.ended
        if self.position.step >= self.last:
            return "all planned steps done"
        if self.position.misses >= self._recipe.patience:
            return f"validation has not become better {self._recipe.patience} times running"
        if minutes and self.position.step and self._seconds() + self._a_step + self._a_look > 60 * minutes:
            return f"the {minutes:g} minutes are over"
        return ""

    def step(self) -> None:
        """One batch, forward, back and learned from; or back to the best look, where the training has diverged."""
        begun = time.monotonic()
        batch = self._batch()
        rate = self._recipe.learning_rate * self.position.rate
        for group in self._optimizer.param_groups:
            group["lr"] = rate * _schedule(self.position.step, self._planned, self._recipe.warmup_share)
        loss, measured = _learn(self._trunk, batch, self._objective, self._processes)
        self._processes.add_gradients(self._parameters)
        norm = whole(torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.max_grad_norm)).item()
        after = self.position.after_step(loss, sum(e.tokens for e in batch))
        if after.has_diverged(loss, norm):
            self._roll_back(after, loss)
            return
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.position = after
        self._a_step = time.monotonic() - begun
        tokens_here = sum(e.tokens for e in batch) / max(self._a_step, 1e-9)
        usual = {
            "loss": loss,
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "tokens_per_second": tokens_here,
        }
        self._watch(after.step, usual | measured)
        self._bar.update(after.step, f"loss {after.running_loss:.3f}, {tokens_here:.0f} tokens/s")

    def look_when_due(self) -> None:
        """Look at the validation examples at every so many steps."""
        if self.position.step % self._look_every == 0:
            self.look()

    def look(self) -> None:
        """Look at the validation examples, unless nothing was learned since; keep what is better than before."""
        if self.position.since_look[1] == 0:
            return
        begun = time.monotonic()
        seen = _validate(self._trunk, self._looked_at, self._objective, self._processes)
        loss = seen.loss
        scores = self._processes.agreed(self._judge.scores(self._asked)) if self._judge else seen.right
        if self.position.better(loss, scores):
            self.best, self._untrained = _copy(self._adapters), {}
        self.position = self.position.after_look(loss, fmean(seen.right), scores, seen.measured)
        self._a_look = time.monotonic() - begun
        row = self.position.history[-1]
        self._watch(self.position.step, {key: value for key, value in row.items() if key != "step"})
        what = f"{self._judge.metric} of {len(scores)} answers" if self._judge else "right answers"
        self._reporter.say(
            f"step {self.position.step}/{self.last}: training loss {row['train_loss']:.4f}, validation loss "
            f"{loss:.4f}, {what} {row['validation_score']:.1%}{_preferred(seen.measured)}"
        )

    def save_when_due(self) -> None:
        """Write a checkpoint every so many seconds."""
        due = time.monotonic() - self._saved >= max(CHECKPOINT_SECONDS, self._a_save / SAVE_SHARE)
        if self._processes.agreed(due):
            self.save()

    def tidy_when_due(self) -> None:
        """Give back what memory is in pieces every so many seconds."""
        if time.monotonic() - self._tidied >= TIDY_SECONDS:
            tidy_heap()
            self._tidied = time.monotonic()

    def save(self) -> None:
        """Write a checkpoint."""
        begun = time.monotonic()
        self.position = self.position.after_seconds(self._seconds())
        write_checkpoint(
            self._checkpoint,
            adapter_state(self._adapters),
            self._optimizer,
            self.position,
            self.best,
            writes=self._processes.main,
        )
        self._saved = time.monotonic()
        self._a_save = self._saved - begun

    def _batch(self) -> list[Encoded]:
        """The examples of this step."""
        epoch, place = divmod(self.position.step, self._per_epoch)
        if epoch != self._epoch:
            lengths = [e.tokens for e in self._train]
            self._epoch, self._batches = epoch, _batches(lengths, self._recipe.batch_size, self._recipe.seed, epoch)
        return [self._train[i] for i in self._batches[place]]

    def _roll_back(self, diverged: Position, loss: float) -> None:
        """Go on from the best look: see `gone_back`."""
        self.position = gone_back(self.position, diverged, loss, self._recipe.learning_rate, self._reporter)
        load_adapter_state(self._adapters, self.best or self._untrained)
        self._optimizer.zero_grad(set_to_none=True)
        self._optimizer.state.clear()
        self.save()

    def _seconds(self) -> float:
        """Spent on this run, in earlier processes too."""
        return self._spent + time.monotonic() - self._begun


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
    forgets = last["validation_loss"] > BY_HEART[1] * best["validation_loss"]
    if not (learns_on and forgets):
        return ""
    return (
        f"after step {best['step']:.0f} it learned the examples by heart: on them the loss fell on from "
        f"{best['train_loss']:.3g} to {last['train_loss']:.3g}, on validation examples it rose from "
        f"{best['validation_loss']:.3g} to {last['validation_loss']:.3g}; step {best['step']:.0f} is kept"
    )


def _copy(adapters: dict[str, Learner]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in adapter_state(adapters).items()}


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
) -> Trunk:
    """The fastest way through a model, for texts of up to `longest` tokens; all give the same gradients.

    Args:
        mixed: weights in float32 are multiplied in bfloat16.
        checkpointed: compute each layer again for its gradient, instead of keeping what it needs.
    """
    if checkpointed:
        return PaddedTrunk(model, mixed=mixed, checkpointed=True)
    kinds = {type(module) for module in model.modules()}
    plain = LoraLinear in kinds and DoraLinear not in kinds  # the fused pass is written for these
    return FusedTrunk(model) if plain and can_fuse(model, longest) else PaddedTrunk(model, mixed=mixed)


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
    trunk = ShardedTrunk(PaddedTrunk(model, mixed=mixed, checkpointed=checkpointed))
    if processes.main:
        base = load_model(folder, precision, on_cpu=True)
        adapted(base)
        weights = dict(base.named_parameters())
    trunk.fill(weights)
    return trunk, adapters


class PaddedTrunk:
    """The model as transformers computes it, on padded texts: for families and methods that are not fused, and on a
    GPU.

    Args:
        mixed: weights in float32 are multiplied in bfloat16 (autocast): what is learned keeps all its digits.
        checkpointed: each layer is computed again for its gradient.
    """

    def __init__(self, model: Any, *, mixed: bool = False, checkpointed: bool = False) -> None:  # noqa: ANN401
        self.model = model
        self._mixed, self._checkpointed = mixed, checkpointed
        if checkpointed:
            model.activation_checkpointing_enable()

    def logits(self, examples: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Trunk.logits`."""
        if self._checkpointed:  # transformers does it in training mode alone, and no layer here has another use of that
            self.model.train(torch.is_grad_enabled())
        device = next(self.model.parameters()).device
        ids, mask, positions = padded([([*e.prompt, *e.answer], e.learned[0]) for e in examples], device)
        wanted = torch.tensor([token for e in examples for token in e.learned[1]], device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._mixed):
            return answer_logits(self.model, ids, mask, positions), wanted


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
