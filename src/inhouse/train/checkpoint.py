"""Checkpoints: a safetensors file with what learns, optimizer state, the best so far and position, replaced whole."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from inhouse.core import Reporter
from inhouse.engine.lora import copy_state
from inhouse.errors import EngineFault
from inhouse.store import replacing
from inhouse.train.processes import like, whole

# A training has diverged when its smoothed loss is so many times what training batches had before the first step, and
# so much above it: where a base knows the task already, a batch may have far more than half as much again.
EXPLODED = 1.5
EXPLODED_BY = 1.0
# Standard errors that a difference in scores exceeds by chance 5 times in 100. With one standard error (32 times) the
# best of several looks at twenty answers was a lucky one (docs/log.md).
CHANCE = 1.96
# It goes on from its best look with so much of the learning rate, once.
SMALLER_RATE = 0.3


@dataclass(frozen=True, slots=True)
class Position:
    """Where a training is. `history` holds one dictionary per look at the validation split.

    `untrained_loss` is that of training examples before the first step; `top_scores` are those of the look with
    the best answers, which need not be the best look; `level_step` is the last look whose answers were no worse than
    theirs, but for chance; `ended` is why there is no further step, once there is none.
    `rate` is what the recipe's learning rate is multiplied by: less than 1 once the training has diverged, after
    `diverged_at` steps.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    untrained_loss: float = math.inf
    running_loss: float = 0.0
    rate: float = 1.0
    diverged_at: int = 0
    best_loss: float = math.inf
    best_scores: tuple[float, ...] = ()
    top_scores: tuple[float, ...] = ()
    best_step: int = 0
    level_step: int = 0
    misses: int = 0
    since_look: tuple[float, int] = (0.0, 0)
    ended: str = ""
    history: tuple[dict[str, float], ...] = ()

    def after_step(self, loss: float, tokens: int) -> Position:
        """One optimizer step further. The first batch's loss is an untrained one too, and may be the larger."""
        first, untrained = self.step == 0, self.untrained_loss
        if first and math.isfinite(loss):
            untrained = max(untrained, loss) if math.isfinite(untrained) else loss
        smooth = loss if first else 0.9 * self.running_loss + 0.1 * loss
        total, count = self.since_look
        return replace(
            self,
            step=self.step + 1,
            tokens=self.tokens + tokens,
            untrained_loss=untrained,
            running_loss=smooth,
            since_look=(total + loss, count + 1),
        )

    def better(self, loss: float, scores: Sequence[float]) -> bool:
        """Whether a look saw something better than the best before it.

        The scores of the same answers decide; where they differ by no more than chance (95 times in 100, by the
        standard error of the paired difference), the loss does, which is the finer measure. Then the answers must not
        be worse, by more than chance, than those of any look before: a little less each time adds up.
        """
        if not self.best_scores:
            return loss < self.best_loss
        gain = _gain(scores, self.best_scores)
        return gain > 0 or (gain == 0 and loss < self.best_loss and self._level(scores))

    def _level(self, scores: Sequence[float]) -> bool:
        """Whether answers are no worse, by more than chance, than those of any look before."""
        return not self.top_scores or _gain(scores, self.top_scores) >= 0

    def after_look(
        self, loss: float, right: float, scores: Sequence[float], measured: Mapping[str, float] | None = None
    ) -> Position:
        """One look at the validation split further.

        Args:
            right: share of the answers whose every token came first.
            scores: of the answers that were asked for, on the task's own metric.
            measured: what the objective measured beside its loss.
        """
        total, count = self.since_look
        row = {
            "step": float(self.step),
            "train_loss": total / max(count, 1),
            "validation_loss": loss,
            "validation_right": right,
            "validation_score": fmean(scores),
            **{f"validation_{name}": value for name, value in (measured or {}).items()},
        }
        better = self.better(loss, scores)
        return replace(
            self,
            best_loss=loss if better else self.best_loss,
            best_scores=tuple(scores) if better else self.best_scores,
            top_scores=tuple(scores) if fmean(scores) > fmean(self.top_scores or (-1.0,)) else self.top_scores,
            best_step=self.step if better else self.best_step,
            level_step=self.step if self._level(scores) else self.level_step,
            misses=0 if better else self.misses + 1,
            since_look=(0.0, 0),
            history=(*self.history, row),
        )

    def has_diverged(self, loss: float, norm: float) -> bool:
        """Whether the step that led here had a loss or a gradient that is no number, or the smoothed loss exploded."""
        most = max(EXPLODED * self.untrained_loss, self.untrained_loss + EXPLODED_BY)
        return not math.isfinite(loss + norm) or self.running_loss > most

    def rolled_back(self, rate: float) -> Position:
        """At the best look again (the beginning, where there was none), at another rate. Tokens and time are spent."""
        kept = tuple(row for row in self.history if row["step"] <= self.best_step)
        return replace(
            self,
            step=self.best_step,
            level_step=self.best_step,
            running_loss=kept[-1]["train_loss"] if kept else 0.0,
            rate=rate,
            diverged_at=self.step,
            misses=0,
            since_look=(0.0, 0),
            history=kept,
        )

    def after_seconds(self, seconds: float) -> Position:
        """The same place, with the time spent so far."""
        return replace(self, seconds=seconds)


@dataclass(frozen=True)
class LoopResult:
    """What came out of a training. `state` holds what was learned at the best look, by the names of its file.

    Of several processes the main one alone has it. `interrupted`: it was asked to stop; the checkpoint goes on from
    there.
    """

    state: dict[str, torch.Tensor]
    position: Position
    stopped_because: str
    resumed: bool
    interrupted: bool = False


