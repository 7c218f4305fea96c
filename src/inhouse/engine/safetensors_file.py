"""Writing a safetensors file tensor by tensor: the library's own writer wants all of them in memory at once."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.errors import EngineFault

if TYPE_CHECKING:
    from torch import Tensor


def shapes_of(file: Path) -> dict[str, list[int]]:
    """Names and shapes of the tensors in a safetensors file."""
    from safetensors import safe_open

    with safe_open(file, framework="np") as weights:
        return {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118


def write_bfloat16(file: Path, shapes: Mapping[str, Sequence[int]], tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write tensors in bfloat16, in whatever order they come.

    Raises:
        EngineFault: a tensor did not come, came twice or in another shape, or is not wanted.
    """
    import torch

    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    waiting = set(shapes)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, tensor in tensors:
            if name not in waiting or list(tensor.shape) != list(shapes[name]):
                raise EngineFault(f"the weight {name} of the shape {list(tensor.shape)} has no place in {file.name}")
            waiting.discard(name)
            out.seek(8 + len(text) + header[name]["data_offsets"][0])
            out.write(tensor.to(torch.bfloat16).contiguous().view(torch.int16).numpy().data)
    if waiting:
        raise EngineFault(f"there is no weight for {sorted(waiting)[0]} of {file.name}")
