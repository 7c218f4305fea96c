"""The processes that train one model together, as `accelerate launch` starts them; usually there is one.

Each takes its share of a batch's examples. The loss of a batch is a sum of its examples' shares, so adding up the
gradients of all processes gives the single process's, but for rounding. Weights are copied to every process, or, with
`accelerate launch --use_fsdp`, split over them (FSDP2): a layer is gathered when it is computed.

What cannot be the same everywhere by itself (a clock, a wish to stop) is decided by the main process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from inhouse.errors import ConfigError
from inhouse.launched import process_count
from inhouse.train.plan import Encoded

# The main process converts, measures, packages and compares while the others wait for its word; on a large model that
# takes hours, and torch gives up after 10 or 30 minutes. A process that dies is noticed by the launcher, which ends
# all.
PATIENCE = timedelta(days=7)

Value = TypeVar("Value")


class Processes:
    """This process and those beside it.

    Attributes:
        count: how many there are.
        rank: which of them this is, from 0 on.
        sharded: whether weights are split over them.
    """

    def __init__(self, count: int = 1, rank: int = 0, *, sharded: bool = False) -> None:
        self.count, self.rank, self.sharded = count, rank, sharded

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def share(self, items: Sequence[Value]) -> list[Value]:
        """Every `count`-th of the items, from the `rank`-th on."""
        return list(items[self.rank :: self.count])

    def joined(self, mine: Sequence[Value]) -> list[Value]:
        """The items whose shares the processes have, in their order."""
        if self.count == 1:
            return list(mine)
        every: list[Sequence[Value]] = [()] * self.count
        torch.distributed.all_gather_object(every, mine)
        return [shares[i] for i in range(max(map(len, every))) for shares in every if i < len(shares)]

    def total(self, values: Mapping[str, float]) -> dict[str, float]:
        """The sums of the processes' values by name."""
        if self.count == 1:
            return dict(values)
        every: list[Mapping[str, float]] = [{}] * self.count
        torch.distributed.all_gather_object(every, dict(values))
        names = dict.fromkeys(name for one in every for name in one)
        return {name: sum(one.get(name, 0.0) for one in every) for name in names}

    def agreed(self, value: Value) -> Value:
        """The main process's value."""
        if self.count == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box)
        return box[0]

    def told(self) -> Any:  # noqa: ANN401 - what the main process gives to `agreed`
        """What the main process makes the others agree on next."""
        return self.agreed(None)

    def rounds(self, parts: Iterable[Sequence[Encoded]], spare: Encoded) -> Iterator[tuple[Sequence[Encoded], float]]:
        """This process's parts, each with the factor of its loss.

        Split weights are gathered by all processes at once, so all need as many rounds: where one has fewer parts it
        computes `spare`, which counts for nothing.
        """
        mine = list(parts)
        every = [len(mine)] * self.count
        if self.sharded:  # before any is computed: a process without a part would ask while others gather weights
            torch.distributed.all_gather_object(every, len(mine))
        # FSDP gives the mean of the processes' gradients, and the sum is wanted.
        yield from ((part, float(self.count) if self.sharded else 1.0) for part in mine)
        yield from (([spare], 0.0) for _ in range(max(every) - len(mine)))

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every process the sum of all gradients; split weights have it already."""
        if self.count == 1 or self.sharded:
            return
        sizes = [parameter.numel() for parameter in parameters]
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
        torch.distributed.all_reduce(flat)
        for parameter, part in zip(parameters, torch.split(flat, sizes), strict=True):
            parameter.grad = part.view_as(parameter)


ALONE = Processes()


def started_processes() -> Processes:
    """The processes that `accelerate launch` started, this one among them; alone where it did not.

    Raises:
        ConfigError: another launcher started several, and accelerate is not installed.
    """
    if process_count() == 1:
        return ALONE
    if find_spec("accelerate") is None:
        raise ConfigError("several processes were started, and accelerate is not installed", "pip install accelerate")
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    return Processes(state.num_processes, state.process_index, sharded=sharded)


class ShardedTrunk(nn.Module):
    """A trunk whose weights are split over processes: each layer by itself, and all else together.

    Args:
        trunk: computed layer by layer as transformers does (`PlainTrunk`), of a model whose weights have no values
            yet (`engine.torch_model.empty_model`); `fill` gives them.
    """

    def __init__(self, trunk: Any) -> None:  # noqa: ANN401 - a trunk with a transformers model
        from torch.distributed.fsdp import fully_shard

        super().__init__()
        self.model, self._trunk = trunk.model, [trunk]  # in a list: what it computes with is not there twice
        for layer in self.model.model.layers:
            fully_shard(layer)
        fully_shard(self)

    def fill(self, weights: Mapping[str, Tensor] | None) -> None:
        """Hand every process its part of the weights, one after the other: no other process ever has a whole model.

        Args:
            weights: whole, by the names of the model's parameters; None but in the main process.
        """
        buffers = {name: buffer.clone() for name, buffer in self.named_buffers()}
        parameters = dict(self.model.named_parameters())
        self.to_empty(device=next(iter(parameters.values())).device_mesh.device_type)
        with torch.no_grad():
            for name, buffer in self.named_buffers():
                buffer.copy_(buffers[name])
            for name, parameter in self.model.named_parameters():
                one = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
                if weights is not None:
                    one.copy_(weights[name])
                parameter.copy_(distribute_tensor(one, parameter.device_mesh, parameter.placements))

    def logits(self, examples: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """See `Trunk.logits`."""
        found: tuple[Tensor, Tensor] = self(examples)
        return found

    def forward(self, examples: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """See `Trunk.logits`."""
        found: tuple[Tensor, Tensor] = self._trunk[0].logits(examples)
        return found


def whole(tensor: Tensor) -> Tensor:
    """A tensor with all its parts; every process has to ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(value: Tensor, target: Tensor) -> Tensor:
    """A whole tensor, split as `target` is."""
    if not isinstance(target, DTensor) or isinstance(value, DTensor):
        return value
    return distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
