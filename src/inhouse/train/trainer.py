"""What every training does, whatever learns: steps, looks, checkpoints, one way back, and an end with its reason.

Everything that decides a step is a function of the recipe and the step's number, so a run that was killed and resumed
from any checkpoint goes on exactly as if nothing had happened.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from inhouse.core import EncoderRecipe, Recipe, Reporter
from inhouse.engine.lora import copy_state
from inhouse.errors import EngineFault
from inhouse.train.checkpoint import LoopResult, Position, gathered, gone_back, read_checkpoint, write_checkpoint
from inhouse.train.processes import ALONE, Processes, whole

CHECKPOINT_SECONDS = 15.0
# Where all weights learn, a checkpoint has gigabytes: writing them takes at most this share of the time.
SAVE_SHARE = 0.05

# Takes a step's number, and what it or a look after it measured.
Watch = Callable[[int, Mapping[str, float]], None]


def unwatched(step: int, metrics: Mapping[str, float]) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Steps:
    """How many steps a training has.

    Attributes:
        planned: of the schedule, whose end the learning rate falls to.
        last: that are taken, which may be fewer.
        look_every: between two looks at the validation examples.
    """

    planned: int
    last: int
    look_every: int


@dataclass(frozen=True)
class Learned:
    """What a step learned from: the loss of its batch, the batch's tokens, and what else was measured."""

    loss: float
    tokens: int
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What a look at validation examples saw.

    Attributes:
        loss: the mean over them.
        scores: of each, or of those that were asked, on the task's own metric, 0 to 1.
        right: share of the answers whose every token came first.
        measured: what the objective measured beside its loss.
        told: what the scores are of, and what else to say after their mean.
    """

    loss: float
    scores: Sequence[float]
    right: float
    measured: Mapping[str, float] = field(default_factory=dict)
    told: tuple[str, str] = ("right answers", "")


class Trainer(ABC):
    """A training between two steps: what learns, its optimizer, where it is, and the best that was seen.

    Args:
        learned: what learns, by the names of its file.
        recipe: its learning rate is that of the optimizer's groups, each times what the group has it by.
        checkpoint: file to resume from, if it is there, and to save to.
        watch: is told what every step and every look measured.
        processes: those that train together; the main one saves.
    """

    def __init__(
        self,
        learned: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        recipe: Recipe | EncoderRecipe,
        steps: Steps,
        checkpoint: Path,
        reporter: Reporter,
        watch: Watch = unwatched,
        processes: Processes = ALONE,
    ) -> None:
        self._learned, self._optimizer, self._steps = learned, optimizer, steps
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._limits, self._checkpoint, self._reporter = recipe, checkpoint, reporter
        self._watch, self._processes = watch, processes
        self._begun = self._saved = time.monotonic()
        self._spent = self._a_step = self._a_look = self._a_save = 0.0  # seconds: before this process, of the last each
        self._untrained = _copied(self._state())
        self.position, self.best = Position(), dict[str, Tensor]()

    @abstractmethod
    def learn(self) -> Learned:
        """Add the gradients of the batch of `position.step`, which depends on nothing else."""

    @abstractmethod
    def seen(self) -> Look | None:
        """What the model makes of the validation examples by now; None where there are none: the last step is best."""

    def run(self, asked_to_stop: Callable[[], bool]) -> LoopResult:
        """Train to the end, or to where it is asked to stop; give back what was learned at the best look.

        Raises:
            EngineFault: the training diverged, and once more at a smaller learning rate; or no look saw a number.
            KeyboardInterrupt: asked to stop before the first step.
        """
        self.begin()
        resumed = self.position.step > 0
        while not (stopped := self._processes.agreed(self._reason_to_stop())) and not self._processes.agreed(
            asked_to_stop()
        ):
            self.step()
            if self.position.step % self._steps.look_every == 0:
                self._look()
            self._save_when_due()
        if not stopped and self.position.step == 0:
            raise KeyboardInterrupt
        if not stopped:  # saved before the look that an unbroken run would not have had
            self._save()
        self._look()
        if not self.best:
            raise EngineFault("no look at validation examples saw a loss that is a number", "take another base model")
        if stopped:  # kept: what was resumed later would end for the same reason
            self.position = replace(self.position, ended=stopped)
            self._save()
        return LoopResult(
            gathered(self.best, keep=self._processes.main),
            self.position,
            stopped or f"you stopped it after {self.position.step} of {self._steps.last} steps",
            resumed,
            interrupted=not stopped,
        )

    def begin(self) -> None:
        """Go to where the checkpoint is, if there is one."""
        self.position, self.best = read_checkpoint(self._checkpoint, self._state(), self._optimizer, self._reporter)
        self._spent, self._saved = self.position.seconds, time.monotonic()
        self._bar = self._reporter.bar("training", self._steps.last)
        self._bar.update(self.position.step)

    def step(self) -> None:
        """One batch, forward, back and learned from; or back to the best look, where the training has diverged."""
        begun = time.monotonic()
        share = self.position.rate * schedule(self.position.step, self._steps.planned, self._limits.warmup_share)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        learned = self.learn()
        norm = whole(torch.nn.utils.clip_grad_norm_(self._learned.values(), self._limits.max_grad_norm)).item()
        after = self.position.after_step(learned.loss, learned.tokens)
        if after.has_diverged(learned.loss, norm):
            self._roll_back(after, learned.loss)
            return
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.position = after
        self._a_step = time.monotonic() - begun
        speed = learned.tokens / max(self._a_step, 1e-9)
        usual = {
            "loss": learned.loss,
            "learning_rate": share * self._limits.learning_rate,
            "tokens_per_second": speed,
        }
        self._watch(after.step, usual | dict(learned.measured))
        self._bar.update(after.step, f"loss {after.running_loss:.3f}, {speed:.0f} tokens/s")

    def _reason_to_stop(self) -> str:
        """Why there is no further step; empty while there is one."""
        minutes, patience, position = self._limits.minutes, self._limits.patience, self.position
        if position.ended:
            return position.ended
        if position.step >= self._steps.last:
            return "all planned steps done"
        if position.misses >= patience:
            return f"validation has not become better {patience} times running"
        if minutes and position.step and self._seconds() + self._a_step + self._a_look > 60 * minutes:
            return f"the {minutes:g} minutes are over"
        return ""

    def _look(self) -> None:
        """Look at the validation examples, unless nothing was learned since; keep what is better than before."""
        if self.position.since_look[1] == 0:
            return
        begun = time.monotonic()
        look = self.seen()
        if look is None:
            self.best = _copied(self._state())
            return
        if self.position.better(look.loss, look.scores):
            self.best, self._untrained = _copied(self._state()), {}
        self.position = self.position.after_look(look.loss, look.right, look.scores, look.measured)
        self._a_look = time.monotonic() - begun
        row = self.position.history[-1]
        self._watch(self.position.step, {key: value for key, value in row.items() if key != "step"})
        what, more = look.told
        self._reporter.say(
            f"step {self.position.step}/{self._steps.last}: training loss {row['train_loss']:.4f}, validation loss "
            f"{look.loss:.4f}, {what} {fmean(look.scores):.1%}{more}"
        )

    def _save_when_due(self) -> None:
        due = time.monotonic() - self._saved >= max(CHECKPOINT_SECONDS, self._a_save / SAVE_SHARE)
        if self._processes.agreed(due):
            self._save()

    def _save(self) -> None:
        begun = time.monotonic()
        self.position = self.position.after_seconds(self._seconds())
        write_checkpoint(
            self._checkpoint, self._state(), self._optimizer, self.position, self.best, writes=self._processes.main
        )
        self._saved = time.monotonic()
        self._a_save = self._saved - begun

    def _roll_back(self, diverged: Position, loss: float) -> None:
        """Go on from the best look: see `gone_back`."""
        self.position = gone_back(self.position, diverged, loss, self._limits.learning_rate, self._reporter)
        copy_state(self._state(), self.best or self._untrained)
        self._optimizer.zero_grad(set_to_none=True)
        self._optimizer.state.clear()
        self._save()

    def _state(self) -> dict[str, Tensor]:
        """What learns, detached."""
        return {name: parameter.detach() for name, parameter in self._learned.items()}

    def _seconds(self) -> float:
        """Spent on this run, in earlier processes too."""
        return self._spent + time.monotonic() - self._begun


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """What a step's learning rate is multiplied by: linear warm-up, then linear decay to zero."""
    warmup = max(1, round(steps * warmup_share))
    return (step + 1) / warmup if step < warmup else (steps - step) / max(1, steps - warmup)


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}