def gone_back(before: Position, diverged: Position, loss: float, learning_rate: float, reporter: Reporter) -> Position:
    """Where a training goes on that has diverged, with a smaller rate: at its best look; told in the open, once.

    Args:
        before, diverged: where it was before the step that diverged, and after it.
        learning_rate: the recipe's.

    Raises:
        EngineFault: it was done before.
    """
    what = f"the loss became {loss:.4g} at step {diverged.step}, from {diverged.untrained_loss:.4g} untrained"
    smaller = SMALLER_RATE * learning_rate
    if before.diverged_at:
        raise EngineFault(
            f"the training diverged twice: {what}", f"set `train.learning_rate` in task.toml below {smaller:g}"
        )
    back = diverged.rolled_back(SMALLER_RATE)
    reporter.warn(
        f"the training diverged: {what}, or its gradient did; it goes on from step {back.step} with a learning rate of "
        f"{smaller:g}"
    )
    return back


def _gain(scores: Sequence[float], before: Sequence[float]) -> float:
    """How much better scores are on the same examples; 0 within what chance does."""
    gains = [now - then for now, then in zip(scores, before, strict=True)]
    gain = fmean(gains)
    chance = CHANCE * stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return gain if abs(gain) > chance else 0.0


def gathered(tensors: Mapping[str, torch.Tensor], *, keep: bool) -> dict[str, torch.Tensor]:
    """Tensors with all their parts, one after the other, off the GPU; every process has to ask for them.

    Args:
        keep: whether this process takes them; the others bring their parts, and nothing comes back.
    """
    found = ((name, whole(tensor).detach()) for name, tensor in tensors.items())
    return {name: tensor.cpu() for name, tensor in found if keep}


def write_checkpoint(
    file: Path,
    learned: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    position: Position,
    best: Mapping[str, torch.Tensor],
    *,
    writes: bool = True,
) -> None:
    """Save all that a resumed run needs; the earlier checkpoint stays until this one is whole.

    Args:
        learned: what learns, by name, detached.
        writes: whether this process does; the others bring their parts of split tensors.

    Raises:
        DiskFull: the disk has no room.
    """
    parts = {f"now.{n}": t for n, t in learned.items()} | {f"best.{n}": t for n, t in best.items()}
    for number, state in optimizer.state_dict()["state"].items():
        parts |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors = gathered(parts, keep=writes)
    if not writes:
        return
    with replacing(file) as temporary:
        save_file(
            {n: t.contiguous() for n, t in tensors.items()}, temporary, {"position": json.dumps(asdict(position))}
        )


def checkpoint_step(file: Path) -> int:
    """The step that a checkpoint is of; -1 where there is none, or none that can be read."""
    try:
        with safe_open(file, framework="pt") as saved:
            return int(json.loads(saved.metadata()["position"])["step"])
    except (OSError, SafetensorError, ValueError, TypeError, KeyError):
        return -1


def read_checkpoint(
    file: Path, learned: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer, reporter: Reporter
) -> tuple[Position, dict[str, torch.Tensor]]:
    """Put a checkpoint's state into what learns and the optimizer; a fresh `Position` when there is none.

    Of a checkpoint that does not fit, or cannot be read, nothing is taken: that is told, and the training begins anew.
    """
    if not file.is_file():
        return Position(), {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    try:
        with safe_open(file, framework="pt") as saved:
            tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 - not a dictionary
            position = _position(json.loads(saved.metadata()["position"]))
        _require_fit(tensors, learned, parameters)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        reporter.warn(
            f"the checkpoint {file} cannot be gone on with, so the training begins anew: another version of inhouse "
            f"wrote it, or it is damaged ({' '.join(str(error).split())[:200]})"
        )
        return Position(), {}
    copy_state(learned, {n: like(t, learned[n]) for n, t in _below(tensors, "now.").items()})
    state = optimizer.state_dict()
    state["state"] = {}
    for name, value in _below(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        split = value if key == "step" else like(value, parameters[int(number)])
        state["state"].setdefault(int(number), {})[key] = split
    optimizer.load_state_dict(state)
    return position, {n: like(t, learned[n]) for n, t in _below(tensors, "best.").items()}


def _position(values: dict[str, Any]) -> Position:
    """The position that was kept.

    Raises:
        ValueError: it has other parts than one has now.
    """
    if odd := set(values) ^ {field.name for field in fields(Position)}:
        raise ValueError(f"of its position {sorted(odd)[0]!r} is on one side only")
    lists = {name: tuple(values[name]) for name in ("since_look", "best_scores", "top_scores", "history")}
    return Position(**values | lists)


def _require_fit(
    tensors: Mapping[str, torch.Tensor], learned: Mapping[str, torch.Tensor], parameters: Sequence[torch.Tensor]
) -> None:
    """Refuse tensors that are not of what learns.

    Raises:
        ValueError
    """
    shapes = {name: tensor.shape for name, tensor in learned.items()}
    now, best = ({n: tensor.shape for n, tensor in _below(tensors, part).items()} for part in ("now.", "best."))
    if now != shapes or best not in ({}, shapes):  # before the first look there is no best
        raise ValueError("its tensors are not those of what learns")
    for name, tensor in _below(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        if int(number) >= len(parameters) or (key != "step" and tensor.shape != parameters[int(number)].shape):
            raise ValueError(f"its tensor optimizer.{name} is not of what learns")


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
