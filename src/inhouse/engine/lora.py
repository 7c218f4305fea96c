"""LoRA (Hu et al. 2021): frozen weights W with a trained low-rank addition, y = Wx + (alpha/r) B A x.

Files are in PEFT's format, so that `peft` and every tool that reads it can load an adapter; a test does.
A module of our own keeps the forward pass to three matrix products in the weights' precision: PEFT's casts the input
to float32 and looks up adapters by name on every call.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from inhouse.errors import EngineFault

_PREFIX = "base_model.model."


class LoraLinear(nn.Module):
    """A frozen linear layer with a trained addition of rank `rank`.

    `down` is A, [rank, in]; `up` is B, [out, rank]; both are kept in float32 and cast to the input's type.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: int) -> None:
        super().__init__()
        self.linear = linear
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, linear.in_features, dtype=torch.float32))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank, dtype=torch.float32))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        low = functional.linear(x, self.down.to(x.dtype))
        out: Tensor = self.linear(x) + functional.linear(low, (self.up * self.scale).to(x.dtype))
        return out


def attach(model: nn.Module, rank: int, alpha: int, seed: int) -> dict[str, LoraLinear]:
    """Freeze `model` and give every linear layer of its trunk an adapter; return them by module name.

    The head (`lm_head`) keeps none: it is tied to the embedding.
    """
    model.requires_grad_(False)
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and not n.endswith("lm_head")]
    adapters = {}
    for name, linear in found:
        # Made on the CPU, so that a seed means the same everywhere, then moved to where the weights are.
        adapters[name] = LoraLinear(linear, rank, alpha).to(linear.weight.device)
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], adapters[name])
    torch.random.set_rng_state(generator_state)
    return adapters


def adapter_state(adapters: dict[str, LoraLinear]) -> dict[str, Tensor]:
    """The adapters' tensors under PEFT's names, detached."""
    state = {}
    for name, layer in adapters.items():
        state[f"{_PREFIX}{name}.lora_A.weight"] = layer.down.detach()
        state[f"{_PREFIX}{name}.lora_B.weight"] = layer.up.detach()
    return state


def load_adapter_state(adapters: dict[str, LoraLinear], state: dict[str, Tensor]) -> None:
    """Copy tensors into the adapters.

    Raises:
        EngineFault: the names or shapes differ: an adapter is never ignored in silence.
    """
    own = adapter_state(adapters)
    if set(own) != set(state):
        odd = sorted(set(own) ^ set(state))[0]
        raise EngineFault(f"the adapter does not fit the base model: {odd} is on one side only")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise EngineFault(f"the adapter does not fit the base model: {name} has another shape")
        tensor.copy_(state[name])


def write_adapter(folder: Path, state: dict[str, Tensor], *, rank: int, alpha: int, base: str) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json` as PEFT does."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: t.contiguous().cpu() for n, t in state.items()}, folder / "adapter_model.safetensors")
    modules = sorted({name.split(".")[-3] for name in state})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": modules,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1))


def read_adapter(file: Path) -> dict[str, Tensor]:
    """The tensors of an adapter file (safetensors: nothing in it is executed)."""
    return dict(load_file(file))


def merged_weights(
    base: Path, adapter: dict[str, Tensor], *, rank: int, alpha: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The base's weights with the adapter added, name by name in float32; one tensor in memory at a time.

    Args:
        base: `model.safetensors` of the base.
        adapter: tensors under PEFT's names.

    Raises:
        EngineFault: a part of the adapter found no weight to be added to.
    """
    unused = set(adapter)
    with safe_open(base, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a dictionary
            weight = weights.get_tensor(name).float()
            down = f"{_PREFIX}{name.removesuffix('.weight')}.lora_A.weight"
            if down in adapter:
                up = down.replace(".lora_A.", ".lora_B.")
                weight += alpha / rank * (adapter[up].float() @ adapter[down].float()).cpu()
                unused -= {down, up}
            yield name, weight.numpy()
    if unused:
        raise EngineFault(f"the adapter's {sorted(unused)[0]} has no weight in the base model to be added to")
