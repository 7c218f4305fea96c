"""What learns in a base model: low-rank additions to its linear layers, or all of its weights.

- `lora` (Hu et al. 2021): frozen weights W with a trained addition of low rank, y = Wx + (alpha/r) B A x.
- `rslora` (Kalajdzievski 2023): the same at the scale alpha/sqrt(r), at which ranks learn alike.
- `dora` (Liu et al. 2024): the length of each row of W + (alpha/r) B A is learned apart from its direction.
- `full`: every weight.

Files of the first three are in PEFT's format, so that `peft` and every tool that reads it can load an adapter; a test
does. A module of our own keeps the forward pass to three matrix products in the weights' precision: PEFT's casts the
input to float32 and looks up adapters by name on every call.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from inhouse.core import Method
from inhouse.errors import EngineFault

_PREFIX = "base_model.model."
_PARTS = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")


class Learner(Protocol):
    """A part of a model that learns."""

    def learned(self, name: str) -> dict[str, nn.Parameter]:
        """Its parameters, under the names that they have in a file, where the part is called `name`."""
        ...


class LoraLinear(nn.Module):
    """A frozen linear layer with a trained addition of rank `rank`, multiplied by `scale`.

    `down` is A, [rank, in]; `up` is B, [out, rank]; both are kept in float32 and cast to the input's type.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.linear = linear
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, linear.in_features, dtype=torch.float32))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank, dtype=torch.float32))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def learned(self, name: str) -> dict[str, nn.Parameter]:
        """See `Learner.learned`."""
        return {f"{_PREFIX}{name}.lora_A.weight": self.down, f"{_PREFIX}{name}.lora_B.weight": self.up}

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        return self._with_addition(self.linear(x), x)

    def _with_addition(self, out: Tensor, x: Tensor) -> Tensor:
        low = functional.linear(x, self.down.to(x.dtype))
        return out + functional.linear(low, (self.up * self.scale).to(x.dtype))


class DoraLinear(LoraLinear):
    """A linear layer whose rows' lengths (`magnitude`, [out]) are learned apart from their directions.

    The gradient does not go through the length of W + scale B A (section 4.3 of the paper), as in PEFT.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        super().__init__(linear, rank, scale)
        self.magnitude = nn.Parameter(torch.linalg.vector_norm(linear.weight.detach().float(), dim=1))

    def learned(self, name: str) -> dict[str, nn.Parameter]:
        """See `Learner.learned`."""
        return {**super().learned(name), f"{_PREFIX}{name}.lora_magnitude_vector": self.magnitude}

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        out = self._with_addition(functional.linear(x, self.linear.weight), x)
        # Added, not multiplied: near 1 a factor in bfloat16 has too few digits to learn with.
        out = torch.addcmul(out, out, (self.magnitude / self._row_lengths() - 1).to(x.dtype))
        return out if self.linear.bias is None else out + self.linear.bias

    def _row_lengths(self) -> Tensor:
        """Of W + scale B A, [out]."""
        with torch.no_grad():
            rows = torch.addmm(self.linear.weight.float(), self.up, self.down, alpha=self.scale)
            lengths: Tensor = torch.linalg.vector_norm(rows, dim=1)
            return lengths


class WholeWeight:
    """A weight of the base model that learns itself."""

    def __init__(self, model: nn.Module, name: str) -> None:
        place, _, self._attribute = name.rpartition(".")
        self._module = model.get_submodule(place)

    def learned(self, name: str) -> dict[str, nn.Parameter]:
        """See `Learner.learned`."""
        return {name: getattr(self._module, self._attribute)}


def scale_of(method: Method, rank: int, alpha: int) -> float:
    """What the product B A is multiplied by."""
    return alpha / math.sqrt(rank) if method == "rslora" else alpha / rank


def attach(model: nn.Module, rank: int, alpha: int, seed: int, method: Method = "lora") -> dict[str, Learner]:
    """Freeze `model` and give every linear layer of its trunk an adapter; return them by module name.

    The head (`lm_head`) keeps none: it is tied to the embedding. With the method `full` nothing is frozen or added: all
    weights are returned, by their names.
    """
    if method == "full":
        model.requires_grad_(True)
        return {name: WholeWeight(model, name) for name, _ in model.named_parameters()}
    model.requires_grad_(False)
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and not n.endswith("lm_head")]
    adapters: dict[str, Learner] = {}
    kind, scale = DoraLinear if method == "dora" else LoraLinear, scale_of(method, rank, alpha)
    for name, linear in found:
        # Made on the CPU, so that a seed means the same everywhere, then moved to where the weights are.
        adapter = kind(linear, rank, scale).to(linear.weight.device)
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], adapter)
        adapters[name] = adapter
    torch.random.set_rng_state(generator_state)
    return adapters


def learned_parameters(adapters: Mapping[str, Learner]) -> dict[str, nn.Parameter]:
    """All that learns, under the names of its file."""
    return {key: value for name, part in adapters.items() for key, value in part.learned(name).items()}


def adapter_state(adapters: Mapping[str, Learner]) -> dict[str, Tensor]:
    """What has been learned: tensors under PEFT's names (all weights: under their own), detached."""
    return {name: parameter.detach() for name, parameter in learned_parameters(adapters).items()}


