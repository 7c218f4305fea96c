"""Checkpoints: one safetensors file with adapters, optimizer state, best adapters and position, replaced atomically."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from inhouse.engine.lora import LoraLinear, adapter_state, load_adapter_state
from inhouse.store import replacing


@dataclass(frozen=True, slots=True)
class Position:
    """Where a training is. `history` holds one dictionary per look at the validation split."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    running_loss: float = 0.0
    best_loss: float = math.inf
    best_step: int = 0
    misses: int = 0
    since_look: tuple[float, int] = (0.0, 0)
    history: tuple[dict[str, float], ...] = ()

    def after_step(self, loss: float, tokens: int) -> Position:
        """One optimizer step further."""
        smooth = loss if self.step == 0 else 0.9 * self.running_loss + 0.1 * loss
        total, count = self.since_look
        return replace(
            self,
            step=self.step + 1,
            tokens=self.tokens + tokens,
            running_loss=smooth,
            since_look=(total + loss, count + 1),
        )

    def after_look(self, loss: float, right: float) -> Position:
        """One look at the validation split further."""
        total, count = self.since_look
        row = {
            "step": float(self.step),
            "train_loss": total / max(count, 1),
            "validation_loss": loss,
            "validation_right": right,
        }
        better = loss < self.best_loss
        return replace(
            self,
            best_loss=loss if better else self.best_loss,
            best_step=self.step if better else self.best_step,
            misses=0 if better else self.misses + 1,
            since_look=(0.0, 0),
            history=(*self.history, row),
        )

    def after_seconds(self, seconds: float) -> Position:
        """The same place, with the time spent so far."""
        return replace(self, seconds=seconds)


def write_checkpoint(
    file: Path,
    adapters: dict[str, LoraLinear],
    optimizer: torch.optim.Optimizer,
    position: Position,
    best: dict[str, torch.Tensor],
) -> None:
    """Save all that a resumed run needs; the earlier checkpoint stays until this one is whole.

    Raises:
        DiskFull: the disk has no room.
    """
    tensors = {f"now.{n}": t for n, t in adapter_state(adapters).items()}
    tensors |= {f"best.{n}": t for n, t in best.items()}
    for number, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{number}.{name}"] = torch.as_tensor(value).detach().cpu()
    with replacing(file) as temporary:
        save_file(
            {n: t.contiguous() for n, t in tensors.items()}, temporary, {"position": json.dumps(asdict(position))}
        )


def read_checkpoint(
    file: Path, adapters: dict[str, LoraLinear], optimizer: torch.optim.Optimizer
) -> tuple[Position, dict[str, torch.Tensor]]:
    """Put a checkpoint's state into adapters and optimizer; a fresh `Position` when there is none."""
    if not file.is_file():
        return Position(), {}
    with safe_open(file, framework="pt") as saved:
        tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 - not a dictionary
        values = json.loads(saved.metadata()["position"])
    load_adapter_state(adapters, _below(tensors, "now."))
    state = optimizer.state_dict()
    state["state"] = {}
    for name, value in _below(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        state["state"].setdefault(int(number), {})[key] = value
    optimizer.load_state_dict(state)
    values["since_look"] = tuple(values["since_look"])
    values["history"] = tuple(values["history"])
    return Position(**values), _below(tensors, "best.")


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
