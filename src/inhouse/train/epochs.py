"""What was learned after each of the last whole epochs: a file each beside the checkpoint, replaced whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from inhouse.store import replacing
from inhouse.train.checkpoint import gathered

_PREFIX, _SUFFIX = "after-step-", ".safetensors"


def keep_state(folder: Path, step: int, learned: Mapping[str, torch.Tensor], *, writes: bool = True) -> None:
    """Keep what was learned after a step; every process that has a part of it calls this.

    Args:
        learned: what learns, by name, detached.
        writes: whether this process does.

    Raises:
        DiskFull: the disk has no room.
    """
    tensors = gathered(learned, keep=writes)
    if writes:
        with replacing(folder / f"{_PREFIX}{step}{_SUFFIX}") as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def kept_states(folder: Path) -> dict[int, Path]:
    """The files by their step, the earliest first."""
    found = {int(file.stem.removeprefix(_PREFIX)): file for file in folder.glob(f"{_PREFIX}*{_SUFFIX}")}
    return dict(sorted(found.items()))


def drop_states(folder: Path, but: Collection[int]) -> None:
    """Remove the files of all steps but these."""
    for step, file in kept_states(folder).items():
        if step not in but:
            file.unlink(missing_ok=True)