def load_adapter_state(adapters: Mapping[str, Learner], state: Mapping[str, Tensor]) -> None:
    """Copy tensors into the adapters.

    Raises:
        EngineFault: the names or shapes differ: an adapter is never ignored in silence.
    """
    copy_state(adapter_state(adapters), state)


def copy_state(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same names.

    Raises:
        EngineFault: the names or shapes differ.
    """
    if set(own) != set(state):
        odd = sorted(set(own) ^ set(state))[0]
        raise EngineFault(f"the adapter does not fit the base model: {odd} is on one side only")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise EngineFault(f"the adapter does not fit the base model: {name} has another shape")
        tensor.copy_(state[name])


def write_adapter(
    folder: Path, state: Mapping[str, Tensor], *, rank: int, alpha: int, base: str, method: Method = "lora"
) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json` as PEFT does."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: t.contiguous().cpu() for n, t in state.items()}, folder / "adapter_model.safetensors")
    modules = sorted({name.split(".")[-3] for name in state if name.endswith(".lora_A.weight")})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "use_rslora": method == "rslora",
        "use_dora": method == "dora",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": modules,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1))


def write_weights(file: Path, state: Mapping[str, Tensor]) -> None:
    """Write all weights of a model as they are."""
    save_file({n: t.contiguous().cpu() for n, t in state.items()}, file)


def read_adapter(file: Path) -> dict[str, Tensor]:
    """The tensors of an adapter file (safetensors: nothing in it is executed)."""
    return dict(load_file(file))


def merged_weights(
    base: Path, adapter: Mapping[str, Tensor], *, rank: int, alpha: int, method: Method = "lora"
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The base's weights with the adapter added, name by name in float32; one tensor in memory at a time.

    Args:
        base: `model.safetensors` of the base.
        adapter: tensors under PEFT's names; of the method `full` the weights themselves.

    Raises:
        EngineFault: a part of the adapter found no weight to be added to.
    """
    unused = set(adapter)
    with safe_open(base, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a dictionary
            down, up, magnitude = (f"{_PREFIX}{name.removesuffix('.weight')}.{part}" for part in _PARTS)
            if method == "full" and name in adapter:
                weight = adapter[name].float().cpu()
            else:
                weight = weights.get_tensor(name).float()
            if down in adapter:
                weight += (scale_of(method, rank, alpha) * (adapter[up].float() @ adapter[down].float())).cpu()
            if magnitude in adapter:
                length = torch.linalg.vector_norm(weight, dim=1)
                weight *= (adapter[magnitude].float().cpu() / length)[:, None]
            unused -= {name, down, up, magnitude}
            yield name, weight.numpy()
    if unused:
        raise EngineFault(f"the adapter's {sorted(unused)[0]} has no weight in the base model to be added to")
